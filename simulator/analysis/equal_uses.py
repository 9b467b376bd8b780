"""A codec against the best of several others on the same clip, rate, channel and SNR, at no more channel uses.

The best is chosen clip by clip and metric by metric by what was measured on that very clip, which favours the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from semlink.simulator.analysis.statistics import Interval, mean_interval
from semlink.simulator.records.rows import Measurement, Rows
from semlink.simulator.records.store import Condition

SLACK = 1.02  # of channel uses, which are still no more


@dataclass(frozen=True)
class Point:
    """One codec on one clip. best, gain: by metric, the word of the best other one and by how much it is beaten.

    dearer: none of the others did with as few channel uses, so that the best of all of them is met.
    """

    condition: Condition
    clip: str
    best: Mapping[str, str]
    gain: Mapping[str, float]
    dearer: bool

    @property
    def better(self) -> bool:
        """In all metrics."""
        return all(gain > 0 for gain in self.gain.values())


def points(rows: Rows, codec: str, others: Sequence[str], metrics: Sequence[str]) -> Iterator[Point]:
    """Of a codec's word against words of others, wherever both were measured. Of metrics more is better."""
    found = {m.condition: m for m in rows.measurements if not m.error}
    for condition, own in found.items():
        at = [c for c in found if c.codec in others and _place(c) == _place(condition)]
        if condition.codec == codec and at:
            for i, position in enumerate(own.positions):
                met = {
                    c.codec: (found[c], found[c].positions.index(position))
                    for c in at
                    if position in found[c].positions
                }
                if met:
                    yield _point(own, i, met, metrics)


def _place(condition: Condition) -> tuple[float, str, float]:
    return condition.rho, condition.channel, condition.snr_db


def _point(own: Measurement, i: int, met: Mapping[str, tuple[Measurement, int]], metrics: Sequence[str]) -> Point:
    uses = own.values["uses_total"][i]
    cheap = {word: (m, k) for word, (m, k) in met.items() if m.values["uses_total"][k] <= SLACK * uses}
    best, gain = {}, {}
    for metric in metrics:
        values = {word: float(m.values[metric][k]) for word, (m, k) in (cheap or met).items()}
        best[metric] = max(values, key=lambda word: values[word])
        gain[metric] = float(own.values[metric][i]) - values[best[metric]]
    return Point(own.condition, own.images[i], best, gain, not cheap)


@dataclass(frozen=True)
class Verdict:
    """Of points: their number, the share that is better in all metrics, and by metric the worst of them and the mean
    gain with its 95 % interval over points.
    """

    points: int
    better: float
    worst: Mapping[str, float]
    gain: Mapping[str, Interval]
    dearer: int


def verdict(found: Sequence[Point]) -> Verdict:
    """Of at least one point."""
    gains = {metric: np.array([point.gain[metric] for point in found]) for metric in found[0].gain}
    worst = {metric: float(own.min()) for metric, own in gains.items()}
    means = {metric: mean_interval(own) for metric, own in gains.items()}
    better = float(np.mean([point.better for point in found]))
    return Verdict(len(found), better, worst, means, sum(point.dearer for point in found))
