"""Rician block fading: h = sqrt(K/(K+1)) e^{j theta} + sqrt(1/(K+1)) CN(0, 1), theta uniform per image, E|h|^2 = 1."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from semlink.channels._flat import FlatFade, check_coherence, flat_correlation
from semlink.channels.base.arrays import check_antennas, shape
from semlink.channels.base.fade import philox_key, unit_phasor


@dataclass(frozen=True)
class Rician:
    """k_db: ratio of specular to scattered power in dB. coherence, antennas and correlations are as in `rayleigh`.

    They describe the scattered part; the specular part is the same at all antennas (broadside).
    """

    k_db: float = 6.0
    coherence: str = "image"
    rx_antennas: int = 1
    tx_antennas: int = 1
    rx_correlation: float = 0.0
    tx_correlation: float = 0.0
    csi = "ls"

    def __post_init__(self) -> None:
        check_coherence(self.coherence)
        check_antennas(self.rx_antennas, self.tx_antennas, self.rx_correlation, self.tx_correlation)

    @property
    def specular_power(self) -> float:
        """K / (K + 1)."""
        k = 10 ** (self.k_db / 10)
        return k / (k + 1)

    def draw(self, rng: np.random.Generator, images: int) -> FlatFade:
        """Independent phases and gains for `images` images."""
        antennas = shape(self.rx_antennas, self.tx_antennas)
        phases = unit_phasor(rng.random(images)).reshape(images, *(1 for _ in antennas))
        mean = np.float32(np.sqrt(self.specular_power)) * np.broadcast_to(phases, (images, *antennas))
        scatter = float(np.sqrt(1 - self.specular_power))
        return FlatFade(mean, scatter, philox_key(rng), self.coherence, (self.rx_correlation, self.tx_correlation))

    def correlation(self, seconds: np.ndarray, hertz: np.ndarray) -> np.ndarray:
        """E[h h*] within a slot."""
        return flat_correlation(self.coherence, self.specular_power, seconds, hertz)


PLUGIN = Rician
