"""One picture file to RGB in [0, 1]: every common mode, depth and orientation, or one clear error.

Values are the file's code values over their maximum (no colour management, no gamma). Grey is copied to the three
channels, transparency is laid over white, CMYK and other colour models are converted, EXIF orientation is applied;
of an animation the first frame counts. 16-bit PNG and TIFF keep their 16 bits.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from semlink.simulator.errors import SemlinkError

SUFFIXES = frozenset(
    (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".avif", ".bmp", ".gif", ".tif", ".tiff", ".jp2", ".j2k")
    + (".ppm", ".pgm", ".pbm", ".pnm", ".tga")
)
MAX_PIXELS = 1 << 26  # a larger picture is more likely a decompression bomb than a picture to transmit
ORIENTATION = 0x0112  # EXIF tag


def read(path: Path) -> np.ndarray:
    """The picture, float32 `[3, H, W]` in [0, 1]. SemlinkError that names the file when it is none or is damaged."""
    with _opened(path) as image:
        samples = _deep_samples(path, image)
        if samples is None:
            samples = _samples(image)
        # after decoding: Pillow turns TIFF files itself and then drops the tag
        upright = _upright(_rgb(samples), image.getexif().get(ORIENTATION, 1))
    return np.ascontiguousarray(upright.transpose(2, 0, 1), dtype=np.float32)


def indices(path: Path) -> np.ndarray:
    """Class numbers, uint8 `[H, W]`, of a picture of one channel (a palette's indices, grey values as they are).

    SemlinkError that names the file when it is none, has colours or is damaged.
    """
    with _opened(path) as image:
        if image.mode not in ("P", "L", "1"):
            raise ValueError(f"mode {image.mode}; class numbers need one channel of 8 bits")
        return np.array(image).astype(np.uint8)


def size(path: Path) -> tuple[int, int]:
    """(H, W) as `read` gives them, from the header (Pillow decodes a whole PNG to find its EXIF).

    SemlinkError that names the file when it is no picture.
    """
    with _opened(path) as image:
        turned = image.format != "TIFF" and image.getexif().get(ORIENTATION, 1) in (5, 6, 7, 8)
        return image.size if turned else image.size[::-1]


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """The file opened by Pillow, its size checked; whatever goes wrong with it meanwhile becomes SemlinkError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # MAX_PIXELS is stricter
            with Image.open(path) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise ValueError(f"{image.height}x{image.width} is more than {MAX_PIXELS} pixels")
                yield image
    except Exception as error:  # Pillow's readers raise nearly anything on damaged files
        raise SemlinkError(f"{path}: not a readable picture ({error}); mend it or take it away") from error


def _tiff_bits(image: Image.Image) -> set[int]:
    return set(getattr(image, "tag_v2", {}).get(258, ()))  # BitsPerSample


def _deep_samples(path: Path, image: Image.Image) -> np.ndarray | None:
    """`[H, W, C]` in [0, 1] of a 16-bit PNG or colour TIFF, which Pillow would cut to 8 bits; None for other files."""
    import imagecodecs

    data = path.read_bytes() if image.format in ("PNG", "TIFF") else b""
    if image.format == "PNG" and data[24] == 16:  # IHDR's bit depth
        samples = imagecodecs.png_decode(data)
    elif image.format == "TIFF" and image.mode in ("RGB", "RGBA") and _tiff_bits(image) == {16}:
        samples = imagecodecs.tiff_decode(data)
    else:
        return None
    return np.atleast_3d(samples).astype(np.float32) / 65535


def _samples(image: Image.Image) -> np.ndarray:
    """`[H, W, C]` in [0, 1] of any other picture, C from 1 (grey) to 4 (RGB and alpha)."""
    if image.mode == "F":
        raise ValueError("floating-point samples have no defined white; save it with 8 or 16 bits")
    if image.mode == "I" or image.mode.startswith("I;16"):
        grey = np.asarray(image)[..., None].astype(np.float32) / 65535
        if grey.min() < 0 or grey.max() > 1:
            raise ValueError("32-bit samples; save it with 8 or 16 bits")
        return grey
    mode = "RGBA" if image.has_transparency_data else "RGB"
    return np.asarray(image.convert(mode)).astype(np.float32) / 255


def _rgb(samples: np.ndarray) -> np.ndarray:
    """`[H, W, 3]`: grey copied to three channels, the alpha of 2 or 4 channels laid over white."""
    channels = samples.shape[2]
    colour = samples[..., :3] if channels >= 3 else samples[..., :1].repeat(3, axis=2)
    if channels in (2, 4):
        alpha = samples[..., -1:]
        colour = colour * alpha + (1 - alpha)
    return colour


def _upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """`[H, W, C]` turned as its EXIF orientation, 1 to 8, asks; other values are taken for 1."""
    if orientation in (5, 6, 7, 8):
        pixels, orientation = pixels.swapaxes(0, 1), orientation - 4
    if orientation in (2, 3):
        pixels = pixels[:, ::-1]
    return pixels[::-1] if orientation in (3, 4) else pixels
