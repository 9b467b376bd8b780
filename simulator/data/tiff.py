"""TIFF beyond 1 to 8 contiguous bits a sample: its tags are honoured, or it is refused in one line.

Read here: grey and RGB of 1 to 16 unsigned bits, packed or not, in one plane or several, white or black first, with
alpha that is multiplied in or not, with other extra samples (left out), in any orientation. Plain files are Pillow's.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from semlink.simulator.data.colours import premultiplied_rgb, rgb, upright

SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
WHITE_FIRST, BLACK_FIRST, RGB = 0, 1, 2  # PhotometricInterpretation
COLOURS = {WHITE_FIRST: 1, BLACK_FIRST: 1, RGB: 3}
SEPARATE = 2  # PlanarConfiguration
UNSPECIFIED, MULTIPLIED, ALPHA = 0, 1, 2  # ExtraSamples
UNSIGNED = 1  # SampleFormat
ORIENTATION = 274
KINDS = {"i": "signed samples", "f": "floating-point samples have no defined white", "c": "complex samples"}


def read(path: Path, most: int) -> np.ndarray | None:
    """Upright, float32 `[H, W, 3]` in [0, 1]; None for what is no TIFF, or a plain one.

    most: pixels. ValueError, or nearly anything, of a file that is damaged, larger or of another kind.
    """
    with _special(path) as page:
        if page is None:
            return None
        _check(page, most)
        return upright(_colours(page, _samples(page)), _orientation(page))


def size(path: Path) -> tuple[int, int] | None:
    """(H, W) as `read` gives them, or None; likewise."""
    with _special(path) as page:
        if page is None:
            return None
        found = int(page.imagelength), int(page.imagewidth)
        return found[::-1] if _orientation(page) in (5, 6, 7, 8) else found


@contextmanager
def _special(path: Path) -> Iterator[Any]:
    """The first page of a TIFF that is not plain, or None."""
    with open(path, "rb") as file:
        if file.read(4) not in SIGNATURES:
            yield None
            return
    from tifffile import TiffFile

    with TiffFile(path) as tiff:
        page = tiff.pages[0]
        yield None if _plain(page) else page


def _plain(page: Any) -> bool:
    """Whether Pillow reads it right: no alpha, no planes, and unsigned samples of 1, 2, 4 or 8 bits."""
    whole = page.planarconfig != SEPARATE or page.samplesperpixel == 1
    simple = page.bitspersample in (1, 2, 4, 8) and page.sampleformat == UNSIGNED and page.imagedepth == 1
    left_out = page.photometric not in COLOURS and set(page.extrasamples) == {UNSPECIFIED}
    return whole and simple and (left_out or not page.extrasamples)


def _orientation(page: Any) -> int:
    tag = page.tags.get(ORIENTATION)
    return 1 if tag is None else int(tag.value)


def _check(page: Any, most: int) -> None:
    """ValueError that says why these samples have no meaning here."""
    found = _trouble(page)
    if found:
        raise ValueError(f"{found}; save it as grey or RGB with 8 or 16 bits")
    if page.imagelength * page.imagewidth > most:
        raise ValueError(f"{page.imagelength}x{page.imagewidth} is more than {most} pixels")
    end = page.parent.filehandle.size
    pieces = list(zip(page.dataoffsets, page.databytecounts, strict=True))
    if not pieces or any(start == 0 or start + length > end for start, length in pieces):
        raise ValueError("its data is cut off")


def _trouble(page: Any) -> str | None:
    kind = np.dtype(page.dtype).kind if page.dtype is not None else "none"
    colours = COLOURS.get(page.photometric)
    if kind not in "ub":
        return KINDS.get(kind, "samples of different or unknown kinds")
    if not isinstance(page.bitspersample, int) or page.bitspersample > 16:
        return f"{page.bitspersample}-bit samples"
    if colours is None:
        return f"samples of {getattr(page.photometric, 'name', page.photometric)} with more than 8 bits or in planes"
    if page.imagedepth != 1 or not colours <= page.samplesperpixel <= 16:
        return f"{page.samplesperpixel} samples a pixel of {page.imagedepth} layers"
    return None


def _samples(page: Any) -> np.ndarray:
    """`[H, W, samples]` in [0, 1], white 1."""
    count, height, width = page.samplesperpixel, page.imagelength, page.imagewidth
    samples = page.asarray(maxworkers=1)
    if page.planarconfig == SEPARATE:
        samples = samples.reshape(count, height, width).transpose(1, 2, 0)
    samples = samples.reshape(height, width, count)
    scaled = samples.astype(np.float32) / (2**page.bitspersample - 1)
    if page.photometric == WHITE_FIRST:
        scaled[..., 0] = 1 - scaled[..., 0]
    return scaled


def _colours(page: Any, samples: np.ndarray) -> np.ndarray:
    """`[H, W, 3]` over white, the extra samples used as the tag says."""
    colours = COLOURS[page.photometric]
    # Writers that leave the tag out mean alpha by one more sample, and so Pillow reads 8 bits.
    codes = [int(code) for code in page.extrasamples] or [ALPHA] * (samples.shape[2] - colours == 1)
    alpha = next((i for i, code in enumerate(codes) if code in (MULTIPLIED, ALPHA)), None)
    if alpha is None:
        return rgb(samples[..., :colours])
    kept = samples[..., [*range(colours), colours + alpha]]
    return premultiplied_rgb(kept) if codes[alpha] == MULTIPLIED else rgb(kept)
