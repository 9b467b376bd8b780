"""Rayleigh block fading: y = h x + n, h ~ CN(0, 1), so E|h|^2 = 1 (Tse and Viswanath 2005, sec. 2.4)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from semlink.channels._flat import FlatFade, check_coherence, flat_correlation, philox_key


@dataclass(frozen=True)
class Rayleigh:
    """coherence: "image" (one gain per image), "slot", or "symbol" (one per resource element; needs perfect CSI)."""

    coherence: str = "image"
    csi = "ls"
    specular_power = 0.0

    def __post_init__(self) -> None:
        check_coherence(self.coherence)

    def draw(self, rng: np.random.Generator, images: int) -> FlatFade:
        """Independent gains for `images` images."""
        return FlatFade(np.zeros(images, np.complex64), 1.0, philox_key(rng), self.coherence)

    def correlation(self, seconds: np.ndarray, hertz: np.ndarray) -> np.ndarray:
        """E[h h*] within a slot."""
        return flat_correlation(self.coherence, 0.0, seconds, hertz)


PLUGIN = Rayleigh
