"""The network of `semmap`: a frame in one pass, from a key frame moved, and from maps of what was where and what is.

A U-Net on 2x2 pixels at a place (Ronneberger et al., MICCAI 2015; a conditional generator of scenes from maps as in
Isola et al., CVPR 2017), without normalisation, with sizes of our own. It adds to the moved key frame, or where there
is none to the map painted in the colours of its palette.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semlink.codecs.video._motion import moved

CLASSES = 8
GRID = 4  # px of a place of maps, as the network sees them
PATCH = 2
SLOPE = 0.1  # of what is below zero
ABOUT = 5
INPUTS = 3 * PATCH**2 + 2 * CLASSES + 3 + 3 + 1 + 2 + ABOUT
REACH = 16.0  # px and frames that are much


class Told(NamedTuple):
    """What a receiver knows of frames. Height and width of pictures are multiples of 8.

    key: key frames `[batch, 3, H, W]` in [0, 1], moved. flow: by which, px `[batch, 2, rows, columns]`. now, then:
    shares of classes `[batch, 8, H/4, W/4]`, of the frame, and of the key frame, moved. palette: `[batch, 8, 3]` in
    [0, 1]. about: `[batch, ABOUT]` of `about`.
    """

    key: Tensor
    flow: Tensor
    now: Tensor
    then: Tensor
    palette: Tensor
    about: Tensor


def about(there: bool, street: bool, cell: int, age: int, bpp: float) -> list[float]:
    """Numbers that tell of a frame: whether there is a key frame and classes are a street's, px of a cell of its map,
    frames since the key frame, and bits per pixel of that."""
    logs = torch.tensor([cell / GRID, max(bpp, 1 / 64)]).log2().tolist()
    return [float(there), float(street), logs[0] / 2, min(age, 2 * REACH) / REACH, logs[1] / 4]


class Generator(nn.Module):
    """widths: features at a half, a quarter, an eighth and a sixteenth of the resolution. `settings` rebuilds it."""

    def __init__(self, widths: tuple[int, ...] = (24, 64, 96, 128)) -> None:
        super().__init__()
        self.settings = {"widths": list(widths)}
        pairs = list(zip(widths[:-1], widths[1:], strict=True))
        self.enter = nn.Conv2d(INPUTS, widths[0], 3, padding=1)
        self.fine = Residual(widths[0])
        self.down = nn.ModuleList(
            nn.Sequential(nn.Conv2d(fine, rough, 3, 2, 1), Residual(rough)) for fine, rough in pairs
        )
        self.middle = Residual(widths[-1])
        self.up = nn.ModuleList(nn.Conv2d(rough, fine, 1) for fine, rough in pairs)
        self.joined = nn.ModuleList(Residual(width) for width in widths[:-1])
        self.last = Residual(widths[0])
        self.leave = nn.Conv2d(widths[0], 3 * PATCH**2, 3, padding=1)
        for parameter in self.leave.parameters():
            nn.init.zeros_(parameter)

    def forward(self, told: Told) -> Tensor:
        """Frames `[batch, 3, H, W]`, not clamped."""
        x, base = planes(told)
        height, width = x.shape[2:]
        unit = 2 ** len(self.down)
        x = F.pad(x, (0, -width % unit, 0, -height % unit), mode="replicate")
        levels = [self.fine(self.enter(x))]
        for down in self.down:
            levels.append(down(levels[-1]))
        x = self.middle(levels.pop())
        for up, joined in zip(reversed(self.up), reversed(self.joined), strict=True):
            x = joined(levels.pop() + F.interpolate(up(x), scale_factor=2, mode="nearest"))
        return base + F.pixel_shuffle(self.leave(self.last(x))[:, :, :height, :width], PATCH)


class Residual(nn.Module):
    """Two convolutions around a skip; the second begins at zero. No feature is ever wholly off and stops learning."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = (nn.Conv2d(width, width, 3, padding=1) for _ in range(2))
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(F.leaky_relu(self.first(F.leaky_relu(x, SLOPE)), SLOPE))


def planes(told: Told) -> tuple[Tensor, Tensor]:
    """What the network sees, `[batch, INPUTS, H/2, W/2]`, and what it adds to, `[batch, 3, H, W]`."""
    size = (told.key.shape[2] // PATCH, told.key.shape[3] // PATCH)
    there, street = (told.about[:, k, None, None, None] for k in (0, 1))
    painted = [torch.einsum("bkhw,bkc->bchw", shares, told.palette) for shares in (told.now, told.then)]
    same = (told.now * told.then).sum(1, keepdim=True)
    coarse = torch.cat([told.now * street, told.then * street * there, painted[0], painted[1] * there, same * there], 1)
    flow = F.interpolate(told.flow, size, mode="bilinear", align_corners=False) / REACH
    flat = told.about[:, :, None, None].expand(-1, -1, *size)
    grown = F.interpolate(coarse, size, mode="nearest")
    key = F.pixel_unshuffle((told.key - 0.5) * there, PATCH)
    whole = F.interpolate(painted[0], told.key.shape[2:], mode="bilinear", align_corners=False)
    return torch.cat([key, grown, flow, flat], 1), there * told.key + (1 - there) * whole


def told_of(
    key: Tensor,
    flow: Tensor,
    labels: tuple[Tensor, Tensor],
    cells: tuple[int, int],
    palette: Tensor,
    abouts: Sequence[list[float]],
) -> Told:
    """What is told of frames with one key frame `[1, 3, H, W]`.

    labels: maps uint8 `[1, rows, columns]` of that, and `[batch, ...]` of the frames; cells: px of their cells.
    """
    count, size = len(flow), key.shape[2:]
    then, now = (shares_of(own, cell, *size) for own, cell in zip(labels, cells, strict=True))
    told = torch.tensor(abouts, dtype=torch.float32)
    return Told(
        moved(key.expand(count, -1, -1, -1), flow) * told[:, 0, None, None, None],
        flow,
        now,
        moved(then.expand(count, -1, -1, -1), flow / GRID),
        palette.float().expand(count, -1, -1) / 255,
        told,
    )


def shares_of(labels: Tensor, cell: int, height: int, width: int) -> Tensor:
    """Shares `[batch, 8, height/4, width/4]` of maps uint8 `[batch, rows, columns]` of cells of 4 px or more."""
    rows, columns = (torch.arange(n // GRID) * GRID // cell for n in (height, width))
    return F.one_hot(labels[:, rows][:, :, columns].long(), CLASSES).permute(0, 3, 1, 2).float()
