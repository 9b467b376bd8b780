"""H.264 frame by frame, a packet each, over 5G LDPC and QAM: the separated baseline for clips, by x264."""

from __future__ import annotations

from semlink.codecs.video._classical import Classical


class H264(Classical):
    __doc__ = Classical.__doc__
    standard = "h264"


PLUGIN = H264
