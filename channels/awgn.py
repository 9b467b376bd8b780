"""Additive white Gaussian noise alone: y = x + n, h = 1."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from semlink.channels.base.fade import Fade
from semlink.channels.base.grid import Grid


@dataclass(frozen=True)
class Awgn:
    """No fading. The receiver knows h = 1 (`csi="perfect"`) unless it is told to estimate."""

    csi = "perfect"
    specular_power = 1.0

    def draw(self, rng: np.random.Generator, images: int) -> UnitFade:
        """The same fade for every image; draws nothing from `rng`."""
        return UnitFade(images)

    def correlation(self, seconds: np.ndarray, hertz: np.ndarray) -> np.ndarray:
        """1 everywhere."""
        return np.ones(np.broadcast(seconds, hertz).shape, np.complex128)


@dataclass(frozen=True)
class UnitFade(Fade):
    """h = 1 for every image and slot."""

    images: int

    def at(self, images: np.ndarray, slots: np.ndarray, grid: Grid) -> np.ndarray:
        return np.ones((len(images), grid.symbols, grid.subcarriers), np.complex64)


PLUGIN = Awgn
