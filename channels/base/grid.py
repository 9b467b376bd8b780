"""OFDM numerology and pilots: the resource grid of one slot, shared by channels, link and receiver."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Grid:
    """One slot of an OFDM resource grid with Kronecker pilots.

    subcarriers x symbols resource elements; `pilot_symbols` are OFDM symbols whose subcarriers all carry pilots.
    subcarrier_spacing in Hz; cyclic_prefix in samples of the 1 / (subcarriers * spacing) clock.
    Raises ValueError when there is no pilot or no data symbol, or a size is not positive.
    """

    subcarriers: int = 72
    symbols: int = 14
    subcarrier_spacing: float = 15e3
    cyclic_prefix: int = 6
    pilot_symbols: tuple[int, ...] = (2, 11)

    def __post_init__(self) -> None:
        pilots = set(self.pilot_symbols)
        if self.subcarriers < 2 or self.subcarrier_spacing <= 0 or self.cyclic_prefix < 0:
            raise ValueError(f"grid needs >= 2 subcarriers, a positive spacing and a prefix >= 0: {self}")
        if not pilots or not pilots < set(range(self.symbols)) or len(pilots) != len(self.pilot_symbols):
            raise ValueError(
                f"pilot_symbols {self.pilot_symbols} must be some, not all, of 0..{self.symbols - 1}, each once"
            )

    @property
    def data_symbols(self) -> int:
        """Data resource elements of a slot."""
        return self.subcarriers * (self.symbols - len(self.pilot_symbols))

    @property
    def prefix_time(self) -> float:
        """Seconds of the cyclic prefix."""
        return self.cyclic_prefix / (self.subcarriers * self.subcarrier_spacing)

    @property
    def symbol_time(self) -> float:
        """Seconds of one OFDM symbol, prefix included."""
        return (1 + self.cyclic_prefix / self.subcarriers) / self.subcarrier_spacing

    @property
    def slot_time(self) -> float:
        """Seconds of one slot."""
        return self.symbols * self.symbol_time

    def frequencies(self) -> np.ndarray:
        """Baseband frequency of each subcarrier in Hz, float64 `[subcarriers]`, centred on 0."""
        return (np.arange(self.subcarriers) - self.subcarriers // 2) * self.subcarrier_spacing

    def slots(self, uses: int) -> int:
        """Whole slots that hold `uses` data symbols; at least one."""
        return max(1, -(-uses // self.data_symbols))
