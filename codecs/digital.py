"""The separated baseline: image coder + CRC + 5G LDPC + QAM, filling exactly the same channel uses.

The scheme is the one with the best expected PSNR at this channel and SNR (definitions.md), not a 10 % error rule.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from torch import Tensor

from semlink.codecs._sources.separated import SeparatedCodec, over_awgn
from semlink.simulator.bits.framing import room
from semlink.simulator.bits.mcs import TABLE, Mcs, get
from semlink.simulator.bits.success import BLER
from semlink.simulator.values import Session, Stream, Transmission, TxInfo


class Digital(SeparatedCodec):
    """Real codes at any rate and picture size.

    source: "hevc" (intra, the BPG equivalent), "hevc444", "avif", "webp", "jpegxl", "jpeg2000" or "jpeg".
    mcs: always this scheme (`semlink.simulator.bits.mcs`) instead of the best expected one.
    """

    name = "digital"

    def __init__(
        self,
        rho: float = 1 / 6,
        source: Literal["jpeg", "jpeg2000", "webp", "avif", "jpegxl", "hevc", "hevc444"] = "hevc",
        mcs: str | None = None,
    ) -> None:
        super().__init__(rho, source)
        self.mcs = get(mcs) if mcs else None

    def files(self) -> tuple[Path, ...]:
        """What the choice of a scheme depends on; nothing where there is none."""
        return () if self.mcs else (*super().files(), BLER)

    def encode(self, images: Tensor, tx: TxInfo | None = None) -> Transmission:
        """Pictures `[batch, 3, H, W]` to one bits stream; without link statistics the channel is taken for AWGN."""
        height, width = images.shape[-2:]
        uses = self.uses(height, width)
        mcs = self.mcs or self.choose(tx, uses, height, width)
        stream = Stream("picture", "bits", self.payloads(images, room(uses, mcs)), mcs=mcs.name, uses=uses)
        return Transmission((stream,), Session(height, width))

    def choose(self, tx: TxInfo | None, uses: int, height: int, width: int) -> Mcs:
        """The scheme with the best expected PSNR."""
        known = tx.statistics if tx else None
        chances = known.success if known else over_awgn(tx, uses)
        return max(TABLE, key=lambda m: self.expected(chances[m.name], room(uses, m), height, width))


PLUGIN = Digital
