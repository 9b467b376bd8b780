"""Erasures: packets of data symbols get lost as a whole, and the receiver knows which."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from semlink.channels.base.fade import philox_key
from semlink.channels.base.grid import Grid
from semlink.channels.base.impairment import Disturbance, Impairment, addressed


@dataclass(frozen=True)
class Erasure(Impairment):
    """rate: share of packets that are lost, independently of each other.

    packet: "slot", or how many data symbols that follow each other on the grid (the last packet of a slot may be
    shorter). Raises ValueError for a rate outside 0..1 or another packet.
    """

    rate: float = 0.1
    packet: int | str = "slot"

    def __post_init__(self) -> None:
        if not 0 <= self.rate <= 1:
            raise ValueError(f"erasure needs a rate within 0 and 1, got {self.rate}")
        if self.packet != "slot" and not (isinstance(self.packet, int) and self.packet >= 1):
            raise ValueError(f'a packet is "slot" or a whole number of symbols from 1 on, got {self.packet!r}')

    def draw(self, rng: np.random.Generator, images: int) -> ErasureDisturbance:
        """Losses of every image and slot."""
        return ErasureDisturbance(self.rate, self.packet, philox_key(rng))


@dataclass(frozen=True)
class ErasureDisturbance(Disturbance):
    """rate, packet: as in Erasure; seed: Philox key."""

    rate: float
    packet: int | str
    seed: int

    def erased(self, images: np.ndarray, slots: np.ndarray, grid: Grid) -> np.ndarray:
        """One draw per packet, for all its symbols."""
        size = grid.data_symbols if isinstance(self.packet, str) else self.packet
        packets = -(-grid.data_symbols // size)
        lost = np.stack([rng.random(packets) < self.rate for rng in addressed(self.seed, images, slots)])
        return np.repeat(lost, size, axis=1)[:, : grid.data_symbols]


PLUGIN = Erasure
