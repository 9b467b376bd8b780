"""What is compared with what on the same pictures and fades: means, and paired differences with 95 % intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from typing import TypeVar

import numpy as np

from semlink.simulator.analysis import set_miou
from semlink.simulator.analysis.shared import on_places, shared_places
from semlink.simulator.analysis.statistics import (
    COLUMNS,
    NOTHING,
    Interval,
    Line,
    images_of,
    lost,
    mean_interval,
    paired_difference,
)
from semlink.simulator.analysis.tables import Columns, cell, ends, in_units, named_ends, rate
from semlink.simulator.metrics import of_set
from semlink.simulator.protocols import Variable
from semlink.simulator.records.rows import Measurement, Rows
from semlink.simulator.records.store import Condition
from semlink.simulator.words import labels, parse

RATES = ("main", "total")
Case = TypeVar("Case", bound=tuple[object, ...])


@dataclass(frozen=True)
class Entry:
    """What is compared, under a label: canonical words of a codec and the channel that it meets.

    times: the codec's rate by the rate that is compared, as over a link whose channel uses carry several symbols.
    """

    label: str
    codec: str
    channel: str
    times: float = 1

    def at(self, rho: float, snr_db: float) -> Condition:
        """What it is measured under."""
        return Condition(self.codec, rho * self.times, self.channel, float(snr_db))


@dataclass(frozen=True)
class Result:
    """One metric of an entry under a condition, and its paired difference to each baseline, by label.

    A baseline has none to itself, and what failed is an empty interval.
    """

    label: str
    line: Line
    minus: Mapping[str, Interval]

    @property
    def value(self) -> Interval:
        """Mean and interval of the entry itself."""
        return interval_of(self.line)

    @property
    def more(self) -> Interval:
        """The difference to the only baseline there is; nothing for that itself."""
        return next(iter(self.minus.values()), NOTHING)


def side_by_side(codecs: Sequence[str], channels: Sequence[str]) -> dict[str, list[Entry]]:
    """The codecs (canonical words), each under its word as label, over every channel, by the channels' labels."""
    titles = labels(str(parse(channel)) for channel in channels)
    return {title: [Entry(word, word, channel) for word in codecs] for channel, title in titles.items()}


def interval_of(line: Line) -> Interval:
    """The interval that a line holds."""
    return Interval(line.mean, line.ci95_low, line.ci95_high, line.n, line.lost)


def compare(
    rows: Rows,
    entries: Sequence[Entry],
    baselines: Sequence[str] | Mapping[str, Sequence[str]],
    metrics: Sequence[str],
    rhos: Sequence[float],
    snrs: Sequence[float],
) -> list[Result]:
    """Every entry at every rate and SNR, each once. baselines: labels of entries, of all or by an entry's label.

    metrics: also those of `set_miou`. Means are over the pictures that all of them have, metric by metric.
    """
    others = baselines if isinstance(baselines, Mapping) else {entry.label: baselines for entry in entries}
    found = {m.condition: m for m in rows.measurements if not m.error}
    results = []
    asked = {e.at(rho, snr) for e in entries for rho in rhos for snr in snrs}
    for metric in metrics:
        places = _shared((m for condition, m in found.items() if condition in asked), metric)
        for rho in dict.fromkeys(rhos):
            for snr in sorted(set(snrs)):
                at = {e.label: found.get(e.at(rho, snr)) for e in entries}
                for entry in entries:
                    own = at[entry.label]
                    minus = {b: difference(own, at.get(b), metric) for b in others[entry.label] if b != entry.label}
                    results.append(Result(entry.label, _line(entry.at(rho, snr), own, metric, places), minus))
    return results


def _shared(measurements: Iterable[Measurement], metric: str) -> frozenset[int]:
    """Places of the pictures that all have the metric, or the parts of it."""
    found = list(measurements)
    parts = sorted({name for m in found for name in m.values if of_set.is_part_of(name, metric)})
    return shared_places(found, parts[0] if parts else metric)


def by_entry(results: Iterable[Result]) -> list[Result]:
    """Entry by entry in order of appearance, and of each one SNR by SNR."""
    found = list(results)
    places = {label: i for i, label in enumerate(dict.fromkeys(r.label for r in found))}
    return sorted(found, key=lambda r: (places[r.label], r.line.snr_db))


def by_snr(results: Iterable[Result], cell: Callable[[Result], str]) -> dict[str, dict[float, str]]:
    """What is written of each result, by label and SNR."""
    found: dict[str, dict[float, str]] = {}
    for result in results:
        found.setdefault(result.label, {})[result.line.snr_db] = cell(result)
    return found


def value(m: Measurement | None, metric: str) -> Interval:
    """Mean with its interval over the images that have the metric; nothing where there is none."""
    if m is None:
        return NOTHING
    gone = len(lost(m))
    if metric.endswith(of_set.SUFFIX):
        return replace(set_miou.interval(m, metric.removesuffix(of_set.SUFFIX)), lost=gone)
    return replace(mean_interval(having(m, metric).values[metric]), lost=gone) if metric in m.values else NOTHING


