"""H.265 or H.264 frame by frame, a packet each, over 5G LDPC and QAM: the separated baseline for clips.

Scheme, intra period and size of the coded pictures are those with the best expected quality (`_plan`). Rate control is
the coder's own with a buffer of ten frames, the same burst that every codec may take; a frame that does not fit then is
left out, and the last one stands. So it does from a loss until that is mended.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from semlink.codecs._sources import ladder
from semlink.codecs._sources.stream import CODERS
from semlink.codecs.video._expected import TABLE as QUALITY
from semlink.codecs.video._plan import PERIODS, Asked
from semlink.codecs.video._receiving import ClassicalReceiver
from semlink.codecs.video._sending import ClassicalSender
from semlink.simulator.bits.mcs import get
from semlink.simulator.bits.success import BLER
from semlink.simulator.errors import SemlinkError
from semlink.simulator.video import Clip


class Classical:
    """Packets of a frame each; what is lost is sent again, and until it comes the last picture stands.

    Preset slow, tuned for PSNR (no psychovisual decisions, no adaptive quantisation), 10-bit planes of orthogonal
    colours, one frame in, one packet out, a rate buffer of ten frames, no SEI, parameter sets as session constants.

    mcs: always this scheme (`semlink.simulator.bits.mcs`) instead of the best expected one. gop: frames from an intra
    frame to the next, likewise; 256 is as good as never. nack: a loss is told back, which is charged, and what was lost
    is sent again, or an intra frame where that is cheaper; without, a loss lasts until the next intra frame. scale:
    factor of the sides of the coded pictures (1, 0.75, 0.5, 0.375, 0.25, 0.125) instead of the best expected one.
    """

    standard: ClassVar[str]
    group = 1
    encodes_on = "link"

    def __init__(
        self,
        rho: float = 1 / 48,
        mcs: str | None = None,
        gop: int | None = None,
        nack: bool = True,
        scale: float | None = None,
    ) -> None:
        if not 0 < rho <= 1:
            raise SemlinkError(f"rho must be within 0 and 1, got {rho:g}")
        if gop is not None and not 1 <= gop <= PERIODS[-1]:
            raise SemlinkError(f"gop={gop}: give frames from an intra frame to the next, 1 to {PERIODS[-1]}")
        if scale is not None and scale not in ladder.FACTORS:
            raise SemlinkError(f"scale={scale:g}: known: {', '.join(f'{f:g}' for f in ladder.FACTORS)}")
        self.coder, self.rho, self.feedback = CODERS[self.standard], rho, nack
        self.mcs, self.gop, self.scale = get(mcs) if mcs else None, gop, scale

    def files(self) -> tuple[Path, ...]:
        """What scheme, period and size depend on."""
        return QUALITY, BLER

    def sender(self, clip: Clip) -> ClassicalSender:
        """The encoder, which plans when it sees the first frame."""
        asked = Asked(self.coder.name, self.rho, self.mcs, self.gop, self.scale, self.feedback)
        return ClassicalSender(self.coder, asked, clip)

    def receiver(self, clip: Clip) -> ClassicalReceiver:
        """The decoder."""
        return ClassicalReceiver(self.coder, clip, self.feedback)
