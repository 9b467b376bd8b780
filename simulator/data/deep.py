"""Pictures of more than 8 bits a sample, which Pillow would cut to 8: PNG, JPEG 2000, AVIF, HEIF and PPM.

Each reader takes a file's bytes and answers float32 `[H, W, C]` in [0, 1], not turned, or None for a file that Pillow
reads whole. They raise ValueError, or nearly anything, for damaged files and for samples that they do not know.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

HEIF_BRANDS = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"))
PPM = re.compile(rb"P([36])" + 3 * rb"(?:\s|#[^\n]*\n)+(\d+)" + rb"\s")
PLAIN_COLOURS = (16, 17)  # sRGB and grey, as JPEG 2000 numbers them


def samples(kind: str | None, data: bytes) -> np.ndarray | None:
    """The picture by Pillow's name of its format."""
    reader = READERS.get(kind or "")
    return None if reader is None else reader(data)


def is_heif(start: bytes) -> bool:
    """Whether a file that starts so is HEIF with HEVC inside, as cameras write .heic."""
    length = int.from_bytes(start[:4])
    brands = {start[i : i + 4] for i in range(8, min(length, len(start)), 4)}
    return start[4:8] == b"ftyp" and bool(brands & HEIF_BRANDS)


def _scaled(found: Any, bits: int) -> np.ndarray:
    pixels = np.atleast_3d(np.asarray(found))
    if pixels.dtype.kind != "u" or pixels.max() >= 1 << bits:
        raise ValueError(f"samples are not of {bits} bits")
    return pixels.astype(np.float32) / ((1 << bits) - 1)


def _png(data: bytes) -> np.ndarray | None:
    import imagecodecs

    if data[24] != 16:  # IHDR's bit depth
        return None
    return _scaled(imagecodecs.png_decode(data), 16)


def _jpeg2000(data: bytes) -> np.ndarray | None:
    import imagecodecs

    start = data.index(b"\xff\x4f\xff\x51")  # SOC, then SIZ
    count = int.from_bytes(data[start + 40 : start + 42])
    parts = [tuple(data[i : i + 3]) for i in range(start + 42, start + 42 + 3 * count, 3)]  # depth, steps in x and y
    if all(depth == 7 for depth, *_ in parts):
        return None
    depth = parts[0][0]
    if depth > 15 or set(parts) != {(depth, 1, 1)}:
        raise ValueError("signed, subsampled or mixed samples; save it with 8 or 16 bits")
    if b"pclr" in data[:start] or _colour_space(data[:start]) not in PLAIN_COLOURS:
        raise ValueError("a palette or another colour space than sRGB and grey; save it as grey or RGB")
    return _scaled(imagecodecs.jpeg2k_decode(data), depth + 1)


def _colour_space(boxes: bytes) -> int:
    """The number in the colour box; a profile of its own, or none, counts as plain."""
    found = boxes.find(b"colr")
    return int.from_bytes(boxes[found + 7 : found + 11]) if found >= 0 and boxes[found + 4] == 1 else PLAIN_COLOURS[0]


def _avif(data: bytes) -> np.ndarray | None:
    import imagecodecs
    import pillow_heif

    bits = pillow_heif.open_heif(data).info["bit_depth"]  # from the header: libheif has no decoder for it
    if bits == 8:
        return None
    if data[8:12] == b"avis":  # asked for one frame of these, imagecodecs 2026.3.6 kills the process
        raise ValueError("an animation of more than 8 bits; save its first frame")
    return _scaled(imagecodecs.avif_decode(data), bits)


def _heif(data: bytes) -> np.ndarray | None:
    import pillow_heif

    image = pillow_heif.open_heif(data, convert_hdr_to_8bit=False)
    bits = image.info["bit_depth"]
    if bits == 8:
        return None
    if "a" in image.mode:
        raise ValueError(f"mode {image.mode}: colours multiplied by alpha; save it without")
    return _scaled(np.asarray(image) >> (16 - bits), bits)  # it fills the lower bits with 0


def _ppm(data: bytes) -> np.ndarray | None:
    header = PPM.match(data)
    if header is None or int(header[4]) <= 255:
        return None
    binary, width, height, white = header[1] == b"6", int(header[2]), int(header[3]), int(header[4])
    body = data[header.end() :]
    count = 3 * width * height
    values = np.frombuffer(body, ">u2", count) if binary else np.array(body.split()[:count], np.int64)
    if white > 65535 or values.min() < 0 or values.max() > white:
        raise ValueError(f"samples beyond {min(white, 65535)}")
    return values.reshape(height, width, 3).astype(np.float32) / white


def _sgi(data: bytes) -> None:
    if data[3] != 1:
        raise ValueError("16-bit SGI is not read; save it as PNG or TIFF")


READERS: Mapping[str, Callable[[bytes], np.ndarray | None]] = {
    "PNG": _png,
    "JPEG2000": _jpeg2000,
    "AVIF": _avif,
    "HEIF": _heif,
    "PPM": _ppm,
    "SGI": _sgi,
}
