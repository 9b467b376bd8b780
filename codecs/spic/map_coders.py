"""Lossless coders of class maps; what is the same for all maps of a session's size is not sent.

A map is uint8 `[h, w]` of numbers below 16, or below 256 for coders that say so.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import imagecodecs
import numpy as np
from PIL import Image

from semlink.codecs._sources.coders import jxl_size
from semlink.simulator.errors import SemlinkError

JXL = b"\xff\x0a"
PNG = b"\x89PNG\r\n\x1a\n"
FLIF, FLIF_TIMEOUT_S = b"FLIF", 20


@dataclass(frozen=True)
class MapCoder:
    """write(map uint8 `[h, w]`) -> bytes; read(bytes, h, w) -> the map. most: numbers that a map may hold."""

    name: str
    write: Callable[[np.ndarray], bytes]
    read: Callable[[bytes, int, int], np.ndarray]
    most: int = 256

    def encode(self, labels: np.ndarray) -> bytes:
        """The bytes of a map. ValueError for another array or numbers that are too large."""
        if labels.ndim != 2 or labels.dtype != np.uint8 or not labels.size or labels.max() >= self.most:
            raise ValueError(f"{self.name} takes uint8 [h, w] below {self.most}, not {labels.dtype} {labels.shape}")
        return self.write(np.ascontiguousarray(labels))

    def decode(self, data: bytes, height: int, width: int) -> np.ndarray:
        """The uint8 `[height, width]` map; corrupt bytes give a wrong one or SemlinkError."""
        try:
            labels = self.read(data, height, width)
        except Exception as error:  # the libraries raise all kinds of things on corrupt bytes
            raise SemlinkError(f"{self.name}: {len(data)} bytes are no {height}x{width} map ({error})") from error
        if labels.shape != (height, width) or labels.dtype != np.uint8:
            raise SemlinkError(f"{self.name}: decoded to {list(labels.shape)}, not to {height}x{width}")
        return labels


def map_coder(name: str) -> MapCoder:
    """The coder of that name. SemlinkError that lists the known ones, or for a program that is not here."""
    if name not in CODERS:
        raise SemlinkError(f"unknown map coder {name!r}; known: {', '.join(CODERS)}")
    if name == "flif" and shutil.which("flif") is None:
        raise SemlinkError("no program flif on the PATH; install it, or choose another map coder, such as jpegxl")
    return CODERS[name]


def _jxl(labels: np.ndarray) -> bytes:
    """A bare codestream without its signature."""
    return bytes(imagecodecs.jpegxl_encode(labels, lossless=True, effort=9, numthreads=1))[len(JXL) :]


def _unjxl(data: bytes, height: int, width: int) -> np.ndarray:
    if jxl_size(JXL + data) != (height, width):  # libjxl would allocate whatever corrupt bytes ask for
        raise ValueError("another size")
    return imagecodecs.jpegxl_decode(JXL + data, numthreads=1)


def _webp(labels: np.ndarray) -> bytes:
    """VP8L data without RIFF header and padding byte; the header follows from their length."""
    buffer = io.BytesIO()
    Image.fromarray(labels).convert("RGB").save(buffer, format="WEBP", lossless=True, quality=100, method=6)
    data = buffer.getvalue()
    return data[20 : 20 + int.from_bytes(data[16:20], "little")]


def _unwebp(data: bytes, height: int, width: int) -> np.ndarray:
    body = data + b"\0" * (len(data) % 2)
    head = b"RIFF" + (len(body) + 12).to_bytes(4, "little") + b"WEBPVP8L" + len(data).to_bytes(4, "little")
    with Image.open(io.BytesIO(head + body), formats=["WEBP"]) as image:
        return _sized(image, height, width)[..., 1]


def _sized(image: Image.Image, height: int, width: int) -> np.ndarray:
    """RGB pixels; the size is checked before any is decoded, so corrupt sizes cost no memory."""
    if image.size != (width, height):
        raise ValueError(f"says {image.height}x{image.width}")
    return np.array(image.convert("RGB"))


def _png(labels: np.ndarray) -> bytes:
    """The deflated rows of a grey PNG of four bits a pixel; the chunks around them are put back."""
    buffer = io.BytesIO()
    image = Image.fromarray(labels, mode="P")
    image.putpalette(bytes(48))
    image.save(buffer, format="PNG", optimize=True, bits=4)
    return b"".join(body for kind, body in _chunks(buffer.getvalue()) if kind == b"IDAT")


def _chunks(file: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], len(PNG)
    while at < len(file):
        length = int.from_bytes(file[at : at + 4], "big")
        found.append((file[at + 4 : at + 8], file[at + 8 : at + 8 + length]))
        at += 12 + length
    return found


def _unpng(data: bytes, height: int, width: int) -> np.ndarray:
    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([4, 0, 0, 0, 0])
    file = PNG + b"".join(_chunk(*each) for each in ((b"IHDR", head), (b"IDAT", data), (b"IEND", b"")))
    with Image.open(io.BytesIO(file), formats=["PNG"]) as image:
        return _sized(image, height, width)[..., 1] // 17


def _chunk(kind: bytes, body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")


def _flif(labels: np.ndarray) -> bytes:
    """What the program makes, without its magic."""
    with tempfile.TemporaryDirectory() as folder:
        source, coded = Path(folder) / "map.pgm", Path(folder) / "map.flif"
        source.write_bytes(b"P5 %d %d 255\n" % labels.shape[::-1] + labels.tobytes())
        _run("flif", "--encode", "--effort=100", "--no-interlace", str(source), str(coded))
        return coded.read_bytes().removeprefix(FLIF)


def _unflif(data: bytes, height: int, width: int) -> np.ndarray:
    if _flif_size(data) != (height, width):
        raise ValueError("another size")
    with tempfile.TemporaryDirectory() as folder:
        coded, target = Path(folder) / "map.flif", Path(folder) / "map.pgm"
        coded.write_bytes(FLIF + data)
        _run("flif", "--decode", str(coded), str(target))
        with Image.open(target) as image:
            return _sized(image, height, width)[..., 1]


def _flif_size(data: bytes) -> tuple[int, int]:
    """Height and width in a FLIF header, behind its magic and two bytes on the kind of picture."""
    sides, value = [], 0
    for byte in data[2:12]:
        value = value << 7 | byte & 127
        if byte < 128:
            sides.append(value + 1)
            value = 0
    if len(sides) < 2 or data[:1] not in (b"1", b"A"):
        raise ValueError("no grey FLIF")
    return sides[1], sides[0]


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=FLIF_TIMEOUT_S)


CODERS = {
    coder.name: coder
    for coder in (
        MapCoder("jpegxl", _jxl, _unjxl),
        MapCoder("webp", _webp, _unwebp),
        MapCoder("png", _png, _unpng, most=16),
        MapCoder("flif", _flif, _unflif),
    )
}
