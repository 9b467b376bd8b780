"""Narrow-band interference: stationary Gaussian noise of a flat band, or a tone, that leaks through the receiver's FFT.

The interferer does not know the receiver's symbols: each subcarrier gets sinc((f - f_k) T) of every line at f. The
band is a set of Gauss-Legendre lines with Gaussian amplitudes, which have the band's correlation within a slot.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import ceil, isfinite

import numpy as np
from scipy.special import roots_legendre

from semlink.channels.base.fade import complex_normal, philox_key, unit_phasor
from semlink.channels.base.grid import Grid
from semlink.channels.base.impairment import Disturbance, Impairment, addressed, useful_starts


@dataclass(frozen=True)
class Narrowband(Impairment):
    """sir_db: mean wanted power over interference power, both of the whole signal at the receiver input.

    So the interference averages 10^(-sir_db / 10) over all resource elements (less what lies or leaks out of the
    band), all of it on a few subcarriers. offset_hz: its centre from the middle of the band. bandwidth_hz: 0 is a tone
    of constant amplitude that runs on from slot to slot; a wider one is independent from slot to slot, which
    receivers that work slot by slot do not see. Raises ValueError for values that are not finite, for a negative
    bandwidth, and at first use for one that is wider than the grid.
    """

    sir_db: float = 10.0
    offset_hz: float = 0.0
    bandwidth_hz: float = 180e3

    def __post_init__(self) -> None:
        if not all(map(isfinite, (self.sir_db, self.offset_hz, self.bandwidth_hz))) or self.bandwidth_hz < 0:
            raise ValueError(f"narrowband needs finite values and a bandwidth from 0 on: {self}")

    def draw(self, rng: np.random.Generator, images: int) -> NarrowbandDisturbance:
        """An interferer per image."""
        turns, seed = rng.random(images), philox_key(rng)
        return NarrowbandDisturbance(10 ** (-self.sir_db / 20), self.offset_hz, self.bandwidth_hz, turns, seed)


@dataclass(frozen=True)
class NarrowbandDisturbance(Disturbance):
    """amplitude: rms; centre, width: Hz; turns: phase of each image's tone, float64 `[images]`; seed: Philox key."""

    amplitude: float
    centre: float
    width: float
    turns: np.ndarray
    seed: int

    def interference(self, images: np.ndarray, slots: np.ndarray, grid: Grid) -> np.ndarray:
        """Amplitudes of all lines, turned to each symbol, times what a line leaves on each subcarrier."""
        if self.width > grid.subcarriers * grid.subcarrier_spacing:
            raise ValueError(f"interference of {self.width:g} Hz is wider than the grid: use cochannel, or less")
        times, leaks, weights = _lines(self.centre, self.width, grid)
        if self.width == 0:
            lines = unit_phasor(self.turns[images] + self.centre * grid.slot_time * slots)[:, None]
        else:
            lines = np.stack([complex_normal(r, weights.shape) for r in addressed(self.seed, images, slots)]) * weights
        return ((np.float32(self.amplitude) * lines)[:, None] * times) @ leaks  # slot by slot: the same in any batch


@cache
def _lines(centre: float, width: float, grid: Grid) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Phasors `[symbols, lines]`, leakage `[lines, subcarriers]`, amplitudes `[lines]` whose squares sum to 1."""
    # over the band a line's phase moves by up to 2 pi width slot_time; Gauss-Legendre needs a line per 4 radians
    count = ceil(1.6 * width * grid.slot_time) + 24 if width else 1
    nodes, weights = roots_legendre(count)
    frequencies = centre + width / 2 * nodes
    times = unit_phasor(useful_starts(grid)[:, None] * frequencies)
    shift = (frequencies[:, None] - grid.frequencies()) / grid.subcarrier_spacing
    leaks = np.sqrt(grid.subcarriers) * np.sinc(shift) * unit_phasor(shift / 2)
    return times, leaks.astype(np.complex64), np.sqrt(weights / 2).astype(np.float32)


PLUGIN = Narrowband
