"""One HEVC intra picture as bare slice data, what BPG does with a smaller container: x265 through PyAV.

Colour: Y = (R + G + B) / 3, V = (2 G - R - B) / 4, U = (R - B) / 2, three orthogonal axes, so that the coder's squared
error is the picture's; this and 10-bit planes gain 0.1 to 0.4 dB over 8-bit BT.601. Nobody else reads these streams.
The parameter sets depend on size and configuration alone: they are session constants and are not sent, nor are the
start code and the NAL header. Chroma QP offsets come in two variants, half a QP step of rate apart; the variant
travels in a slice header bit that a lone picture does not use.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache

import av
import numpy as np
from PIL import Image

QUALITIES = tuple(range(104))  # quality q: luma QP 51 - q // 2, chroma variant q % 2
OFFSETS = {"yuv420p10le": (-4, -6), "yuv444p10le": (3, 1)}  # chroma QP offsets, the lower rate first
DEPTH = 4  # 10-bit levels per 8-bit level
START, SLICE = b"\0\0\0\1", b"\x28\x01"  # SLICE: NAL header of an IDR_N_LP slice
PADDING = bytes(64)  # AV_INPUT_BUFFER_PADDING_SIZE
VARIANT_BIT = 0x40  # no_output_of_prior_pics_flag, the second bit of the slice header
SLICE_TYPE, MARK_SHIFT = 3, 2  # of the three bits that tell the slice's type, the same in every lone picture
PARAMETERS = (
    "log-level=none:keyint=1:bframes=0:rc-lookahead=0:info=0:aud=0:hrd=0:repeat-headers=1:wpp=0:pools=none:"
    "frame-threads=1:aq-mode=0:cutree=0:psy-rd=0:psy-rdoq=0:rd=3:deblock=-2,-2"
)


def encode(image: np.ndarray, quality: int, layout: str) -> bytes:
    """Slice data of a uint8 `[H, W, 3]` picture; `layout` is a key of OFFSETS, `quality` one of QUALITIES."""
    planes = _planes(_padded(image), layout)
    variant = quality % 2
    sets, body = _stream(planes, 51 - quality // 2, layout, variant)
    if sets != _parameter_sets(*planes[0].shape, layout, variant):
        raise RuntimeError("x265 made parameter sets that depend on the picture")
    return bytes([body[0] | VARIANT_BIT * variant]) + body[1:]


def decode(data: bytes, height: int, width: int, layout: str) -> np.ndarray:
    """The uint8 `[height, width, 3]` picture.

    Corrupt data give a wrong one, ValueError or FFmpegError, and always the same.
    """
    if len(data) < 2 or re.search(rb"\0\0[\0-\2]", data):  # a start code would let the data replace our parameter sets
        raise ValueError("not HEVC slice data")
    sets = _parameter_sets(_whole(height), _whole(width), layout, int(bool(data[0] & VARIANT_BIT)))
    body = bytes([data[0] & ~VARIANT_BIT]) + data[1:]
    frame = _decoded(b"".join(START + nal for nal in (*sets, SLICE + body)))
    return _picture([_array(plane) for plane in frame.planes])[:height, :width]


def _decoded(stream: bytes) -> av.VideoFrame:
    """The one frame of a stream, by a decoder of its own that refuses what it finds damaged or incomplete.

    PyAV lends FFmpeg the bytes themselves, and FFmpeg reads on behind the end of corrupt ones: with padding it meets
    zeros there, without it whatever the process has left in its memory.
    """
    decoder = av.CodecContext.create("hevc", "r")
    decoder.thread_count = 1
    decoder.options = {"err_detect": "explode", "flags": "-output_corrupt", "ec": "0"}
    frames = [*decoder.decode(av.Packet(stream + PADDING)), *decoder.decode(None)]
    if len(frames) != 1 or frames[0].is_corrupt:
        raise ValueError("incomplete HEVC slice data")
    return frames[0]


def mark(data: bytes, number: int) -> bytes:
    """Slice data that also tell a number of three bits, in the bits of the slice's type; number 0 changes nothing."""
    return bytes([data[0] ^ number << MARK_SHIFT]) + data[1:]


def unmark(data: bytes) -> tuple[int, bytes]:
    """The number that slice data tell, and the data without it."""
    number = (data[0] >> MARK_SHIFT & 7) ^ SLICE_TYPE if data else 0
    return number, mark(data, number) if data else data


