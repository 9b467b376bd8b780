"""The base: a picture coded for a fixed number of channel uses, smaller or as a colour where they do not carry more.

Payload: a header byte (the scale of the analog symbols and the kind of base), then the bytes of the down-scaling
`ladder`, or, of thumbnails only, quantised coefficients (`thumbs`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor

from semlink.codecs._learned.shipped import is_small
from semlink.codecs._sources import ladder
from semlink.codecs._sources.coders import SourceCoder
from semlink.codecs._sources.separated import to_uint8
from semlink.codecs.semlink.hybrid import thumbs

SCALE_STEPS = 6  # of the scale in the header, a factor of two
SCALE_OFFSET = 100


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


def code_base(image: Tensor, room: int, source: SourceCoder) -> Base:
    """The best base of at most `room` bytes (3 or more) of a picture `[3, H, W]` in [0, 1]."""
    picture = to_uint8(image)
    found = cast(ladder.Coded, ladder.code(source, picture, room))
    coded = Base(found.data, _tensor(found.picture))
    if not is_small(*picture.shape[:2]) or room > thumbs.MOST:
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
    return Base(data, _tensor(ladder.read(source, data, height, width)))


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
