"""FID of a whole set of received pictures against the originals, with intervals by the jackknife over pictures.

Deep features of every picture are kept in files under `features/` of the results folder, a file per block, written
before the block's record: a run that is killed and continued has them all. A tenth of the pictures is left out in turn,
of originals and received alike; half width t_9 sqrt(9/10 sum of squared deviations). The bias of FID, which falls with
the number of pictures, is not in the interval. Differences are paired: both conditions leave the same pictures out.
Reference: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, ch. 11 (jackknife).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from semlink.simulator.analysis.comparison import Result
from semlink.simulator.analysis.statistics import NOTHING, Interval
from semlink.simulator.errors import SemlinkError
from semlink.simulator.files import reading, write_aside
from semlink.simulator.metrics import fid
from semlink.simulator.protocols import Variable
from semlink.simulator.records.store import Condition, Record

if TYPE_CHECKING:
    from torch import Tensor

NET = "inception"
NAME = f"fid_{NET}"
LEAST = 2000  # pictures; with fewer the bias is larger than what is to be seen
GROUPS = 10


@dataclass(frozen=True)
class Estimate:
    """FID, and what it is without each group of pictures, float64 `[GROUPS]`. measured: how many there are."""

    value: float
    without: np.ndarray
    positions: tuple[int, ...]
    measured: int = 0


def describe(name: str) -> Variable | None:
    """What FID is; None for other names."""
    return Variable("1", "FID (Inception-v3)", "lower", least=0) if name == NAME else None


def check(pictures: int, data: str) -> None:
    """SemlinkError for too few pictures, or when the feature net is not installed."""
    if pictures < LEAST:
        raise SemlinkError(
            f"FID needs {LEAST:,} pictures or more, --data {data} with this --limit gives {pictures}; leave fid out of "
            f"--metrics, or give e.g. --data tiny-imagenet-64 --limit {LEAST}"
        )
    from semlink.simulator.metrics import inception

    inception.find()


def keep(out: Path, record: Record, original: Tensor, received: Tensor) -> None:
    """Keep the features of a block `[batch, 3, H, W]`, and of its originals unless they are there, where a distance of
    features is asked."""
    if not any(name.endswith(f"_{NET}") for name in record.metrics):
        return
    block = hashlib.sha256("\n".join(record.images).encode()).hexdigest()[:16]
    path = folder(out, None) / f"{record.block:06d}-{block}.safetensors"
    if not path.exists():
        _write(path, record.positions, original)
    _write(folder(out, record.condition) / f"{record.block:06d}-{record.key()}.safetensors", record.positions, received)


def folder(out: Path, condition: Condition | None) -> Path:
    """Where the features of what was received under a condition are; None: those of the originals."""
    return out / "features" / NET / ("original" if condition is None else condition.slug())


def read(out: Path, condition: Condition | None) -> Mapping[int, np.ndarray]:
    """Features float32 `[2048]` by the picture's place in the data set. SemlinkError for a damaged file."""
    from safetensors.numpy import load_file

    found: dict[int, np.ndarray] = {}
    for path in sorted(folder(out, condition).glob("*.safetensors")):
        with reading(path, f"damaged; delete it, {_remedy(out, condition)}"):
            held = load_file(path)
            found |= dict(zip(_sound_places(held["positions"]), _sound_features(held["features"]), strict=True))
    return found


def _sound_places(positions: np.ndarray) -> list[int]:
    if positions.ndim != 1 or positions.dtype.kind not in "iu":
        raise ValueError(f"places are {positions.dtype} {list(positions.shape)}")
    return positions.tolist()


def _sound_features(features: np.ndarray) -> np.ndarray:
    if features.ndim != 2 or features.dtype != np.float32 or not np.isfinite(features).all():
        raise ValueError(f"features are {features.dtype} {list(features.shape)}, not all finite")
    return features


