"""One SNR-adaptive DeepJSCC network for all SNRs: residual convolutions on 4x4 space-to-depth, modulated by the SNR.

The idea of one network steered by the SNR is Xu et al. 2012.00533 (ADJSCC); the network is ours. The encoder knows
the nominal SNR, the decoder the reliability `a` of every symbol, so that it stays right under fading.
"""

from __future__ import annotations

from pathlib import Path

from semlink.codecs._learned.codec import LatentCodec
from semlink.codecs._learned.modulated import CELL, AdaptiveNetwork


class Adjscc(LatentCodec):
    """SNR-adaptive DeepJSCC; any picture size; rho = m / 48 (shipped: 1/24, 1/12 and 1/6)."""

    name = "adjscc"
    encodes_on = "snr"
    cell = CELL

    def __init__(self, rho: float = 1 / 6, weights: str | Path | None = None) -> None:
        super().__init__(rho, weights, AdaptiveNetwork, variant="")


PLUGIN = Adjscc
