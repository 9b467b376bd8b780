"""H.265 frame by frame, a packet each, over 5G LDPC and QAM: the separated baseline for clips, by x265.

Preset slow, tuned for PSNR (no psychovisual decisions, no adaptive quantisation), 10-bit planes of orthogonal colours,
one frame in, one packet out, a rate buffer of ten frames, no SEI, parameter sets as session constants.
"""

from __future__ import annotations

from semlink.codecs.video._classical import Classical


class H265(Classical):
    """Frames of H.265; the last whole frame stands from a loss to the next intra frame.

    mcs: always this scheme (`semlink.simulator.bits.mcs`) instead of the best expected one. gop: frames from an intra
    frame to the next, likewise; 256 is as good as never. nack: a loss is told back, which is charged, and mended by an
    intra frame. scale: factor of the sides of the coded pictures (1, 0.75, 0.5, 0.375, 0.25, 0.125) instead of the best
    expected one.
    """

    def __init__(
        self,
        rho: float = 1 / 48,
        mcs: str | None = None,
        gop: int | None = None,
        nack: bool = True,
        scale: float | None = None,
    ) -> None:
        super().__init__("h265", rho, mcs, gop, nack, scale)


PLUGIN = H265
