"""Frames one by one to H.265 or H.264 and back, without delay: x265 and x264 through PyAV, in the planes of `hevc`.

Parameter sets depend on size and coder alone: they are session constants and are not sent, nor are start codes, SEI and
the second byte of an H.265 NAL header. An access unit is one slice. Rates are in bits per frame: the coders take whole
kilobits per second, so their clock runs at about 25 frames a second, at the rate that makes them whole. Receivers take
it for 25; nothing that is decoded depends on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import cast

import av
import numpy as np
from av.video.frame import PictureType

from semlink.codecs._sources.hevc import PADDING, START, _array, _frame, _picture, _planes, _whole

LAYOUT = "yuv420p10le"
FPS = 25
LEAST = (32, 40)  # px coded: x265 crashes on coding blocks of 16 px, and is not determinate on a picture of one block
SMALL = 64  # px, up to which its largest coding block has 32
KEY_FRAMES = 1 << 20  # frames until the coder would send an intra frame by itself: never
SHARED = "bframes=0:rc-lookahead=0:scenecut=0:aq-mode=0:vbv-init=1"
X265 = (
    "log-level=none:info=0:aud=0:hrd=0:repeat-headers=1:wpp=0:pools=none:frame-threads=1:cutree=0:psy-rd=0:psy-rdoq=0:"
    "open-gop=0:level-idc=5.1:high-tier=0"
)
X264 = "threads=1:lookahead-threads=1:mbtree=0:no-psy=1:repeat-headers=1:force-cfr=1:annexb=1:level=51"


@dataclass(frozen=True)
class Coder:
    """One standard. headers: bytes of a NAL header, of which the first is sent. sets, frames: types of NAL units.

    number: first bit, from the second byte that is sent on, and length of what counts following frames in a slice
    header: the picture order count of H.265, the frame number of H.264. Both follow from the parameter sets.
    """

    name: str
    encoder: str
    decoder: str
    options: str
    headers: int
    sets: frozenset[int]
    frames: frozenset[int]
    intra: frozenset[int]
    number: tuple[int, int]

    @property
    def numbers(self) -> int:
        """Numbers that frames are told apart by; then they begin anew."""
        return 1 << self.number[1]

    def number_of(self, sent: bytes) -> int:
        """Of a following frame's slice: how many after the intra frame it is, modulo `numbers`."""
        first, length = self.number
        return int.from_bytes(sent[1:5].ljust(4, b"\0"), "big") >> 32 - first - length & self.numbers - 1

    def kind(self, nal: bytes) -> int:
        """Type of a NAL unit."""
        return nal[0] >> 1 & 63 if self.headers == 2 else nal[0] & 31

    def stripped(self, nal: bytes) -> bytes:
        """What is sent of a slice."""
        return nal[:1] + nal[self.headers :]

    def whole(self, sent: bytes) -> bytes:
        """The NAL unit of what was sent."""
        return sent[:1] + b"\x01" * (self.headers - 1) + sent[1:]


H265 = Coder(
    "h265", "libx265", "hevc", X265, 2, frozenset({32, 33, 34}), frozenset({0, 1, 19, 20}), frozenset({19, 20}), (5, 8)
)
H264 = Coder("h264", "libx264", "h264", X264, 1, frozenset({7, 8}), frozenset({1, 5}), frozenset({5}), (7, 4))
CODERS = {coder.name: coder for coder in (H265, H264)}


class Encoder:
    """Codes uint8 frames `[H, W, 3]` of one size at `bits` per frame, at most `ahead` bits before its rate.

    It holds a living coder and does not pickle: a sender that moves begins anew with an intra frame.
    """

    def __init__(self, coder: Coder, height: int, width: int, bits: float, ahead: float) -> None:
        self.coder = coder
        self._context = _encoder(coder, height, width, bits, ahead)
        self._count = 0

    def encode(self, image: np.ndarray, intra: bool = False) -> bytes:
        """The slice of a frame, as it is sent. RuntimeError when the coder makes something else than one."""
        frame = _frame(_planes(padded(image), LAYOUT), LAYOUT)
        frame.pts = self._count
        frame.pict_type = PictureType.I if intra or self._count == 0 else PictureType.P
        self._count += 1
        units = nal_units(b"".join(bytes(packet) for packet in self._context.encode(frame)))
        slices = [unit for unit in units if self.coder.kind(unit) in self.coder.frames]
        if len(slices) != 1:
            raise RuntimeError(f"{self.coder.encoder} made {len(slices)} slices of a frame")
        return self.coder.stripped(slices[0])


