"""Frequency-flat fading, h = specular + scatter * CN(0, 1), redrawn per image, per slot or per resource element."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from semlink.channels.base.arrays import correlated
from semlink.channels.base.fade import Fade, complex_normal
from semlink.channels.base.grid import Grid
from semlink.channels.base.names import unknown

COHERENCE = ("image", "slot", "symbol")


@dataclass(frozen=True)
class FlatFade(Fade):
    """mean: complex64 `[images, *antennas]`, the specular part; scatter: amplitude of the CN(0, 1) part.

    seed: Philox key of its draws. neighbours: correlation of neighbouring antennas, (receive, transmit).
    """

    mean: np.ndarray
    scatter: float
    seed: int
    coherence: str
    neighbours: tuple[float, float] = (0.0, 0.0)

    @property
    def images(self) -> int:  # type: ignore[override]
        return len(self.mean)

    def at(self, images: np.ndarray, slots: np.ndarray, grid: Grid) -> np.ndarray:
        response = np.empty((len(images), *self.mean.shape[1:], grid.symbols, grid.subcarriers), np.complex64)
        periods = np.zeros_like(slots) if self.coherence == "image" else slots
        for period in np.unique(periods):
            chosen = periods == period
            gains = self.mean[..., None, None] + np.float32(self.scatter) * self._scattered(int(period), grid)
            response[chosen] = gains[images[chosen]]
        return response

    def _scattered(self, period: int, grid: Grid) -> np.ndarray:
        rng = np.random.Generator(np.random.Philox(key=self.seed, counter=[0, 0, 0, period % 2**63]))
        shape = (grid.symbols, grid.subcarriers) if self.coherence == "symbol" else (1, 1)
        return correlated(complex_normal(rng, (*self.mean.shape, *shape)), *self.neighbours)


def flat_correlation(coherence: str, specular_power: float, seconds: np.ndarray, hertz: np.ndarray) -> np.ndarray:
    """Correlation within a slot: 1, or with `symbol` coherence the specular power away from (0, 0)."""
    seconds, hertz = np.broadcast_arrays(seconds, hertz)
    same = (seconds == 0) & (hertz == 0) if coherence == "symbol" else np.ones(seconds.shape, bool)
    return np.where(same, 1.0, specular_power).astype(np.complex128)


def check_coherence(coherence: str) -> None:
    """ValueError unless `coherence` is one of COHERENCE."""
    if coherence not in COHERENCE:
        raise ValueError(unknown("coherence", str(coherence), COHERENCE))