def difference(own: Measurement | None, other: Measurement | None, metric: str) -> Interval:
    """own - other over the images that both have, with the interval of the paired difference; lost: by either.

    Nothing where one has the metric of no image; SemlinkError when they share no image.
    """
    if own is None or other is None:
        return NOTHING
    gone = len({*lost(own), *lost(other)} & set(own.positions) & set(other.positions))
    if metric.endswith(of_set.SUFFIX):
        return replace(set_miou.difference(own, other, metric.removesuffix(of_set.SUFFIX)), lost=gone)
    if not all(metric in m.values and np.isfinite(m.values[metric]).any() for m in (own, other)):
        return NOTHING
    return replace(paired_difference(having(own, metric), having(other, metric), metric), lost=gone)


def having(m: Measurement, metric: str) -> Measurement:
    """Only the images that this metric was measured on: an earlier run may have had more of them and fewer metrics."""
    kept = np.flatnonzero(np.isfinite(m.values[metric]))
    positions, images = tuple(m.positions[i] for i in kept), tuple(m.images[i] for i in kept)
    return replace(m, positions=positions, images=images, values={metric: m.values[metric][kept]})


def paired_table(results: Sequence[Result], variable: Variable, title: str) -> str:
    """One metric and rate: per entry a line of means against SNR, and a line of differences for each baseline."""
    snrs = sorted({r.line.snr_db for r in results})
    digits = 2 if in_units(variable) else 3
    images = images_of([r.line for r in results])
    names = labels(name for r in results for name in (r.label, *r.minus))
    wide = 2 + max(len(names[r.label]) for r in results)
    lines = [
        f"{variable.label}{in_units(variable)}, {title}, {images}: mean +- 95 %, differences paired",
        f"{'':{wide}}{'rho_total':>10}" + "".join(f"{f'{snr:g} dB':>18}" for snr in snrs),
    ]
    for label in dict.fromkeys(r.label for r in results):
        own = sorted((r for r in results if r.label == label), key=lambda r: r.line.snr_db)
        totals = [r.line.rho_total for r in own if math.isfinite(r.line.rho_total)]
        total = f"{sum(totals) / len(totals):.5f}" if totals else "-"
        lines.append(f"{names[label]:{wide}}{total:>10}" + "".join(f"{cell(r.value, digits):>18}" for r in own))
        for other in own[0].minus:
            name = f"  minus {names[other]}"
            lines.append(f"{name:{wide + 10}}" + "".join(f"{cell(r.minus[other], digits, '+'):>18}" for r in own))
    return "\n".join(lines)


def paired_tables(
    panels: Mapping[str, Sequence[Result]],
    metrics: Sequence[str],
    describe: Callable[[str], Variable],
    rates: bool = True,
) -> list[str]:
    """A table for every title of panels, metric and rate. rates: titles say the rate."""
    found = []
    for title, panel in panels.items():
        for metric in metrics:
            own = [r for r in panel if r.line.metric == metric]
            for rho in dict.fromkeys(r.line.rho for r in own):
                at_rate = [r for r in own if r.line.rho == rho]
                said = f"{title}, rho {rate(rho)}" if rates else title
                found.append(paired_table(at_rate, describe(metric), said))
    return found


def paired_columns(results: Iterable[Result], roles: Mapping[str, str]) -> Columns:
    """The columns of summary.csv after a label, then the difference to each baseline with its interval.

    roles: name in the columns' heads by baseline label.
    """
    heads = dict.fromkeys(roles.values())
    names = (name for head in heads for name in named_ends(f"minus_{head}"))
    return Columns(("label", *COLUMNS, *names), [_paired_columns(r, roles, heads) for r in results])


def case_columns(head: Sequence[str], cases: Mapping[Case, Sequence[Result]], baseline: str) -> Columns:
    """A line for each result with the ends of its intervals and those of its difference to the only baseline.

    head: names of what tells a case, of a label, of the SNR, of the metric unless there is only one, and of the mean.
    """
    metric = (lambda r: (r.line.metric,)) if "metric" in head else (lambda r: ())
    lines = [
        (*case, r.label, str(r.line.snr_db), *metric(r), *ends(r.value), *ends(r.more), r.value.n)
        for case, results in cases.items()
        for r in results
    ]
    return Columns((*head, "ci95_low", "ci95_high", *named_ends(f"more_than_{baseline}", "more"), "n"), lines)


def _paired_columns(result: Result, roles: Mapping[str, str], heads: Iterable[str]) -> tuple[object, ...]:
    minus = {roles[label]: interval for label, interval in result.minus.items()}
    numbers = (number for head in heads for number in ends(minus.get(head, NOTHING)))
    return (result.label, *astuple(result.line)[: len(COLUMNS)], *numbers)


def _line(c: Condition, m: Measurement | None, metric: str, places: frozenset[int]) -> Line:
    main, total = (math.nan if m is None else float(m.values[f"rho_{r}"].mean()) for r in RATES)
    kept = None if m is None else on_places(m, places)
    own = value(kept, metric)
    measured = own.n if kept is m else value(m, metric).n
    csi = "" if m is None else m.csi
    under = c.codec, c.channel, csi, c.snr_db, main, total
    return Line(*under, metric, *ends(own), own.n, c.rho, lost=own.lost, measured=measured)
