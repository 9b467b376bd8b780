"""Co-channel interference: another user's OFDM signal of the same numerology, through a fade of its own."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

import numpy as np

from semlink.channels.base.fade import Fade, philox_key
from semlink.channels.base.grid import Grid
from semlink.channels.base.impairment import Disturbance, Impairment, addressed
from semlink.channels.tdl import Tdl


@dataclass(frozen=True)
class Cochannel(Impairment):
    """sir_db: mean wanted power over mean interference power, averaged over the fades of both.

    The interferer sends QPSK on all data and pilots, its symbols arrive within the cyclic prefix, and it fades as the
    channel `tdl` of the other fields does, independently of the wanted signal. ValueError for a sir_db that is not
    finite, and as `tdl` raises it.
    """

    sir_db: float = 10.0
    model: str = "A"
    delay_spread: float = 100e-9
    speed: float = 3.0
    carrier_frequency: float = 3.5e9

    def __post_init__(self) -> None:
        if not isfinite(self.sir_db):
            raise ValueError(f"cochannel needs a finite sir_db, got {self.sir_db}; leave it out for no interference")
        self.channel()

    def channel(self) -> Tdl:
        """The channel from the interferer to the receiver."""
        return Tdl(self.model, self.delay_spread, self.speed, self.carrier_frequency)

    def draw(self, rng: np.random.Generator, images: int) -> CochannelDisturbance:
        """An interferer per image, with a fade of its own."""
        return CochannelDisturbance(self.channel().draw(rng, images), 10 ** (-self.sir_db / 20), philox_key(rng))


@dataclass(frozen=True)
class CochannelDisturbance(Disturbance):
    """fade: of the interferer; amplitude: rms; seed: Philox key of its data."""

    fade: Fade
    amplitude: float
    seed: int

    def interference(self, images: np.ndarray, slots: np.ndarray, grid: Grid) -> np.ndarray:
        """Fade times QPSK."""
        corners = np.float32(self.amplitude) * np.exp(0.25j * np.pi * np.arange(1, 8, 2)).astype(np.complex64)
        shape = (grid.symbols, grid.subcarriers)
        drawn = [rng.integers(4, size=shape, dtype=np.uint8) for rng in addressed(self.seed, images, slots)]
        return self.fade.at(images, slots, grid) * corners[np.stack(drawn)]


PLUGIN = Cochannel
