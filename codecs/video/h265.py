"""H.265 frame by frame, a packet each, over 5G LDPC and QAM: the separated baseline for clips, by x265."""

from __future__ import annotations

from semlink.codecs.video._classical import Classical


class H265(Classical):
    __doc__ = Classical.__doc__
    standard = "h265"


PLUGIN = H265
