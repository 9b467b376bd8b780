"""Draw, then apply: a channel draws a `Fade` once per block of images; a fade answers for any slot at any time.

A channel is a frozen dataclass with `csi` (the default CSI mode), `draw(rng, images) -> Fade` and
`correlation(seconds, hertz)`, the second-order statistics that its receiver knows. One file, one channel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from semlink.channels._grid import Grid


class Channel(Protocol):
    """One channel model; its fields are its configuration, E|h|^2 = 1 over draws."""

    csi: str
    specular_power: float  # share of E|h|^2 that comes with constant modulus and random phase

    def draw(self, rng: np.random.Generator, images: int) -> Fade:
        """Independent fades for `images` images."""
        ...

    def correlation(self, seconds: np.ndarray, hertz: np.ndarray) -> np.ndarray:
        """E[h(t + seconds, f + hertz) h*(t, f)], complex128, broadcast over both arguments; 1 at (0, 0)."""
        ...


class Fade:
    """Frequency responses of a block of images, continuous in time from slot 0 on; subclasses are frozen and pickle."""

    images: int

    def at(self, images: np.ndarray, slots: np.ndarray, grid: Grid) -> np.ndarray:
        """Response of slot `slots[i]` of image `images[i]`: complex64 `[n, symbols, subcarriers]`."""
        raise AttributeError(f"{type(self).__name__} must define at(images, slots, grid)")

    def response(self, start_slot: int, n_slots: int, grid: Grid = Grid()) -> np.ndarray:
        """Responses of all images: complex64 `[images, n_slots, symbols, subcarriers]`."""
        images = np.repeat(np.arange(self.images), n_slots)
        slots = np.tile(np.arange(start_slot, start_slot + n_slots), self.images)
        return self.at(images, slots, grid).reshape(self.images, n_slots, grid.symbols, grid.subcarriers)


@dataclass(frozen=True)
class RayFade(Fade):
    """Paths made of rays: h(t, f) = sum_p e^{-j 2 pi f tau_p} sum_m c_pm e^{j 2 pi nu_pm t}.

    delays: seconds `[paths]`, the same for all images. gains: complex64 `[images, paths, rays]`.
    doppler: Hz, float64 `[images, paths, rays]`.
    """

    delays: np.ndarray
    gains: np.ndarray
    doppler: np.ndarray

    @property
    def images(self) -> int:  # type: ignore[override]
        return len(self.gains)

    def at(self, images: np.ndarray, slots: np.ndarray, grid: Grid) -> np.ndarray:
        doppler, gains = (np.ascontiguousarray(np.moveaxis(v[images], 2, 0)) for v in (self.doppler, self.gains))
        rays = gains * unit_phasor(doppler * (slots * grid.slot_time)[:, None])
        rotation = unit_phasor(doppler * grid.symbol_time)
        paths = np.empty((len(images), grid.symbols, len(self.delays)), np.complex64)
        for symbol in range(grid.symbols):
            paths[:, symbol] = rays.sum(0)  # rays first: sums run over long rows
            rays *= rotation
        return paths @ unit_phasor(-self.delays[:, None] * grid.frequencies())


def unit_phasor(turns: np.ndarray) -> np.ndarray:
    """e^{j 2 pi turns} as complex64; whole turns are removed in float64 first, so long clips keep their phase."""
    radians = (2 * np.pi * (turns - np.rint(turns))).astype(np.float32)
    phasor = np.empty(radians.shape, np.complex64)
    np.cos(radians, out=phasor.real)
    np.sin(radians, out=phasor.imag)
    return phasor


def complex_normal(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """CN(0, 1) samples, complex64."""
    pairs = rng.standard_normal((*shape, 2), dtype=np.float32)
    return pairs.view(np.complex64)[..., 0] * np.float32(np.sqrt(0.5))
