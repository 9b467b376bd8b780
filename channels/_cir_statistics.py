"""What a receiver would know of a measured channel, estimated from its file: mean and local power, correlation, LOS.

Everything is cached per file, and every function keeps its memory bounded however large the file. What takes more than
PATIENCE seconds shows how far it is, on stderr.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import TypeVar, cast
from warnings import warn

import numpy as np
from tqdm import tqdm

from semlink.channels._cir_file import CirFile, reflected, taps

Step = TypeVar("Step")

POSSIBLE = (1e-30, 1e30)  # mean power: with more or less, squares in single precision end
CHUNK = 1 << 20  # taps per step of a pass over a file
TAPS = 1 << 20  # in memory at once, and of a sample
PATIENCE = 2.0  # s
SAMPLE = 1 << 14  # snapshots from which the correlation is estimated
MOMENTS = 1 << 12  # snapshots from which moments are estimated
FADES = 100  # independent fades, in time and paths, over which the local power is averaged: leaves 10 % of error
DECORRELATED = 10  # of these fades must be apart in time
FAINTEST = 1e-3  # variance of the relative power that is taken for fading
STEPS = 128  # snapshots of a stretch that are read
FAINTEST_LOS = 0.3  # of the power; moments do not tell less from none
COARSE = 0.02  # of the power, lost on average by interpolation between snapshots that are too far apart


@lru_cache(maxsize=64)
def mean_power(file: CirFile) -> float:
    """Mean of the summed power of all paths, over everything: one pass over the file, of bounded memory.

    ValueError for NaN or infinite taps (says where), for a file of zeros and for a mean that is impossible.
    """
    total, size = 0.0, math.prod(file.shape)
    for start, part in told(_chunks(file), "power of", file, -(-size // CHUNK)):
        power = float(np.square(part.view(np.float32), dtype=np.float64).sum())
        if not np.isfinite(power):
            bad = start + int(np.flatnonzero(~np.isfinite(part))[0])
            where = [int(i) for i in np.unravel_index(bad, file.shape)]
            raise ValueError(f"{file.path}: NaN or infinite tap at gains{where}: leave that route out or repair it")
        total += power
    if total == 0:
        raise ValueError(f"{file.path}: all taps are 0, nothing to normalise: check what wrote it")
    mean = total / (file.shape[0] * file.shape[1] * file.shape[2] * file.shape[3])
    if not POSSIBLE[0] <= mean <= POSSIBLE[1]:
        raise ValueError(f"{file.path}: a mean power of {mean:.3g}, which no measurement has: check what wrote it")
    return mean


def told(steps: Iterable[Step], what: str, file: CirFile, total: int) -> Iterable[Step]:
    """The steps of a loop over a file, with a bar on stderr when they take long."""
    bar = tqdm(steps, f"{what} {Path(file.path).name}", total, leave=False, delay=PATIENCE, dynamic_ncols=True)
    return cast("Iterable[Step]", bar)


def _chunks(file: CirFile) -> Iterator[tuple[int, np.ndarray]]:
    flat = file.gains().reshape(-1)
    for start in range(0, flat.size, CHUNK):
        yield start, np.asarray(flat[start : start + CHUNK])


@lru_cache(maxsize=4096)
def lag_correlation(file: CirFile, lag: int) -> np.ndarray:
    """E[g_p[n + lag] g_p*[n]] per path, complex128 `[paths]`, in units in which it sums to 1 at lag 0.

    Routes turn around at their ends, as in a fade.
    """
    return _correlation(file, *sample(file, SAMPLE), lag)


def _correlation(file: CirFile, route: np.ndarray, snapshot: np.ndarray, lag: int) -> np.ndarray:
    now = taps(file, route, snapshot)
    later = taps(file, route, reflected(snapshot + lag, file.shape[1]))
    power = np.square(now.view(np.float32)).mean(dtype=np.float64) * 2 * now.shape[-1]
    return (later * now.conj()).mean((0, 1, 2), dtype=np.complex128) / power


@lru_cache(maxsize=64)
def check_sampling(file: CirFile) -> None:
    """Warn once of snapshots so far apart that interpolation between them loses power: (1 - Re R(1)) / 3 on average."""
    loss = (1 - float(lag_correlation(file, 1).sum().real)) / 3
    if loss > COARSE:
        warn(
            f"{file.path}: snapshots every {1e3 * file.snapshot_interval:g} ms are too far apart, interpolation loses "
            f"{100 * loss:.0f} % of the power: measure more often, or give unrelated snapshots a route each",
            stacklevel=3,
        )


def sample(file: CirFile, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Routes and snapshots that represent a sound file: all, or `size` (or TAPS taps) of them at even distances."""
    mean_power(file)  # refuses taps that no statistics can be made of
    count, size = file.shape[0] * file.shape[1], min(size, max(256, TAPS // math.prod(file.shape[2:])))
    chosen = np.linspace(0, count - 1, min(count, size)).astype(int)
    return chosen // file.shape[1], chosen % file.shape[1]


def local_power(file: CirFile, route: np.ndarray, snapshot: np.ndarray) -> np.ndarray:
    """Large-scale gain around snapshots `[n]`: the mean power of a stretch, over that of the file, float64 `[n]`.

    1 where no route is long enough for that (`stretch`): its mean would tell the fading itself.
    """
    length = stretch(file)
    if length is None:
        return np.ones(len(route))
    offsets = np.unique(np.linspace(-length / 2, length / 2, STEPS + 1).astype(int))
    total = np.zeros(len(route))
    for offset in offsets:
        around = taps(file, route, reflected(snapshot + offset, file.shape[1]))
        total += np.square(np.abs(around), dtype=np.float64).sum(-1).mean((1, 2))
    return total / len(offsets) / mean_power(file)


@lru_cache(maxsize=64)
def stretch(file: CirFile) -> int | None:
    """Snapshots of the shortest stretch whose mean power scatters by 1 / sqrt(FADES); None where a route is shorter.

    The mean over w snapshots has the relative variance 2 / w int_0^w (1 - s / w) c(s) ds, c the autocovariance of the
    power, which is sum_p |R_p(s)|^2 less its floor for Gaussian paths and a line of sight. A floor is one only if what
    is above it fades DECORRELATED times in the stretch; else it may as well be fading that is slower than the route.
    """
    route, snapshot = sample(file, SAMPLE)
    lags = np.unique(np.geomspace(1, max(file.shape[1] - 1, 1), 64).astype(int))
    times = np.array([0, *lags])
    ahead = [snapshot * (file.shape[1] - lag) // file.shape[1] for lag in times]  # from where no route has to turn
    pairs = told(zip(ahead, times, strict=True), "stretch of", file, len(times))
    products = np.abs([_correlation(file, route, n, lag) for n, lag in pairs]) ** 2
    covariance = (products - np.median(products[-8:], axis=0)).clip(0).sum(1)
    enough = min(1 / FADES, covariance[0] / DECORRELATED)
    for end, length in enumerate(lags, 2):
        weights = (1 - times[:end] / length) * covariance[:end]
        if covariance[0] > FAINTEST and 2 / length * np.trapezoid(weights, times[:end]) <= enough:
            return int(length)
    return None


@lru_cache(maxsize=64)
def specular_power(file: CirFile) -> float:
    """Share k of the power with constant modulus, from E|h|^4 = (2 - k^2) (E|h|^2)^2 in the middle of the band.

    The moment method of Greenstein, Michelson and Erceg (1999), less the large-scale gain. 0 where it tells less than
    FAINTEST_LOS, or what is within three standard errors of none.
    """
    route, snapshot = sample(file, MOMENTS)
    power = np.abs(taps(file, route, snapshot).sum(-1, dtype=np.complex128)) ** 2
    power /= local_power(file, route, snapshot).clip(1e-30)[:, None, None]
    mean, square = power.mean(), (power**2).mean()
    if mean == 0:
        return 0.0
    influence = (power**2 - square) / mean**2 - 2 * (power / mean - 1) * square / mean**2
    blocks = [part.mean() for part in np.array_split(influence, min(32, len(route)))]
    deficit = 2 - square / mean**2
    return float(np.sqrt(deficit)) if deficit > max(FAINTEST_LOS**2, 3 * np.std(blocks) / len(blocks) ** 0.5) else 0.0
