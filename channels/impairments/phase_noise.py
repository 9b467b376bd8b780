"""Phase noise of a free-running oscillator: a Wiener process, whose carrier has a Lorentzian spectrum.

Over s seconds the phase moves by a Gaussian of variance 2 pi B |s|, so E[e^{j dtheta}] = e^{-pi B |s|}, the Fourier
transform of a Lorentzian of full width B at half maximum (Demir, Mehrotra and Roychowdhury, IEEE TCAS-I 47(5), 2000).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import numpy as np

from semlink.channels.base.fade import philox_key
from semlink.channels.base.grid import Grid
from semlink.channels.base.impairment import RX_OVERSAMPLING, Disturbance, Impairment, addressed


@dataclass(frozen=True)
class PhaseNoise(Impairment):
    """linewidth_hz: full width of the carrier's spectrum at half its maximum; ValueError unless it is 0 or more.

    Every slot starts at a uniform phase of its own: receivers work slot by slot, so a break between slots is not seen.
    """

    linewidth_hz: float = 50.0

    def __post_init__(self) -> None:
        if not 0 <= self.linewidth_hz < inf:
            raise ValueError(f"phase_noise needs a finite linewidth_hz from 0 on, got {self.linewidth_hz}")

    def draw(self, rng: np.random.Generator, images: int) -> WienerPhase:
        """Independent walks for every image and slot."""
        return WienerPhase(self.linewidth_hz, philox_key(rng))

    def phase_correlation(self, seconds: np.ndarray) -> np.ndarray:
        """e^{-pi B |s|}."""
        return np.exp(-np.pi * self.linewidth_hz * np.abs(seconds)).astype(np.complex128)


@dataclass(frozen=True)
class WienerPhase(Disturbance):
    """linewidth: Hz; seed: Philox key."""

    linewidth: float
    seed: int

    def phase(self, images: np.ndarray, slots: np.ndarray, grid: Grid) -> np.ndarray:
        """A walk through all samples of the slot, in one longer step over each cyclic prefix."""
        samples = RX_OVERSAMPLING * grid.subcarriers
        steps = np.ones((grid.symbols, samples), np.float32)
        steps[:, 0] += RX_OVERSAMPLING * grid.cyclic_prefix
        variance = self.linewidth / (2 * np.pi * samples * grid.subcarrier_spacing)  # of one step, in turns
        turns = np.empty((len(images), steps.size), np.float32)
        start = np.empty((len(images), 1), np.float32)
        for row, rng in enumerate(addressed(self.seed, images, slots)):
            start[row] = rng.random()
            rng.standard_normal(dtype=np.float32, out=turns[row])
        turns *= np.sqrt(steps * variance).astype(np.float32).ravel()
        turns = start + np.cumsum(turns, -1)
        return (turns - np.rint(turns)).reshape(len(images), *steps.shape)


PLUGIN = PhaseNoise
