"""The base: a picture coded for a fixed number of channel uses, or its mean colour where no quality fits.

Payload: a header byte (the scale of the analog symbols and the kind of base), then the image coder's bytes, three bytes
of a colour, or, of thumbnails only, quantised coefficients (`thumbs`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from semlink.codecs._sources.coders import SourceCoder, fit
from semlink.codecs._sources.separated import FLAT_BYTES, to_uint8
from semlink.codecs.semlink.hybrid import thumbs

SCALE_STEPS = 6  # of the scale in the header, a factor of two
SCALE_OFFSET = 100
SMALL = 40  # px: pictures no larger than this are thumbnails


@dataclass(frozen=True)
class Base:
    """data: bytes of the image coder, of a colour, or drawn: of `thumbs`. picture: uint8 `[3, H, W]` that they give."""

    data: bytes
    picture: Tensor
    drawn: bool = False

    @property
    def bpp(self) -> float:
        """Bits per pixel, without the header."""
        return 8 * len(self.data) / self.picture[0].numel()


def is_small(height: int, width: int) -> bool:
    """Whether pictures of that size are thumbnails."""
    return max(height, width) <= SMALL


def code_base(image: Tensor, room: int, source: SourceCoder) -> Base:
    """The best base of at most `room` bytes (3 or more) of a picture `[3, H, W]` in [0, 1]."""
    picture = to_uint8(image)
    height, width = picture.shape[:2]
    found = fit(source, picture, room)
    data = found[0] if found is not None and len(found[0]) != FLAT_BYTES else mean_colour(picture)
    coded = read_base(data, height, width, source)
    if not is_small(height, width) or room > thumbs.MOST:
        return coded
    drawn = draw_base(picture, room)
    return min((coded, drawn), key=lambda base: squared_error(base, picture))


def draw_base(picture: np.ndarray, length: int) -> Base:
    """Quantised coefficients of a uint8 `[H, W, 3]` thumbnail in `length` bytes."""
    data = thumbs.encode(picture, length)
    return Base(data, _tensor(thumbs.decode(data, *picture.shape[:2])), drawn=True)


def read_base(data: bytes, height: int, width: int, source: SourceCoder, drawn: bool = False) -> Base:
    """The base that bytes are. SemlinkError when they are none."""
    if drawn:
        return Base(data, _tensor(thumbs.decode(data, height, width)), drawn)
    if len(data) == FLAT_BYTES:
        return Base(data, torch.tensor([*data], dtype=torch.uint8)[:, None, None].expand(3, height, width))
    return Base(data, _tensor(source.decode(data, height, width)))


def mean_colour(picture: np.ndarray) -> bytes:
    """The mean colour of a uint8 `[H, W, 3]` picture, 3 bytes."""
    return picture.reshape(-1, 3).mean(0).round().astype(np.uint8).tobytes()


def squared_error(base: Base, picture: np.ndarray) -> float:
    """Sum over a uint8 `[H, W, 3]` picture."""
    return float(((base.picture.permute(1, 2, 0).numpy().astype(float) - picture) ** 2).sum())


def header_of(scale: float, drawn: bool) -> int:
    """The byte that tells a scale, to 6 per cent, and the kind of base."""
    step = round(SCALE_STEPS * np.log2(max(scale, 1e-9))) + SCALE_OFFSET
    return 2 * int(np.clip(step, 0, 127)) + drawn


def read_header(byte: int) -> tuple[float, bool]:
    """Scale, 2^-16 to 2^4, and kind that a header byte tells."""
    return float(2 ** ((byte // 2 - SCALE_OFFSET) / SCALE_STEPS)), bool(byte % 2)


def _tensor(picture: np.ndarray) -> Tensor:
    return torch.from_numpy(picture).permute(2, 0, 1).contiguous()
