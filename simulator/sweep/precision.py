"""When a condition has been measured on enough pictures: decided at fixed numbers of blocks, whoever measures them.

Blocks are taken in an order that spreads every part of it over the set. At each checkpoint a condition stops when the
95 % interval of each metric is narrow enough and enough pictures have lost bits. What is decided follows from the
blocks up to the checkpoint alone, so neither from workers nor from the order in which they answer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from semlink.simulator.analysis.statistics import gone, t95
from semlink.simulator.protocols import Variable
from semlink.simulator.records.store import Condition, Identity, Record
from semlink.simulator.records.sweep import Sweep
from semlink.simulator.sweep.plan import ImageBlock, Task, answers, tasks_of

LEAST = 64  # images before the first checkpoint
GROWTH = 1.25  # from each checkpoint to the next


@dataclass(frozen=True)
class Part:
    """What a decision needs of one block. moments: mean and sum of squared deviations of each metric's finite values.

    finite: how many those are, by metric. lost: pictures that lost bits; coded: whether there were any bits to lose.
    grey: whether the codec refused all pictures, which counts where others got through.
    """

    images: int
    moments: Mapping[str, tuple[float, float]]
    finite: Mapping[str, int]
    lost: int
    coded: bool
    error: str = ""
    grey: bool = False


@dataclass(frozen=True)
class Precision:
    """How narrow an interval is: its half, in dB or as a share of the mean, over so many values; NaN over fewer than 2.

    missing: values that are not finite, which count as none.
    """

    half: float
    n: int
    missing: int


@dataclass(frozen=True)
class Verdict:
    """Why a condition was measured on no more pictures. how: of each metric. lost: pictures that lost bits."""

    images: int
    reached: bool
    how: Mapping[str, Precision] = field(default_factory=dict)
    lost: int = 0
    error: str = ""


def spread(found: Sequence[ImageBlock]) -> tuple[ImageBlock, ...]:
    """All blocks in bit-reversed order (van der Corput): the first n of them lie all over the set."""
    bits = max(1, (len(found) - 1).bit_length())
    order = (int(f"{place:0{bits}b}"[::-1], 2) for place in range(1 << bits))
    return tuple(found[place] for place in order if place < len(found))


def checkpoints(sizes: Sequence[int]) -> tuple[int, ...]:
    """Numbers of blocks, of ones with so many images in their order, at which is decided; the last is all of them."""
    found, goal = [], float(LEAST)
    for place, images in enumerate(accumulate(sizes), 1):
        if images >= goal:
            found.append(place)
            goal = images * GROWTH
    return tuple(dict.fromkeys((*found, len(sizes))))


def part_of(record: Record, metrics: Sequence[str]) -> Part:
    """What a decision needs of a record."""
    finite = {name: [v for v in record.values.get(name, ()) if math.isfinite(v)] for name in metrics}
    return Part(
        len(record.images),
        {name: _moments(values) for name, values in finite.items()},
        {name: len(values) for name, values in finite.items()},
        int(gone(record.values, len(record.images)).sum()),
        any(record.values.get("blocks", ())),
        record.error,
        bool(record.error and record.values),
    )


def _moments(values: Sequence[float]) -> tuple[float, float]:
    if not values:
        return 0.0, 0.0
    mean = math.fsum(values) / len(values)
    return mean, math.fsum((value - mean) ** 2 for value in values)


def precision(parts: Sequence[Part], metric: str, decibels: bool) -> Precision:
    """How narrow the interval of a metric over these blocks is; their order is that of the set, so the same always."""
    n, mean, squares = 0, 0.0, 0.0
    for part in parts:
        own, (own_mean, own_squares) = part.finite[metric], part.moments[metric]
        if own:
            apart = own_mean - mean
            squares += own_squares + apart**2 * n * own / (n + own)
            mean += apart * own / (n + own)
            n += own
    missing = sum(part.images for part in parts) - n
    if n < 2:
        return Precision(math.nan, n, missing)
    half = t95(n) * math.sqrt(squares / (n - 1) / n)
    return Precision(half if decibels else half / abs(mean) if mean else math.nan, n, missing)


class Points:
    """The conditions of a sweep on their way to their targets: what is asked next, given what is measured.

    describe: of a metric; its units decide how a target is meant.
    """

    def __init__(
        self, sweep: Sweep, found: Sequence[ImageBlock], identity: Identity, describe: Callable[[str], Variable]
    ) -> None:
        self._sweep, self._identity, self._order = sweep, identity, spread(found)
        self._at = checkpoints([len(block.images) for block in self._order])
        self._decibels = {name: describe(name).units == "dB" for name in sweep.metrics}
        self._parts: dict[Condition, dict[int, Part]] = {condition: {} for condition in sweep.conditions()}
        self._open: dict[tuple[str, float], list[Condition]] = {}
        for condition in self._parts:
            self._open.setdefault((condition.codec, condition.rho), []).append(condition)
        self._stage = dict.fromkeys(self._open, 0)
        self._awaited = dict.fromkeys(self._open, 0)
        self._sizes = {block.index: len(block.images) for block in found}
        self.verdicts: dict[Condition, Verdict] = {}
        self.held = 0  # what is there may be more than is asked

    def know(self, stored: Iterable[Record]) -> None:
        """Take in what was measured before."""
        for record in stored:
            if record.condition in self._parts and answers(self._sweep, record):
                self._take(record)

    def first(self) -> tuple[Task, ...]:
        """What is to be measured to begin with."""
        return tuple(task for group in self._open for task in self._next(group))

    def then(self, record: Record) -> tuple[Task, ...]:
        """What is to be measured now that this record is there."""
        self._take(record)
        group = record.condition.codec, record.condition.rho
        self._awaited[group] -= 1
        return self._next(group) if not self._awaited[group] else ()

    def _take(self, record: Record) -> None:
        """A block that was measured again with more images counts with these; on fewer than there are it is none."""
        if len(record.images) >= self._sizes.get(record.block, len(record.images) + 1):
            self._parts[record.condition][record.block] = part_of(record, self._sweep.metrics)

    def _next(self, group: tuple[str, float]) -> tuple[Task, ...]:
        while self._open[group]:
            blocks = self._order[: self._at[self._stage[group]]]
            missing = [(c, b) for c in self._open[group] for b in blocks if b.index not in self._parts[c]]
            if missing:
                self._awaited[group] = len(missing)
                return tasks_of(self._sweep, missing, self._identity)
            self._decide(group, blocks)
        return ()

    def _decide(self, group: tuple[str, float], blocks: Sequence[ImageBlock]) -> None:
        self._stage[group] += 1
        at_end = self._stage[group] == len(self._at)
        places = sorted(block.index for block in blocks)
        for condition in self._open[group]:
            found = self._verdict([self._parts[condition][place] for place in places])
            if found.reached or found.error or at_end:
                self.verdicts[condition] = found
        self._open[group] = [condition for condition in self._open[group] if condition not in self.verdicts]

    def _verdict(self, parts: Sequence[Part]) -> Verdict:
        how = {name: precision(parts, name, decibels) for name, decibels in self._decibels.items()}
        images, lost = sum(part.images for part in parts), sum(part.lost for part in parts)
        through = any(not part.error for part in parts)
        error = next((part.error for part in parts if part.error and not (part.grey and through)), "")
        coded = any(part.coded for part in parts)
        narrow = self._sweep.target_ci is None or all(p.half <= self._sweep.target_ci for p in how.values())
        told = coded or self._sweep.target_ci is not None  # without bits and intervals nothing tells when to stop
        enough = not coded or lost >= (self._sweep.target_lost or 0)
        return Verdict(images, narrow and enough and told and not error, how, lost, error)


def remarks(verdicts: Mapping[Condition, Verdict], limit: int) -> Iterator[str]:
    """What is to be said of the conditions, in lines; limit: pictures of the set."""
    reached = [v for v in verdicts.values() if v.reached]
    if reached:
        least, most = min(v.images for v in reached), max(v.images for v in reached)
        yield f"{len(reached)} of {len(verdicts)} points are precise enough after {least} to {most} of {limit} pictures"
    for condition, verdict in verdicts.items():
        if not verdict.reached and not verdict.error:
            yield f"not precise enough at the end of the set: {condition}: {_widths(verdict)}"
    missing = sum(p.missing for v in verdicts.values() if not v.error for p in v.how.values())
    if missing:
        yield f"{missing} numbers are not finite, and are in no mean"


def _widths(verdict: Verdict) -> str:
    halves = [f"{name} +-{p.half:.3g}" for name, p in verdict.how.items()]
    return ", ".join([*halves, f"{verdict.lost} pictures lost bits"])


def plain(verdicts: Mapping[Condition, Verdict]) -> dict[str, object]:
    """The verdicts for run.json."""
    return {
        str(condition): {
            "images": v.images,
            "reached": v.reached,
            "lost": v.lost,
            "half_widths": {name: p.half if math.isfinite(p.half) else None for name, p in v.how.items()},
            "not_finite": sum(p.missing for p in v.how.values()),
        }
        for condition, v in verdicts.items()
    }
