"""KID of a whole set of received pictures against the originals, with intervals by the jackknife over pictures.

Features are kept as those of FID (`set_fid`). One picture after another is left out of both sets; differences are
paired: both conditions leave the same picture out.
Reference: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, ch. 11 (jackknife).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from semlink.simulator.analysis import set_fid
from semlink.simulator.analysis.comparison import Result
from semlink.simulator.analysis.statistics import NOTHING, Interval
from semlink.simulator.errors import SemlinkError
from semlink.simulator.metrics import kid
from semlink.simulator.protocols import Variable
from semlink.simulator.records.store import Condition

NAME = f"kid_{set_fid.NET}"
LEAST = 10  # pictures; its interval says how little few tell


@dataclass(frozen=True)
class Estimate:
    """KID, and what it is without each picture, float64 `[pictures]`."""

    value: float
    without: np.ndarray
    positions: tuple[int, ...]


def describe(name: str) -> Variable | None:
    """What KID is; None for other names."""
    return Variable("1", "KID (Inception-v3)", "lower") if name == NAME else None


def estimate(original: Mapping[int, np.ndarray], received: Mapping[int, np.ndarray]) -> Estimate:
    """KID of the pictures that both have. SemlinkError for fewer than LEAST."""
    places = sorted(original.keys() & received.keys())
    if len(places) < LEAST:
        raise SemlinkError(f"KID needs {LEAST} pictures or more, not {len(places)}; leave it out, or raise --limit")
    x, y = (np.stack([features[place] for place in places]) for features in (original, received))
    kernels = kid.kernel(x, x), kid.kernel(y, y), kid.kernel(x, y)
    kept = (np.delete(np.arange(len(places)), i) for i in range(len(places)))
    without = [kid.mmd_of_pairs(*(own[np.ix_(rest, rest)] for own in kernels)) for rest in kept]
    return Estimate(kid.mmd_of_pairs(*kernels), np.array(without), tuple(places))


def interval(found: Estimate) -> Interval:
    """KID with its 95 % interval."""
    return _interval(found.value, found.without)


def difference(first: Estimate, second: Estimate) -> Interval:
    """first - second with the 95 % interval of the paired difference; nothing unless of the same pictures."""
    if first.positions != second.positions:
        return NOTHING
    return _interval(first.value - second.value, first.without - second.without)


def filled(results: Sequence[Result], out: Path) -> list[Result]:
    """Results whose labels are codec words, with the values and differences of those whose metric is KID.

    SemlinkError when the features of a condition that did not fail are not there, or damaged.
    """
    asked = {_condition(r) for r in results if r.line.metric == NAME and math.isfinite(r.line.rho_total)}
    original = set_fid.read(out, None) if asked else {}
    found = {condition: estimate(original, set_fid.read(out, condition)) for condition in sorted(asked)}
    return [_filled(r, found) if r.line.metric == NAME and _condition(r) in found else r for r in results]


def _filled(result: Result, found: Mapping[Condition, Estimate]) -> Result:
    condition = _condition(result)
    own, value = found[condition], interval(found[condition])
    others = {label: found.get(replace(condition, codec=label)) for label in result.minus}
    minus = {label: NOTHING if other is None else difference(own, other) for label, other in others.items()}
    line = replace(result.line, mean=value.mean, ci95_low=value.low, ci95_high=value.high, n=value.n, measured=value.n)
    return replace(result, line=line, minus=minus)


def _condition(result: Result) -> Condition:
    line = result.line
    return Condition(line.codec, line.rho, line.channel, line.snr_db)


def _interval(value: float, without: np.ndarray) -> Interval:
    from scipy.special import stdtrit

    n = len(without)
    error = math.sqrt((n - 1) / n * float(np.square(without - without.mean()).sum()))
    half = float(stdtrit(n - 1, 0.975)) * error
    return Interval(value, value - half, value + half, n)
