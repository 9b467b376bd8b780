"""The down-scaling ladder: a picture is coded at the size at which it comes out best in the bytes that there are.

Few bytes carry a smaller picture better than a large one at the coarsest quality, so what an expert sends over a poor
channel is a smaller one, scaled up by the receiver. Down and up by Lanczos; the step of the ladder travels with the
bytes. Where even the smallest does not fit, three bytes tell the mean colour.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from semlink.codecs._sources.coders import SourceCoder
from semlink.codecs._sources.fitting import fit
from semlink.codecs._sources.mosaic import LARGE, mosaic
from semlink.simulator.errors import SemlinkError

FACTORS = (1.0, 0.75, 0.5, 0.375, 0.25, 0.125)  # of both sides, at most 8: the step travels in three bits
FLAT_BYTES = 3  # what has this length is a mean colour


@dataclass(frozen=True)
class Coded:
    """data: what is sent. picture: uint8 `[H, W, 3]` that the receiver makes of it. error: its mean squared error."""

    data: bytes
    picture: np.ndarray
    error: float


def code(source: SourceCoder, image: np.ndarray, max_bytes: int) -> Coded | None:
    """The best coding of a uint8 `[H, W, 3]` picture in at most `max_bytes`; None where not even a colour fits.

    Of a large picture the step is chosen on a mosaic of it.
    """
    if max_bytes < FLAT_BYTES:
        return None
    best = _flat(image)
    if image[..., 0].size > LARGE:
        proxy = mosaic(image)
        share = proxy[..., 0].size / image[..., 0].size
        steps = [step_of(source, proxy, int(max_bytes * share))]
    else:
        steps = [*range(len(FACTORS))]
    for step in steps:
        if step == 0 or _mean_error(image, _scaled_down_and_up(image, step)) < best.error:
            found = _at_step(source, image, max_bytes, step)
            best = found if found is not None and found.error < best.error else best
    return best


def step_of(source: SourceCoder, image: np.ndarray, max_bytes: int) -> int:
    """The step of the ladder at which a picture comes out best; the last one where none fits."""
    found = code(source, image, max_bytes)
    flat = found is None or len(found.data) == FLAT_BYTES
    return len(FACTORS) - 1 if flat else source.unmark(found.data)[0]


def read(source: SourceCoder, data: bytes, height: int, width: int) -> np.ndarray:
    """The uint8 `[height, width, 3]` picture of `code`'s bytes. SemlinkError for bytes that are none."""
    if len(data) == FLAT_BYTES:
        return np.broadcast_to(np.frombuffer(data, np.uint8), (height, width, 3)).copy()
    step, rest = source.unmark(data)
    if step >= len(FACTORS):
        raise SemlinkError(f"{source.name}: step {step} of a ladder of {len(FACTORS)}")
    return resized(source.decode(rest, *size_at(height, width, step)), height, width)


def size_at(height: int, width: int, step: int) -> tuple[int, int]:
    """Height and width at a step, at least 1."""
    return max(1, round(height * FACTORS[step])), max(1, round(width * FACTORS[step]))


def resized(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """A uint8 picture at another size."""
    if image.shape[:2] == (height, width):
        return image
    return np.array(Image.fromarray(image).resize((width, height), Image.Resampling.LANCZOS))


def _at_step(source: SourceCoder, image: np.ndarray, max_bytes: int, step: int) -> Coded | None:
    height, width = image.shape[:2]
    small = np.ascontiguousarray(resized(image, *size_at(height, width, step)))
    found = fit(source, small, max_bytes - source.marking)
    if found is None or len(found[0]) + source.marking == FLAT_BYTES:
        return None
    picture = resized(source.decode(found[0], *small.shape[:2]), height, width)
    return Coded(source.mark(found[0], step), picture, _mean_error(image, picture))


def _flat(image: np.ndarray) -> Coded:
    colour = image.reshape(-1, 3).mean(0).round().astype(np.uint8)
    picture = np.broadcast_to(colour, image.shape).copy()
    return Coded(colour.tobytes(), picture, _mean_error(image, picture))


def _scaled_down_and_up(image: np.ndarray, step: int) -> np.ndarray:
    """What would be left of a picture if its coding at that step lost nothing."""
    height, width = image.shape[:2]
    return resized(resized(image, *size_at(height, width, step)), height, width)


def _mean_error(image: np.ndarray, other: np.ndarray) -> float:
    """In pieces of bounded memory."""
    rows = max(1, LARGE // image.shape[1])
    pieces = ((image[i : i + rows], other[i : i + rows]) for i in range(0, len(image), rows))
    return sum(float(np.square(own.astype(np.float64) - its).sum()) for own, its in pieces) / image.size
