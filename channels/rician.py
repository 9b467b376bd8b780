"""Rician block fading: h = sqrt(K/(K+1)) e^{j theta} + sqrt(1/(K+1)) CN(0, 1), theta uniform per image, E|h|^2 = 1."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from semlink.channels._fade import unit_phasor
from semlink.channels._flat import FlatFade, check_coherence, flat_correlation, philox_key


@dataclass(frozen=True)
class Rician:
    """k_db: ratio of specular to scattered power in dB. coherence of the scattered part as in `rayleigh`."""

    k_db: float = 6.0
    coherence: str = "image"
    csi = "ls"

    def __post_init__(self) -> None:
        check_coherence(self.coherence)

    @property
    def specular_power(self) -> float:
        """K / (K + 1)."""
        k = 10 ** (self.k_db / 10)
        return k / (k + 1)

    def draw(self, rng: np.random.Generator, images: int) -> FlatFade:
        """Independent phases and gains for `images` images."""
        specular = np.float32(np.sqrt(self.specular_power)) * unit_phasor(rng.random(images))
        return FlatFade(specular, float(np.sqrt(1 - self.specular_power)), philox_key(rng), self.coherence)

    def correlation(self, seconds: np.ndarray, hertz: np.ndarray) -> np.ndarray:
        """E[h h*] within a slot."""
        return flat_correlation(self.coherence, self.specular_power, seconds, hertz)


PLUGIN = Rician
