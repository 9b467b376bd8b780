"""Carrier frequency offset: what synchronisation leaves of it turns the received signal at a constant rate."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import numpy as np

from semlink.channels.base.grid import Grid
from semlink.channels.base.impairment import Disturbance, Impairment, sample_times


@dataclass(frozen=True)
class Cfo(Impairment):
    """hertz: standard deviation of the offset, which is Gaussian and constant per image; `fixed`: the offset itself.

    Raises ValueError for an offset that is not finite or a negative deviation.
    """

    hertz: float = 200.0
    fixed: bool = False

    def __post_init__(self) -> None:
        if not abs(self.hertz) < inf or (self.hertz < 0 and not self.fixed):
            raise ValueError(f"cfo needs finite hertz, and a standard deviation from 0 on, got {self.hertz}")

    def draw(self, rng: np.random.Generator, images: int) -> CfoDisturbance:
        """An offset per image."""
        scale = np.ones(images) if self.fixed else rng.standard_normal(images)
        return CfoDisturbance(self.hertz * scale)

    def phase_correlation(self, seconds: np.ndarray) -> np.ndarray:
        """Characteristic function of the offset: e^{j 2 pi f s}, or e^{-(2 pi sigma s)^2 / 2}."""
        radians = 2 * np.pi * self.hertz * np.asarray(seconds)
        return np.exp(1j * radians) if self.fixed else np.exp(-(radians**2) / 2).astype(np.complex128)


@dataclass(frozen=True)
class CfoDisturbance(Disturbance):
    """offsets: Hz, float64 `[images]`."""

    offsets: np.ndarray

    def phase(self, images: np.ndarray, slots: np.ndarray, grid: Grid) -> np.ndarray:
        """Offset times time since the start of slot 0, less whole turns."""
        start = self.offsets[images] * slots * grid.slot_time
        turns = (start - np.rint(start))[:, None, None] + self.offsets[images][:, None, None] * sample_times(grid)
        return (turns - np.rint(turns)).astype(np.float32)


PLUGIN = Cfo