class Decoder:
    """Decodes slices from an intra frame on. It pickles as what it has been given, and goes on the same."""

    def __init__(self, coder: Coder, height: int, width: int) -> None:
        self.coder, self.height, self.width = coder, height, width
        self.given: list[bytes] = []
        self._context = _decoder(coder)

    def decode(self, sent: bytes) -> np.ndarray | None:
        """The uint8 frame `[H, W, 3]` of a slice, or None where the bytes are none that follow."""
        if not sent or self.coder.kind(sent) not in self.coder.frames or b"\0\0\1" in sent or b"\0\0\0" in sent:
            return None
        self.given.append(sent)
        sets = () if len(self.given) > 1 else parameter_sets(self.coder, self.height, self.width)
        stream = b"".join(START + unit for unit in (*sets, self.coder.whole(sent)))
        try:
            frames = self._context.decode(av.Packet(stream + PADDING))
        except (av.FFmpegError, ValueError):
            return None
        if len(frames) != 1 or frames[0].is_corrupt or frames[0].format.name != LAYOUT:
            return None
        picture = _picture([_array(plane) for plane in frames[0].planes])
        fits = picture.shape[:2] == coded_size(self.height, self.width)
        return picture[: self.height, : self.width] if fits else None

    def __getstate__(self) -> tuple[Coder, int, int, list[bytes]]:
        return self.coder, self.height, self.width, self.given

    def __setstate__(self, state: tuple[Coder, int, int, list[bytes]]) -> None:
        coder, height, width, given = state
        self.__init__(coder, height, width)  # type: ignore[misc]  # as it was made
        for sent in given:
            self.decode(sent)


def coded_size(height: int, width: int) -> tuple[int, int]:
    """Height and width in which frames of that size are coded."""
    return max(LEAST[0], _whole(height)), max(LEAST[1], _whole(width))


def padded(image: np.ndarray) -> np.ndarray:
    """A frame in the size in which it is coded, its last rows and columns repeated."""
    height, width = coded_size(*image.shape[:2])
    return np.pad(image, ((0, height - image.shape[0]), (0, width - image.shape[1]), (0, 0)), mode="edge")


def nal_units(stream: bytes) -> list[bytes]:
    """NAL units of an Annex B stream; one never ends in a zero byte."""
    return [unit.rstrip(b"\0") for unit in stream.split(b"\0\0\1")[1:]]


@lru_cache(maxsize=64)
def parameter_sets(coder: Coder, height: int, width: int) -> tuple[bytes, ...]:
    """Of all streams of that size, from a grey frame."""
    context = _encoder(coder, height, width, 1000, 10000)
    grey = np.full((height, width, 3), 128, np.uint8)
    frame = _frame(_planes(padded(grey), LAYOUT), LAYOUT)
    units = nal_units(b"".join(bytes(packet) for packet in context.encode(frame)))
    return tuple(unit for unit in units if coder.kind(unit) in coder.sets)


def _encoder(coder: Coder, height: int, width: int, bits: float, ahead: float) -> av.VideoCodecContext:
    context = cast(av.VideoCodecContext, av.CodecContext.create(coder.encoder, "w"))
    context.height, context.width = coded_size(height, width)
    rate = max(1, round(bits * FPS / 1000))
    fps = Fraction(1000 * rate / max(1.0, bits)).limit_denominator(1000)
    context.pix_fmt, context.time_base, context.framerate, context.thread_count = LAYOUT, 1 / fps, fps, 1
    control = f"bitrate={rate}:vbv-maxrate={rate}:vbv-bufsize={max(rate, round(ahead / 1000))}:keyint={KEY_FRAMES}"
    control += ":ctu=32" if coder == H265 and max(context.height, context.width) <= SMALL else ""
    context.options = {
        "preset": "slow",
        "tune": "zerolatency",
        "forced-idr": "1",
        f"{coder.encoder.removeprefix('lib')}-params": f"{coder.options}:{SHARED}:{control}",
    }
    return context


def _decoder(coder: Coder) -> av.VideoCodecContext:
    context = cast(av.VideoCodecContext, av.CodecContext.create(coder.decoder, "r"))
    context.thread_count = 1
    context.options = {"err_detect": "explode", "flags": "-output_corrupt+low_delay", "ec": "0"}
    return context
