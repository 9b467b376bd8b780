"""Rayleigh block fading: y = h x + n, h ~ CN(0, 1), so E|h|^2 = 1 (Tse and Viswanath 2005, sec. 2.4)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from semlink.channels._flat import FlatFade, check_coherence, flat_correlation
from semlink.channels.base.arrays import check_antennas, shape
from semlink.channels.base.fade import philox_key


@dataclass(frozen=True)
class Rayleigh:
    """coherence: "image" (one gain per image), "slot", or "symbol" (one per resource element; needs perfect CSI).

    rx_antennas x tx_antennas gains, correlated as rho^|i - j| at each end (0: independent).
    """

    coherence: str = "image"
    rx_antennas: int = 1
    tx_antennas: int = 1
    rx_correlation: float = 0.0
    tx_correlation: float = 0.0
    csi = "ls"
    specular_power = 0.0

    def __post_init__(self) -> None:
        check_coherence(self.coherence)
        check_antennas(self.rx_antennas, self.tx_antennas, self.rx_correlation, self.tx_correlation)

    def draw(self, rng: np.random.Generator, images: int) -> FlatFade:
        """Independent gains for `images` images."""
        zero = np.zeros((images, *shape(self.rx_antennas, self.tx_antennas)), np.complex64)
        correlation = (self.rx_correlation, self.tx_correlation)
        return FlatFade(zero, 1.0, philox_key(rng), self.coherence, correlation)

    def correlation(self, seconds: np.ndarray, hertz: np.ndarray) -> np.ndarray:
        """E[h h*] within a slot."""
        return flat_correlation(self.coherence, 0.0, seconds, hertz)


PLUGIN = Rayleigh
