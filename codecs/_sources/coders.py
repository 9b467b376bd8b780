"""Image source coders of the separated baseline.

Height, width and the coder are session constants, so bytes that are equal for all pictures of a session are not sent:
WebP's and AVIF's containers, JPEG 2000's main header, HEVC's parameter sets; the receiver puts them back.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import imagecodecs
import numpy as np
from PIL import Image

from semlink.codecs._sources import hevc
from semlink.simulator.errors import SemlinkError

MOST_MARKS = 8


def _marked(data: bytes, number: int) -> bytes:
    return bytes([number]) + data


def _unmarked(data: bytes) -> tuple[int, bytes]:
    return data[0] if data else MOST_MARKS, data[1:]


@dataclass(frozen=True)
class SourceCoder:
    """A lossy picture coder. `qualities` run from the lowest rate to the highest; sizes grow with them, nearly always.

    write(image uint8 `[H, W, 3]`, quality) -> bytes; read(bytes, height, width) -> uint8 `[H, W, 3]`.
    mark(bytes, number of three bits) -> bytes that also tell the number, by `marking` bytes more; unmark undoes it.
    """

    name: str
    qualities: tuple[int, ...]
    write: Callable[[np.ndarray, int], bytes]
    read: Callable[[bytes, int, int], np.ndarray]
    mark: Callable[[bytes, int], bytes] = _marked
    unmark: Callable[[bytes], tuple[int, bytes]] = _unmarked
    marking: int = 1

    def encode(self, image: np.ndarray, quality: int) -> bytes:
        """The bytes of a uint8 `[H, W, 3]` picture of any size. ValueError for another array or an unknown quality."""
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
            raise ValueError(f"{self.name} takes uint8 [H, W, 3], not {image.dtype} {list(image.shape)}")
        if quality not in self.qualities:
            raise ValueError(f"{self.name} has qualities {self.qualities[0]}..{self.qualities[-1]}, not {quality}")
        return self.write(np.ascontiguousarray(image), quality)

    def decode(self, data: bytes, height: int, width: int) -> np.ndarray:
        """The uint8 `[height, width, 3]` picture; corrupt bytes give a wrong one or SemlinkError."""
        try:
            picture = self.read(data, height, width)
        except Exception as error:  # the libraries raise all kinds of things on corrupt bytes
            raise SemlinkError(f"{self.name}: {len(data)} bytes are no {height}x{width} picture ({error})") from error
        if picture.shape != (height, width, 3) or picture.dtype != np.uint8:
            raise SemlinkError(f"{self.name}: decoded to {list(picture.shape)}, not to {height}x{width}")
        return picture


def coder(name: str) -> SourceCoder:
    """The coder of that name. SemlinkError that lists the known ones."""
    if name not in CODERS:
        raise SemlinkError(f"unknown image coder {name!r}; known: {', '.join(CODERS)}")
    return CODERS[name]


def _saved(image: np.ndarray, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, **options)
    return buffer.getvalue()


def _opened(data: bytes, height: int, width: int, kind: str) -> np.ndarray:
    """Decode with Pillow; the size is checked before any pixel is, so corrupt sizes cost no memory."""
    with Image.open(io.BytesIO(data), formats=[kind]) as image:
        if image.size != (width, height):
            raise ValueError(f"says {image.height}x{image.width}")
        return np.array(image.convert("RGB"))


@lru_cache(maxsize=64)
def _constant(cut: Callable[[bytes], int], write: Callable[[np.ndarray, int], bytes], height: int, width: int) -> bytes:
    """Leading bytes, up to `cut`, that every file of this size has: those of a grey picture."""
    data = write(np.full((height, width, 3), 128, np.uint8), 50)
    return data[: cut(data)]


def _without(constant: bytes, data: bytes) -> bytes:
    if not data.startswith(constant):
        raise SemlinkError("this picture's file header differs from its session's; use another coder for it")
    return data[len(constant) :]


def _jpeg(image: np.ndarray, quality: int) -> bytes:
    subsampling = "4:2:0" if quality < 85 else "4:4:4"
    return _saved(image, format="JPEG", quality=quality, subsampling=subsampling, optimize=True)


def _j2k_file(image: np.ndarray, quality: int) -> bytes:
    """A raw codestream; the compression ratio falls from 1024 at quality 0 to 1 at 160, in sixteenths of an octave."""
    ratio = 2 ** ((160 - quality) / 16)
    return _saved(
        image, format="JPEG2000", no_jp2=True, irreversible=True, mct=1, quality_mode="rates", quality_layers=[ratio]
    )


def _j2k_header(data: bytes) -> int:
    return data.index(b"\xff\x90")  # the first tile part


def _j2k(image: np.ndarray, quality: int) -> bytes:
    return _without(_constant(_j2k_header, _j2k_file, *image.shape[:2]), _j2k_file(image, quality))


def _unj2k(data: bytes, height: int, width: int) -> np.ndarray:
    return _opened(_constant(_j2k_header, _j2k_file, height, width) + data, height, width, "JPEG2000")


def _webp(image: np.ndarray, quality: int) -> bytes:
    """VP8 data without RIFF header and padding byte; the header follows from their length."""
    data = _saved(image, format="WEBP", quality=quality, method=6)
    return data[20 : 20 + int.from_bytes(data[16:20], "little")]


def _unwebp(data: bytes, height: int, width: int) -> np.ndarray:
    body = data + b"\0" * (len(data) % 2)
    head = b"RIFF" + (len(body) + 12).to_bytes(4, "little") + b"WEBPVP8 " + len(data).to_bytes(4, "little")
    return _opened(head + body, height, width, "WEBP")


def _avif_file(image: np.ndarray, quality: int) -> bytes:
    """AV1 intra in HEIF with both length fields zeroed, so that files of a size differ in their picture data only."""
    data = _saved(
        image, format="AVIF", quality=quality, speed=6, subsampling="4:4:4", max_threads=1, advanced={"tune": "psnr"}
    )
    return _avif_lengths(data, 0, 0)


def _avif_lengths(data: bytes, extent: int, box: int) -> bytes:
    """`data` with the length of the single item (in `iloc`) and of the `mdat` box set."""
    item, media = data.index(b"iloc") + 22, data.index(b"mdat") - 4
    parts = data[:item], extent.to_bytes(4, "big"), data[item + 4 : media], box.to_bytes(4, "big"), data[media + 4 :]
    return b"".join(parts)


def _avif_header(data: bytes) -> int:
    """End of container, temporal delimiter and sequence header; the frame follows."""
    sequence = data.index(b"mdat") + 6
    return sequence + 2 + data[sequence + 1]


def _avif(image: np.ndarray, quality: int) -> bytes:
    return _without(_constant(_avif_header, _avif_file, *image.shape[:2]), _avif_file(image, quality))


def _unavif(data: bytes, height: int, width: int) -> np.ndarray:
    file = _constant(_avif_header, _avif_file, height, width) + data
    extent = len(file) - file.index(b"mdat") - 4
    return _opened(_avif_lengths(file, extent, extent + 8), height, width, "AVIF")


def _jxl(image: np.ndarray, quality: int) -> bytes:
    """A bare codestream; the Butteraugli distance falls from 25 at quality 0 to 0.05 at 72, in eighths of an octave."""
    return bytes(imagecodecs.jpegxl_encode(image, distance=25 * 2 ** (-quality / 8), effort=5, numthreads=1))


def _unjxl(data: bytes, height: int, width: int) -> np.ndarray:
    if jxl_size(data) != (height, width):  # libjxl would allocate whatever corrupt bytes ask for
        raise ValueError("another size")
    return imagecodecs.jpegxl_decode(data, numthreads=1)


def jxl_size(data: bytes) -> tuple[int, int]:
    """Height and width in a JPEG XL codestream's SizeHeader (ISO/IEC 18181-1, D.2)."""
    if data[:2] != b"\xff\x0a":
        raise ValueError("no JPEG XL codestream")
    bits = int.from_bytes(data[2:12], "little")

    def take(count: int) -> int:
        nonlocal bits
        value, bits = bits & ((1 << count) - 1), bits >> count
        return value

    small = take(1)

    def side() -> int:
        return 8 * (take(5) + 1) if small else take((9, 13, 18, 30)[take(2)]) + 1

    height = side()
    ratio = ((0, 1), (1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))[take(3)]
    return height, height * ratio[0] // ratio[1] if ratio[0] else side()


CODERS = {
    source.name: source
    for source in (
        SourceCoder("jpeg", tuple(range(1, 101)), _jpeg, partial(_opened, kind="JPEG")),
        SourceCoder("jpeg2000", tuple(range(161)), _j2k, _unj2k),
        SourceCoder("webp", tuple(range(101)), _webp, _unwebp),
        SourceCoder("avif", tuple(range(101)), _avif, _unavif),
        SourceCoder("jpegxl", tuple(range(73)), _jxl, _unjxl),
        *(
            SourceCoder(
                name,
                hevc.QUALITIES,
                partial(hevc.encode, layout=kind),
                partial(hevc.decode, layout=kind),
                hevc.mark,
                hevc.unmark,
                marking=0,
            )
            for name, kind in (("hevc", "yuv420p10le"), ("hevc444", "yuv444p10le"))
        ),
    )
}