def _whole(side: int) -> int:
    """Coded length of a side: a multiple of the smallest coding block, 8; x265 wants 16 at least."""
    return max(16, -(-side // 8) * 8)


def _padded(image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    return np.pad(image, ((0, _whole(height) - height), (0, _whole(width) - width), (0, 0)), mode="edge")


def _planes(image: np.ndarray, layout: str) -> list[np.ndarray]:
    """uint16 planes Y, V, U of an even-sized picture; chroma halved by a 2x2 mean in 4:2:0."""
    r, g, b = np.moveaxis(image.astype(np.float32), -1, 0)
    planes = [(r + g + b) / 3, (2 * g - r - b) / 4 + 128, (r - b) / 2 + 128]
    if "420" in layout:
        planes[1:] = [p.reshape(p.shape[0] // 2, 2, p.shape[1] // 2, 2).mean((1, 3)) for p in planes[1:]]
    return [np.clip(np.rint(p * DEPTH), 0, 256 * DEPTH - 1).astype(np.uint16) for p in planes]


def _picture(planes: list[np.ndarray]) -> np.ndarray:
    """Inverse of `_planes`; halved chroma is interpolated bicubically."""
    y, v, u = [p.astype(np.float32) / DEPTH for p in planes]
    height, width = y.shape
    if v.shape != y.shape:
        v, u = [np.asarray(Image.fromarray(p).resize((width, height), Image.Resampling.BICUBIC)) for p in (v, u)]
    v, u = v - 128, u - 128
    rgb = np.stack([y - 2 / 3 * v + u, y + 4 / 3 * v, y - 2 / 3 * v - u], -1)
    return np.clip(np.rint(rgb), 0, 255).astype(np.uint8)


def _array(plane: av.video.plane.VideoPlane) -> np.ndarray:
    samples = np.frombuffer(plane, np.uint16)  # type: ignore[call-overload]  # a plane is a buffer
    return samples.reshape(plane.height, -1)[:, : plane.width]


def _frame(planes: list[np.ndarray], layout: str) -> av.VideoFrame:
    height, width = planes[0].shape
    frame = av.VideoFrame(width, height, layout)
    for target, values in zip(frame.planes, planes, strict=True):
        rows = np.zeros((target.height, target.line_size // 2), np.uint16)
        rows[:, : target.width] = values
        target.update(rows.view(np.uint8))  # type: ignore[arg-type]  # any buffer will do
    frame.pts = 0
    return frame


def _stream(planes: list[np.ndarray], qp: int, layout: str, variant: int) -> tuple[tuple[bytes, ...], bytes]:
    """x265's output: the parameter set NAL units, and the slice without its NAL header."""
    height, width = planes[0].shape
    encoder = _encoder(height, width, qp, layout, variant)
    packets = [*encoder.encode(_frame(planes, layout)), *encoder.encode(None)]
    *sets, last = _nal_units(b"".join(bytes(packet) for packet in packets))
    if not last.startswith(SLICE):
        raise RuntimeError(f"x265 ended with NAL header {last[:2].hex()} in place of one IDR slice")
    return tuple(sets), last[2:]


def _encoder(height: int, width: int, qp: int, layout: str, variant: int) -> av.VideoCodecContext:
    encoder = av.CodecContext.create("libx265", "w")
    encoder.height, encoder.width = height, width
    encoder.pix_fmt, encoder.time_base, encoder.framerate = layout, Fraction(1, 25), Fraction(25)
    encoder.thread_count = 1
    offset = OFFSETS[layout][variant]
    encoder.options = {"preset": "slow", "x265-params": f"{PARAMETERS}:qp={qp}:cbqpoffs={offset}:crqpoffs={offset}"}
    return encoder


def _nal_units(stream: bytes) -> list[bytes]:
    """NAL units of an Annex B stream; one never ends in a zero byte."""
    return [unit.rstrip(b"\0") for unit in stream.split(b"\0\0\1")[1:]]


@lru_cache(maxsize=64)
def _parameter_sets(height: int, width: int, layout: str, variant: int) -> tuple[bytes, ...]:
    """VPS, SPS and PPS of this size and configuration, as the encoder tells them before it has seen a picture."""
    encoder = _encoder(height, width, 40, layout, variant)
    encoder.options = {**encoder.options, "flags": "+global_header"}
    encoder.open()
    return tuple(_nal_units(encoder.extradata or b""))
