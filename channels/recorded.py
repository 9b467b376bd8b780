"""Measured channels: impulse responses from an HDF5 file, linear in time between its snapshots.

`recorded:path=results/my_cir.h5`. The schema is told in `_cir_file.py`; `write_cir_file` writes it, of arrays, lists or
what MATLAB saved. An image starts at a random snapshot of a random route and runs on along it at the speed at which it
was measured; at the ends of a route it turns around. All is divided by one constant, the root of the mean power of the
whole file.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from semlink.channels import _cir_statistics as statistics
from semlink.channels._cir_file import CirFile, fingerprint, open_cir_file, reflected, taps, write_cir_file
from semlink.channels.base.arrays import shape
from semlink.channels.base.fade import PathFade
from semlink.channels.base.grid import Grid

__all__ = ["PLUGIN", "Recorded", "RecordedFade", "write_cir_file"]


@dataclass(frozen=True)
class Recorded:
    """path: the file. rx_antennas, tx_antennas: must be the file's.

    Raises ValueError for a file that is missing, lacks a field, has another number of antennas or impossible values,
    at once; for NaN, infinite or only zero taps, at the first use.
    """

    path: str
    rx_antennas: int = 1
    tx_antennas: int = 1
    csi = "ls"

    def __post_init__(self) -> None:
        rx, tx = self.file().shape[2:4]
        if (rx, tx) != (self.rx_antennas, self.tx_antennas):
            raise ValueError(
                f"{self.path} was measured with {rx} x {tx} antennas: set rx_antennas={rx},tx_antennas={tx}"
            )

    def files(self) -> tuple[Path, ...]:
        """The file of the measurements."""
        return (Path(self.path),)

    @property
    def identity(self) -> str:
        """What fades and noise are keyed by: what the file holds, however its path is spelt."""
        return f"Recorded({fingerprint(self.file())})"

    @property
    def specular_power(self) -> float:
        """Share of a line of sight, estimated from the moments of |h|."""
        return statistics.specular_power(self.file())

    def draw(self, rng: np.random.Generator, images: int) -> RecordedFade:
        """Independent fades: random route, random snapshot of it."""
        file = self.file()
        statistics.check_sampling(file)
        scale = float(statistics.mean_power(file) ** -0.5)
        route, start = (rng.integers(count, size=images) for count in file.shape[:2])
        power = statistics.local_power(file, route, start).astype(np.float32)
        return RecordedFade(file, route, start, scale, power, power * np.float32(self.specular_power))

    def correlation(self, seconds: np.ndarray, hertz: np.ndarray) -> np.ndarray:
        """Sum over paths of E[g(t + seconds) g*(t)] e^{-j 2 pi tau hertz}, its mean over routes, antennas and band.

        complex128, broadcast over both arguments.
        """
        file, form = self.file(), np.broadcast(seconds, hertz).shape
        times, t = np.unique(np.round(np.broadcast_to(seconds, form), 12), return_inverse=True)
        shifts, f = np.unique(np.round(np.broadcast_to(hertz, form), 6), return_inverse=True)
        steps = statistics.told(times, "correlation of", file, len(times))
        in_time = np.stack([_between_lags(file, time) for time in steps])
        found = in_time @ np.exp(-2j * np.pi * np.array(file.delays)[:, None] * shifts)
        return found[t.reshape(form), f.reshape(form)]

    def file(self) -> CirFile:
        """The checked file."""
        return open_cir_file(self.path)


@dataclass(frozen=True)
class RecordedFade(PathFade):
    """route, start: of each image `[images]`, start in snapshots. scale: amplitude of the normalisation.

    power: the mean over a stretch of the route around the start, see `local_power`; specular: the same share of each.
    Pickles without the taps, and maps the file again where it is unpickled.
    """

    file: CirFile
    route: np.ndarray
    start: np.ndarray
    scale: float
    power: np.ndarray | None = None
    specular: np.ndarray | None = None

    @property
    def images(self) -> int:  # type: ignore[override]
        return len(self.route)

    @property
    def delays(self) -> np.ndarray:  # type: ignore[override]
        return np.array(self.file.delays)

    def _paths(self, images: np.ndarray, slots: np.ndarray, grid: Grid) -> np.ndarray:
        seconds = slots[:, None] * grid.slot_time + np.arange(grid.symbols) * grid.symbol_time
        snapshots = self.file.shape[1]
        place = reflected(self.start[images, None] + seconds / self.file.snapshot_interval, snapshots)
        before = place.astype(int)
        after, route = np.minimum(before + 1, snapshots - 1), self.route[images, None]
        share = (place - before).astype(np.float32)[..., None, None, None]
        gains = (1 - share) * taps(self.file, route, before) + share * taps(self.file, route, after)
        gains = np.moveaxis(gains * np.float32(self.scale), 1, 3)
        return gains.reshape(len(images), *shape(*gains.shape[1:3]), *gains.shape[3:])


def _between_lags(file: CirFile, seconds: float) -> np.ndarray:
    """Correlation of each path after `seconds`, complex128 `[paths]`; linear between snapshots, as the gains are."""
    lags = abs(seconds) / file.snapshot_interval
    whole = int(lags)
    found = statistics.lag_correlation(file, whole)
    if lags > whole:
        found = found + (lags - whole) * (statistics.lag_correlation(file, whole + 1) - found)
    return found if seconds >= 0 else found.conj()


PLUGIN = Recorded
