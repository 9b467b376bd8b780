"""The default codec: an image coder's base for what surely arrives, analog symbols for what the channel still allows.

With link statistics it shares the channel uses between a base (HEVC intra, LDPC, QAM), which gives what is worth sure
bits, and the residual on analog symbols by importance, which degrade and improve with the channel (hybrid
digital-analog coding: Skoglund, Phamdo and Alajaji, IEEE Trans. Inform. Theory 2002 and 2006; it is in `hybrid`).
Where no base is worth its risk, and without link statistics, it sends the analog planes of one network (`planes`)
alone: any rate, any prefix of the symbols decodes. With link statistics they travel mixed (`mixing`), without them in
order of importance.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from torch import Tensor

from semlink.codecs._learned.prefix import PrefixCodec
from semlink.codecs._learned.shipped import WEIGHTS, local
from semlink.codecs.semlink.hybrid.codec import HybridCoder
from semlink.codecs.semlink.hybrid.layouts import QUALITY, HybridLayout, choose
from semlink.codecs.semlink.hybrid.thumbs import THUMBS
from semlink.codecs.semlink.mixing import TOLD, mixed_planes, unmixed_planes
from semlink.codecs.semlink.planes import CELL, PLANES, SIZES, PlaneNetwork
from semlink.simulator.bits.success import BLER
from semlink.simulator.errors import SemlinkError
from semlink.simulator.values import Reception, Transmission, TxInfo

BASES = ("auto", "none")
HYBRID = WEIGHTS / "semlink-hybrid.safetensors"


class Semlink(PrefixCodec):
    """rho = m / 192 for m in 1..64, so up to 1/3.

    base: "auto" shares the uses between a base and analog symbols as link statistics advise; "none" (or None) sends
    analog planes alone. weights: of the analog planes. hybrid: of experiments/train_hybrid.py. size: of a network of
    planes to be trained, `compact` (2 CPU cores) or `base` (a GPU); weight files know their own.
    """

    name = "semlink"
    encodes_on = "link"
    cell = CELL
    most = PLANES

    def __init__(
        self,
        rho: float = 1 / 12,
        weights: str | Path | None = None,
        size: str = "compact",
        base: str | None = "auto",
        hybrid: str | Path | None = None,
    ) -> None:
        base = base or "none"  # what the word `none` on a command line is read as
        for what, value, known in (("size", size, tuple(SIZES)), ("base", base, BASES)):
            if value not in known:
                raise SemlinkError(f"semlink has no {what} {value!r}; known: {', '.join(known)}")
        super().__init__(rho, weights, partial(PlaneNetwork, **SIZES[size]._asdict()))
        self.base = base
        self._hybrid_weights = Path(hybrid or HYBRID)
        self._loaded: dict[str, HybridCoder] = {}

    def files(self) -> tuple[Path, ...]:
        """What its pictures depend on: also the hybrid coder's weights and tables where it may choose it."""
        more = () if self.base == "none" else (self._hybrid_weights, QUALITY, THUMBS, BLER)
        return (*super().files(), *local(*more))

    @property
    def hybrid(self) -> HybridCoder:
        """The hybrid coder, loaded on first use."""
        if not self._loaded:
            self._loaded["hybrid"] = HybridCoder(self._hybrid_weights)
        return self._loaded["hybrid"]

    def layout(self, tx: TxInfo | None, height: int, width: int) -> HybridLayout | None:
        """How the uses are shared; None: analog planes alone."""
        if self.base == "none" or tx is None or tx.statistics is None:
            return None
        return choose(tx.statistics, height, width)

    def encode(self, images: Tensor, tx: TxInfo | None = None) -> Transmission:
        """Pictures `[batch, 3, H, W]` in [0, 1] to `base` and `residual`, or to `latent` (see the module)."""
        height, width = images.shape[-2:]
        layout = self.layout(tx, height, width)
        if layout:
            return self.hybrid.encode(images, self.uses(height, width), layout)
        sent = super().encode(images, tx)
        return sent if tx is None or tx.statistics is None else mixed_planes(sent)

    def decode(self, reception: Reception) -> Tensor:
        """Pictures `[batch, 3, H, W]`; clipped to [0, 1] unless the network of planes is in training."""
        if any(stream.name == "base" for stream in reception.streams):
            return self.hybrid.decode(reception)
        return super().decode(unmixed_planes(reception) if TOLD in reception.session.constants else reception)
