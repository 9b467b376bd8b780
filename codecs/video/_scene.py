"""What both ends of `semmap` hold of a scene: a key frame, its map and the colours of its classes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from semlink.codecs.video import _offers
from semlink.codecs.video._map_packet import Note

FINE = 16  # parts of a pixel that the motion of maps counts in, so that both ends round alike


@dataclass(frozen=True)
class Map:
    """labels: uint8 `[rows, columns]`. cell: px of a cell. number: of the frame that it was told with."""

    labels: np.ndarray
    cell: int
    number: int

    def at(self, cell: int, height: int, width: int) -> np.ndarray:
        """The map in other cells of a frame of that size."""
        return self.moved(np.zeros((2, 1, 1), int), cell, height, width)

    def moved(self, flow: np.ndarray, cell: int, height: int, width: int) -> np.ndarray:
        """The map with cells of `cell` px where a flow leads from their middles.

        flow: int `[2, rows, columns]`, FINE parts of a pixel (rows, columns), of blocks that share the frame.
        """
        rows, columns = (np.minimum(np.arange(-(-n // cell)) * cell + cell // 2, n - 1) for n in (height, width))
        blocks = flow[:, (rows * flow.shape[1] // height)[:, None], columns * flow.shape[2] // width]
        y = np.clip(FINE * rows[:, None] + blocks[0], 0, FINE * height - 1) // (FINE * self.cell)
        x = np.clip(FINE * columns + blocks[1], 0, FINE * width - 1) // (FINE * self.cell)
        return self.labels[y, x]


@dataclass(frozen=True)
class Scene:
    """number: in turn. street: whether classes are a street's. palette: uint8 `[8, 3]`. key: the map told with it.

    picture: the key frame `[1, 3, H, W]`, padded; None where there is none. bpp: its bits per pixel. begun: number of
    its first frame, not in turn. lost: whether a key frame was sent that is not there.
    """

    number: int
    street: bool
    palette: np.ndarray
    key: Map
    picture: Tensor | None
    bpp: float
    begun: int
    lost: bool = False


def flow_of(note: Note, height: int, width: int) -> Tensor:
    """The motion that a note tells, in px `[1, 2, rows, columns]`."""
    return _offers.unpack(note.motion, note.mode, height, width)


def rounded(flow: Tensor) -> np.ndarray:
    """A flow in px as whole FINE parts, `[2, rows, columns]`."""
    return np.rint(FINE * flow[0].numpy().astype(float)).astype(int)


def levels(picture: Tensor) -> np.ndarray:
    """A picture `[1, 3, H, W]` in [0, 1] as uint8 `[H, W, 3]`."""
    return (255 * picture[0].clamp(0, 1)).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
