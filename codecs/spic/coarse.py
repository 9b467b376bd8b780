"""The coarse picture: means of factor x factor pixels, coded like any picture, and grown again by the receiver."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from semlink.codecs._sources.coders import SourceCoder
from semlink.codecs._sources.fitting import fit
from semlink.simulator.errors import SemlinkError

FACTORS = (2, 3, 4, 6, 8, 12)  # by which the sides of a coarse picture are smaller; at most 8, told in three bits


@dataclass(frozen=True)
class Coarse:
    """picture: uint8 `[h, w, 3]` as the receiver has it. factor: by which its sides are smaller. bits: it took."""

    picture: np.ndarray
    factor: int
    bits: int


def size_at(height: int, width: int, factor: int) -> tuple[int, int]:
    """Height and width of the coarse picture, whole pixels."""
    return -(-height // factor), -(-width // factor)


def shrink(image: Tensor, factor: int) -> np.ndarray:
    """The coarse picture, uint8 `[h, w, 3]`, of a picture `[3, H, W]` in [0, 1]; each pixel a mean over its area."""
    small = F.interpolate(image[None].float(), size=size_at(image.shape[1], image.shape[2], factor), mode="area")[0]
    return (255 * small.clamp(0, 1)).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()


def grow(small: np.ndarray, height: int, width: int) -> Tensor:
    """A coarse picture uint8 `[h, w, 3]` at full size by bicubic interpolation, `[3, height, width]` in [0, 1]."""
    picture = torch.from_numpy(small).permute(2, 0, 1)[None].float() / 255
    return F.interpolate(picture, size=(height, width), mode="bicubic", align_corners=False)[0].clamp(0, 1)


def fitted(source: SourceCoder, image: Tensor, room: int, factor: int | None = None) -> bytes:
    """The coarse picture of `[3, H, W]` in [0, 1] that comes out best in at most `room` bytes; none where none fits.

    Best: the least squared error once it has grown again. factor: this one alone.
    """
    best, data = math.inf, b""
    for own in (factor,) if factor else FACTORS:
        small = shrink(image, own)
        if error_of(image, small) < best:  # what coding adds only makes it larger
            error, found = _at(source, image, small, room, own)
            best, data = (error, found) if error < best else (best, data)
    return data


def error_of(image: Tensor, small: np.ndarray) -> float:
    """Mean squared error of a coarse picture that has grown."""
    return float((grow(small, image.shape[1], image.shape[2]) - image).square().mean())


def _at(source: SourceCoder, image: Tensor, small: np.ndarray, room: int, factor: int) -> tuple[float, bytes]:
    found = fit(source, small, room - source.marking)
    if found is None:
        return math.inf, b""
    return error_of(image, source.decode(found[0], *small.shape[:2])), source.mark(found[0], FACTORS.index(factor))


def coded(source: SourceCoder, image: Tensor, factor: int, quality: int) -> bytes:
    """The coarse picture at a given factor and quality."""
    return source.mark(source.encode(shrink(image, factor), quality), FACTORS.index(factor))


def read(source: SourceCoder, data: bytes, height: int, width: int) -> Coarse:
    """What the receiver has of the coarse picture of one of that size. SemlinkError for other bytes."""
    which, rest = source.unmark(data)
    if which >= len(FACTORS):
        raise SemlinkError(f"{source.name}: factor {which} of {len(FACTORS)}")
    factor = FACTORS[which]
    return Coarse(source.decode(rest, *size_at(height, width, factor)), factor, 8 * len(data))
