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
from semlink.simulator.metrics.of_set import PARTS
from semlink.simulator.records.rows import Measurement
from semlink.simulator.rng import generator

RESAMPLES = 4000


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