def estimate(original: Mapping[int, np.ndarray], received: Mapping[int, np.ndarray]) -> Estimate:
    """FID of the pictures that both have."""
    places = sorted(original.keys() & received.keys())
    first, second = (np.stack([features[place] for place in places]) for features in (original, received))
    group = np.arange(len(places)) % GROUPS
    without = [fid.distance_of_features(first[group != i], second[group != i]) for i in range(GROUPS)]
    return Estimate(fid.distance_of_features(first, second), np.array(without), tuple(places))


def interval(found: Estimate) -> Interval:
    """FID with its 95 % interval."""
    return _interval(found.value, found.without, len(found.positions))


def difference(first: Estimate, second: Estimate) -> Interval:
    """first - second with the 95 % interval of the paired difference; nothing unless of the same pictures."""
    if first.positions != second.positions:
        return NOTHING
    return _interval(first.value - second.value, first.without - second.without, len(first.positions))


def filled(results: Sequence[Result], out: Path) -> list[Result]:
    """Results whose labels are codec words, with the values and differences of those whose metric is FID.

    All are of the pictures that every one of them has, where those are enough.
    SemlinkError when the features of a condition that did not fail are not there, or damaged. Half a minute for each
    condition on a core.
    """
    from tqdm import tqdm

    wanted = {_condition(r) for r in results if r.line.metric == NAME and math.isfinite(r.line.rho_total)}
    original = read(out, None) if wanted else {}
    bar = tqdm(sorted(wanted), desc="FID", unit="condition", dynamic_ncols=True, disable=not wanted)
    places = frozenset.intersection(*(_places(out, condition) for condition in wanted)) if wanted else frozenset()
    found = {condition: measured(out, original, condition, places) for condition in bar}
    return [_filled(r, found) if _condition(r) in found and r.line.metric == NAME else r for r in results]


def measured(
    out: Path, original: Mapping[int, np.ndarray], condition: Condition, places: frozenset[int] = frozenset()
) -> Estimate:
    """FID under a condition from the kept features. SemlinkError when there are too few of them.

    places: of pictures to which it keeps, where the features of enough of them are there.
    """
    received = read(out, condition)
    shared = len(original.keys() & received.keys())
    if shared < LEAST:
        found = f"{shared} pictures have features for FID of {condition}, {LEAST:,} are needed"
        raise SemlinkError(f"{found}; {_remedy(out, condition)}")
    chosen = {place: features for place, features in received.items() if place in places}
    enough = len(original.keys() & chosen.keys()) >= LEAST
    return replace(estimate(original, chosen if enough else received), measured=shared)


def _places(out: Path, condition: Condition) -> frozenset[int]:
    return frozenset(read(out, condition))


def _filled(result: Result, found: Mapping[Condition, Estimate]) -> Result:
    condition = _condition(result)
    own, value = found[condition], interval(found[condition])
    others = {label: found.get(replace(condition, codec=label)) for label in result.minus}
    minus = {label: NOTHING if other is None else difference(own, other) for label, other in others.items()}
    line = replace(
        result.line, mean=value.mean, ci95_low=value.low, ci95_high=value.high, n=value.n, measured=own.measured
    )
    return replace(result, line=line, minus=minus)


def _condition(result: Result) -> Condition:
    line = result.line
    return Condition(line.codec, line.rho, line.channel, line.snr_db)


def _interval(value: float, without: np.ndarray, n: int) -> Interval:
    from scipy.special import stdtrit

    groups = len(without)
    error = math.sqrt((groups - 1) / groups * float(np.square(without - without.mean()).sum()))
    half = float(stdtrit(groups - 1, 0.975)) * error
    return Interval(value, value - half, value + half, n)


def _write(path: Path, positions: Sequence[int], pictures: Tensor) -> None:
    from safetensors.numpy import save_file

    from semlink.simulator.metrics import inception

    held = {"positions": np.array(positions), "features": inception.features(pictures).cpu().numpy()}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_aside(path, lambda aside: save_file(held, aside))


def _remedy(out: Path, condition: Condition | None) -> str:
    blocks = out / "blocks" / ("" if condition is None else condition.slug())
    return f"delete {blocks} and give the same command again"
