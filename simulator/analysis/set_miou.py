"""mIoU of a whole set of pictures, as data sets' tables hold it, with intervals over pictures by the bootstrap.

IoU_c = (sum of hits of class c over pictures) / (sum of its unions); mIoU = mean over the classes that occur. Rows hold
hits and unions of every picture and class, so that differences are paired: both conditions are resampled alike.
Reference: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, sec. 13.3 (percentile interval).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from semlink.simulator.analysis.statistics import NOTHING, Interval
from semlink.simulator.errors import SemlinkError
from semlink.simulator.protocols import Variable
from semlink.simulator.records.rows import Measurement
from semlink.simulator.rng import generator

SUFFIX = "_of_set"
RESAMPLES = 4000
PARTS = ("hits", "union")
AGAINST = {"miou_truth": "the ground truth", "miou_sent": "the transmitted map"}


def columns(metric: str, classes: tuple[str, ...], hits: np.ndarray, unions: np.ndarray) -> dict[str, np.ndarray]:
    """Names and values `[images]` of what rows need for the set's `metric`, from arrays `[images, classes]`."""
    parts = zip(PARTS, (hits, unions), strict=True)
    return {f"{metric}_{part}_{name}": values[:, i] for part, values in parts for i, name in enumerate(classes)}


def is_part(name: str) -> bool:
    """Whether a variable is one of `columns`: needed to compute, not to be read."""
    return any(name.startswith(f"{metric}_{part}_") for metric in AGAINST for part in PARTS)


def describe(name: str) -> Variable | None:
    """What a variable of `columns`, or the mIoU of the set, is; None for other names."""
    for metric, against in AGAINST.items():
        if name == metric + SUFFIX:
            return Variable("1", f"mIoU of the set against {against}", "higher")
        if is_part(name) and name.startswith(metric):
            part, _, of = name.removeprefix(f"{metric}_").partition("_")
            where = "both maps" if part == "hits" else "either map"
            return Variable("1", f"pixels of {of} in {where}, the received picture's and {against}")
    return None


def interval(measurement: Measurement, metric: str) -> Interval:
    """mIoU of the measured pictures with its 95 % interval; nothing when the measurement lacks it."""
    found = _overlaps(measurement, metric)
    return NOTHING if found is None else _resampled(found)


def difference(first: Measurement, second: Measurement, metric: str) -> Interval:
    """first - second over the pictures that both have, with the 95 % interval of the paired difference.

    Nothing when one lacks it. SemlinkError when they share no picture.
    """
    ours, theirs = _overlaps(first, metric), _overlaps(second, metric)
    if ours is None or theirs is None:
        return NOTHING
    common = sorted(set(first.positions) & set(second.positions))
    if not common:
        raise SemlinkError(f"{first.condition} and {second.condition} share no picture; nothing to pair")
    places = [[m.positions.index(place) for place in common] for m in (first, second)]
    return _resampled(ours[:, places[0]], theirs[:, places[1]])


def set_miou(hits: np.ndarray, unions: np.ndarray) -> np.ndarray:
    """Mean of hits / unions over the classes that occur, `[...]` of `[..., classes]`; NaN when none does."""
    occurs = unions > 0
    ratios = np.divide(hits, unions, out=np.zeros(np.shape(hits)), where=occurs)
    count = occurs.sum(-1)
    return np.where(count > 0, ratios.sum(-1) / np.maximum(count, 1), math.nan)


def _overlaps(measurement: Measurement, metric: str) -> np.ndarray | None:
    """Hits and unions, float64 `[2, images, classes]`; None unless the measurement has them for every picture."""
    found = [_part(measurement.values, f"{metric}_{part}_") for part in PARTS]
    if measurement.error or not found[0] or not all(np.isfinite(column).all() for part in found for column in part):
        return None
    return np.stack([np.stack(part, 1) for part in found])


def _part(values: Mapping[str, np.ndarray], start: str) -> list[np.ndarray]:
    return [values[name] for name in sorted(values) if name.startswith(start)]


def _resampled(own: np.ndarray, other: np.ndarray | None = None) -> Interval:
    """mIoU, or its difference, of the set and the 2.5 and 97.5 % points over sets drawn from it with replacement."""
    n = own.shape[1]
    times = generator("bootstrap", n).multinomial(n, np.full(n, 1 / n), RESAMPLES).astype(float)
    weights = np.concatenate([np.ones((1, n)), times])  # the set itself comes first
    values = set_miou(*(weights @ part for part in own))
    if other is not None:
        values = values - set_miou(*(weights @ part for part in other))
    low, high = np.nanpercentile(values[1:], (2.5, 97.5)) if n > 1 else (math.nan, math.nan)
    return Interval(float(values[0]), float(low), float(high), n)
