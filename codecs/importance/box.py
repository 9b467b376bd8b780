"""A fixed rectangle: the region of interest is where the camera points."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from semlink.codecs.importance._maps import one_by_one
from semlink.simulator.errors import SemlinkError

ROUNDING = 1e-9  # 0.7 * 10 is 7.000000000000001


@dataclass(frozen=True)
class Box:
    """x0, x1: left and right edge as fractions of the width; y0, y1: top and bottom edge as fractions of the height.

    Pixels that the box touches are 1, at least one of them; all others are 0. SemlinkError for an empty box or edges
    outside [0, 1].
    """

    x0: float = 0.25
    y0: float = 0.25
    x1: float = 0.75
    y1: float = 0.75

    def __post_init__(self) -> None:
        if not (0 <= self.x0 < self.x1 <= 1 and 0 <= self.y0 < self.y1 <= 1):
            edges = f"x {self.x0} to {self.x1}, y {self.y0} to {self.y1}"
            raise SemlinkError(
                f"box from {edges}: edges must rise within 0 to 1, e.g. box:x0=0.25,y0=0.25,x1=0.75,y1=1"
            )

    def maps(self, images: Tensor) -> Tensor:
        """The same hard map for each picture, `[batch, H, W]`."""
        return one_by_one(self._map, images)

    def _map(self, picture: Tensor) -> Tensor:
        height, width = picture.shape[1:]
        inside = torch.zeros(height, width)
        inside[_touched(self.y0, self.y1, height), _touched(self.x0, self.x1, width)] = 1
        return inside


def _touched(low: float, high: float, pixels: int) -> slice:
    """Pixels that the stretch between two fractions touches."""
    first = min(math.floor(low * pixels + ROUNDING), pixels - 1)
    return slice(first, max(first + 1, math.ceil(high * pixels - ROUNDING)))


PLUGIN = Box
