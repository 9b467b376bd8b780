"""The bound of the separated baseline: the same image coder with an ideal code of the rate with the best expected PSNR.

A picture arrives when the mutual information of its own symbols, sum of log2(1 + SINR), carries its bits; the
transmitter knows only the law of that sum, so that a deep fade is an outage here too.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor

from semlink.codecs._sources.separated import SeparatedCodec
from semlink.simulator.values import Session, Stream, Transmission, TxInfo

MARGIN = 1e-5  # relative; keeps rounding from turning capacity into outage


class DigitalCapacity(SeparatedCodec):
    """Capacity-achieving code at any rate and picture size; source as in `digital`."""

    name = "digital_capacity"

    def __init__(self, rho: float = 1 / 6, source: str = "hevc") -> None:
        super().__init__(rho, source)

    def encode(self, images: Tensor, tx: TxInfo | None = None) -> Transmission:
        """Pictures `[batch, 3, H, W]` to one ideal bits stream; without link statistics the channel counts as AWGN."""
        height, width = images.shape[-2:]
        uses = self.uses(height, width)
        payloads = self.payloads(images, self.choose(tx, uses, height, width))
        return Transmission((Stream("picture", "bits", payloads, uses=uses, ideal=True),), Session(height, width))

    def choose(self, tx: TxInfo | None, uses: int, height: int, width: int) -> int:
        """Bytes per picture with the best expected PSNR."""
        samples = np.sort(information_of(tx))
        sizes = np.floor(samples * (1 - MARGIN) * uses / 8).astype(int)
        chances = 1 - np.arange(len(samples)) / len(samples)
        return max(zip(sizes, chances, strict=True), key=lambda s: self.expected(s[1], s[0], height, width))[0]


def information_of(tx: TxInfo | None) -> np.ndarray:
    """Samples of the mean mutual information in bits per use."""
    if tx is not None and tx.statistics is not None:
        return np.asarray(tx.statistics.information)
    snr_db = 10.0 if tx is None or tx.snr_db is None else float(np.min(tx.snr_db))
    return np.array([np.log2(1 + 10 ** (snr_db / 10))])


PLUGIN = DigitalCapacity
