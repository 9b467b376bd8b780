"""SwinJSCC: Swin transformers at both ends, steered by SNR and rate (Yang et al. 2308.09361, after WITT, 2211.00937).

One deviation: SwinJSCC sends the channels with the largest summed gates and must tell which; here planes are ordered
and the first m are sent, which needs no side information.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, Literal

from semlink.codecs._learned.prefix import PrefixCodec
from semlink.codecs.swinjscc.network import Size, SwinNetwork, cell_of
from semlink.simulator.errors import SemlinkError

SIZES = {
    "small": Size(2, (128, 256), (2, 4), (4, 8), 2),
    "compact": Size(4, (64, 128), (2, 4), (2, 4), 4),
    "base": Size(2, (128, 192, 256, 320), (2, 2, 6, 2), (4, 6, 8, 10), 8),
}


class Swinjscc(PrefixCodec):
    """SNR- and rate-adaptive Swin JSCC; rho = m / (3 cell^2) for m in 1..cell^2, so up to 1/3.

    size: `small` (the paper's for CIFAR-10, cells of 4x4 px), `compact` (for CPUs, 8x8 px) or `base` (the paper's for
    photographs, 16x16 px); a weights file must be of the same cell and rebuilds its own network.
    """

    name = "swinjscc"
    encodes_on = "snr"

    def __init__(
        self,
        rho: float = 1 / 12,
        weights: str | Path | None = None,
        size: Literal["small", "compact", "base"] = "compact",
    ) -> None:
        if size not in SIZES:
            raise SemlinkError(f"swinjscc has no size {size!r}; known: {', '.join(SIZES)}")
        chosen = SIZES[size]
        self.cell = cell_of(chosen.patch, chosen.widths)
        self.most = self.cell**2
        super().__init__(rho, weights, partial(SwinNetwork, **chosen._asdict()))

    def fits(self, settings: dict[str, Any], path: Path) -> dict[str, Any]:
        """Settings to rebuild the network of that file; SemlinkError when it has another cell."""
        cell = cell_of(settings["patch"], settings["widths"]) if {"patch", "widths"} <= settings.keys() else self.cell
        if cell != self.cell:
            fitting = [name for name, size in SIZES.items() if cell_of(size.patch, size.widths) == cell]
            remedy = f"; choose size={fitting[0]}" if fitting else ""
            raise SemlinkError(f"{path}: a network of {cell}x{cell} px cells, not of {self.cell}x{self.cell}{remedy}")
        return super().fits(settings, path)
