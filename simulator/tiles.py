"""Large pictures in tiles, so that the memory of networks does not grow with the picture.

What a convolution makes of a place depends on its surroundings within `reach`; a tile that sees that much more on each
side gives the same as the whole picture, to rounding. What a network pools over a picture it must be told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar, cast

import torch
from torch import Tensor

SIDE = 1024  # px of a tile; pictures of no more pixels than that squared are not cut

Made = TypeVar("Made", Tensor, tuple[Tensor, Tensor])


@dataclass(frozen=True)
class Cut:
    """Along one side in px: the part that a tile gives, and the part that it sees."""

    gives: slice
    sees: slice

    def within(self, scale: int) -> slice:
        """What it gives of what it sees, in places of `scale` px; to the end where it gives all that it sees there."""
        stop = None if self.gives.stop == self.sees.stop else (self.gives.stop - self.sees.start) // scale
        return slice((self.gives.start - self.sees.start) // scale, stop)


def in_tiles(
    function: Callable[..., Made], reach: int, unit: int, takes: Sequence[int | None], gives: int
) -> Callable[..., Made]:
    """The function of maps `[batch, ..., h, w]`, tile by tile where pictures are large and no gradients are wanted.

    reach: px beyond a place on which what the function makes of it depends. unit: px at whose multiples tiles begin.
    takes: px behind a place of each argument, None for what is not a map and is given whole; gives: of the result, or
    of both its maps.
    """

    def tiled(*arguments: Tensor) -> Made:
        map_, scale = next((a, s) for a, s in zip(arguments, takes, strict=True) if s)
        height, width = (scale * side for side in map_.shape[-2:])
        if height * width <= SIDE**2 or torch.is_grad_enabled():
            return function(*arguments)
        whole: tuple[Tensor, ...] = ()
        for row in cuts(height, SIDE, reach, unit):
            for column in cuts(width, SIDE, reach, unit):
                seen = (_part(a, s, row.sees, column.sees) for a, s in zip(arguments, takes, strict=True))
                found = _maps(function(*seen))
                whole = whole or tuple(f.new_empty(*f.shape[:-2], height // gives, width // gives) for f in found)
                for own, part in zip(whole, found, strict=True):
                    _part(own, gives, row.gives, column.gives).copy_(part[..., row.within(gives), column.within(gives)])
        return cast(Made, whole if len(whole) > 1 else whole[0])

    return tiled


def _maps(made: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (made,) if isinstance(made, Tensor) else made


def cuts(side: int, most: int, reach: int, unit: int) -> Iterator[Cut]:
    """A side of a picture in parts of about `most` px, as even as multiples of `unit` allow."""
    parts = -(-side // most)
    step = -(-side // (parts * unit)) * unit
    beyond = -(-reach // unit) * unit
    for start in range(0, side, step):
        stop = min(start + step, side)
        yield Cut(slice(start, stop), slice(max(0, start - beyond), min(stop + beyond, side)))


def _part(values: Tensor, scale: int | None, rows: slice, columns: slice) -> Tensor:
    """The places of a map behind these px."""
    if scale is None:
        return values
    across = slice(columns.start // scale, columns.stop // scale)
    return values[..., rows.start // scale : rows.stop // scale, across]
