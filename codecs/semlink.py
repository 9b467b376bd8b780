"""The default codec: an image coder's base for what surely arrives, analog symbols for what the channel still allows.

With link statistics it shares the channel uses between a base (HEVC intra, LDPC, QAM), which gives what is worth sure
bits, and the residual on analog symbols by importance, which degrade and improve with the channel (hybrid
digital-analog coding: Skoglund, Phamdo and Alajaji, IEEE Trans. Inform. Theory 2002 and 2006; the learned parts are in
`_hybrid`). Where no base is worth its risk, and without link statistics, it sends analog symbols alone: the planes of
one network (`_planes`), or of thumbnails the residual of a grey picture. Any rate, any prefix of the symbols decodes.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from torch import Tensor

from semlink.codecs._hybrid.base import is_small
from semlink.codecs._hybrid.codec import HybridCoder
from semlink.codecs._hybrid.layouts import Layout, choose, design_snr_db
from semlink.codecs._neural import snr_per_image
from semlink.codecs._planes import CELL, PLANES, SIZES, AdaptiveNetwork
from semlink.codecs._prefix import PrefixCodec
from semlink.simulator.errors import SemlinkError
from semlink.simulator.values import Reception, Transmission, TxInfo

BASES = ("auto", "none")
HYBRID = Path(__file__).parent / "weights" / "semlink-hybrid.safetensors"


class Semlink(PrefixCodec):
    """rho = m / 192 for m in 1..64, so up to 1/3.

    base: "auto" shares the uses between a base and analog symbols as link statistics advise; "none" (or None) sends
    analog symbols alone. weights: of the analog planes, which thumbnails then take too. hybrid: of
    experiments/train_hybrid.py. size: of a network of planes to be trained, `compact` (2 CPU cores) or `base` (a GPU);
    weight files know their own.
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
        super().__init__(rho, weights, partial(AdaptiveNetwork, **SIZES[size]._asdict()))
        self.base = base
        self._hybrid_weights = Path(hybrid or HYBRID)
        self._loaded: dict[str, HybridCoder] = {}

    @property
    def hybrid(self) -> HybridCoder:
        """The hybrid coder, loaded on first use."""
        if not self._loaded:
            self._loaded["hybrid"] = HybridCoder(self._hybrid_weights)
        return self._loaded["hybrid"]

    def layout(self, tx: TxInfo | None, height: int, width: int) -> Layout | None:
        """How the uses are shared; None: analog symbols alone."""
        if self.base == "none" or tx is None or tx.statistics is None:
            return None
        return choose(tx.statistics, height, width)

    def encode(self, images: Tensor, tx: TxInfo | None = None) -> Transmission:
        """Pictures `[batch, 3, H, W]` in [0, 1] to `base` and `residual`, `residual` or `latent` (see the module)."""
        height, width = images.shape[-2:]
        uses, layout = self.uses(height, width), self.layout(tx, height, width)
        if layout:
            return self.hybrid.encode(images, uses, layout)
        if self.weights is None and is_small(height, width):
            known = tx.statistics if tx else None
            snr_db = design_snr_db(known) if known else float(snr_per_image(tx, len(images)).mean())
            return self.hybrid.encode_alone(images, uses, snr_db)
        return super().encode(images, tx)

    def decode(self, reception: Reception) -> Tensor:
        """Pictures `[batch, 3, H, W]`; clipped to [0, 1] unless the network of planes is in training."""
        hybrid = any(stream.name == "residual" for stream in reception.streams)
        return self.hybrid.decode(reception) if hybrid else super().decode(reception)


PLUGIN = Semlink
