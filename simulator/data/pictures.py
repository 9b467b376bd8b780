"""One picture file to RGB in [0, 1]: every common mode, depth and orientation, or one clear error.

Values are the file's code values over their maximum (no colour management, no gamma). Grey is copied to the three
channels, transparency is laid over white, CMYK and other colour models are converted, EXIF orientation is applied;
of an animation the first frame counts. PNG, TIFF, JPEG 2000, AVIF, HEIF and PPM keep more than 8 bits a sample.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from semlink.simulator.data import deep, tiff
from semlink.simulator.data.colours import rgb, upright
from semlink.simulator.errors import SemlinkError

SUFFIXES = frozenset(
    (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".avif", ".bmp", ".gif", ".tif", ".tiff", ".jp2", ".j2k")
    + (".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".heic", ".heif")
)
MAX_PIXELS = 1 << 26  # a larger picture is more likely a decompression bomb than a picture to transmit
ORIENTATION = 0x0112  # EXIF tag


def read(path: Path) -> np.ndarray:
    """The picture, float32 `[3, H, W]` in [0, 1]. SemlinkError that names the file when it is none or is damaged."""
    with _blamed(path):
        found = tiff.read(path, MAX_PIXELS)
        pixels = _decoded(path) if found is None else found
        if not pixels.size:
            raise ValueError("no pixels")
    return np.ascontiguousarray(pixels.transpose(2, 0, 1), dtype=np.float32)


def indices(path: Path) -> np.ndarray:
    """Class numbers, uint8 `[H, W]`, of a picture of one channel (a palette's indices, grey values as they are).

    SemlinkError that names the file when it is none, has colours or is damaged.
    """
    with _blamed(path), _opened(path) as image:
        if image.mode not in ("P", "L", "1"):
            raise ValueError(f"mode {image.mode}; class numbers need one channel of 8 bits")
        return np.array(image).astype(np.uint8)


def size(path: Path) -> tuple[int, int]:
    """(H, W) as `read` gives them, from the header (Pillow decodes a whole PNG to find its EXIF).

    SemlinkError that names the file when it is no picture.
    """
    with _blamed(path):
        return tiff.size(path) or _size(path)


def _size(path: Path) -> tuple[int, int]:
    with _opened(path) as image:
        turned = image.format != "TIFF" and image.getexif().get(ORIENTATION, 1) in (5, 6, 7, 8)
        return image.size if turned else image.size[::-1]


@contextmanager
def _blamed(path: Path) -> Iterator[None]:
    """Whatever goes wrong with the file meanwhile becomes SemlinkError: its readers raise nearly anything."""
    try:
        yield
    except Exception as error:
        reason = " ".join(str(error).split())
        raise SemlinkError(f"{path}: not a readable picture ({reason}); mend it or take it away") from error


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """The file opened by Pillow, its size checked."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # MAX_PIXELS is stricter
        with _image(path) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ValueError(f"{image.height}x{image.width} is more than {MAX_PIXELS} pixels")
            yield image


def _image(path: Path) -> Image.Image:
    with open(path, "rb") as file:
        heif = deep.is_heif(file.read(64))
    if not heif:
        return Image.open(path)
    from pillow_heif import HeifImageFile

    return HeifImageFile(path)


def _decoded(path: Path) -> np.ndarray:
    """Upright, `[H, W, 3]` in [0, 1]."""
    with _opened(path) as image:
        found = deep.samples(image.format, path.read_bytes()) if image.format in deep.READERS else None
        samples = _samples(image) if found is None else found
        # after decoding: Pillow turns TIFF files itself and then drops the tag
        return upright(rgb(samples), image.getexif().get(ORIENTATION, 1))


def _samples(image: Image.Image) -> np.ndarray:
    """`[H, W, C]` in [0, 1] of any other picture, C from 1 (grey) to 4 (RGB and alpha)."""
    if image.mode == "F":
        raise ValueError("floating-point samples have no defined white; save it with 8 or 16 bits")
    if image.mode == "I" and image.format == "PPM":  # grey, stretched to 16 bits
        return np.asarray(image)[..., None].astype(np.float32) / 65535
    if image.mode.startswith("I"):
        raise ValueError(f"{image.format} of more than 8 bits is not read; save it as PNG or TIFF")
    mode = "RGBA" if image.has_transparency_data else "RGB"
    return np.divide(np.asarray(image.convert(mode)), 255, dtype=np.float32)  # at once: large pictures are large
