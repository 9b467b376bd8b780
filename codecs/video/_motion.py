"""Motion of blocks between two frames, as a transmitter sees it, and frames moved by it.

Flow is in px `[batch, 2, H / 8, W / 8]` (rows, columns), per 8x8 cell, backward: what is at p now was at p + flow.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

CELL = 8  # px
REACH = 8  # steps of 2 px that are searched, each way
REFINED = 2
AROUND = torch.tensor([(row, column) for row in (-1.0, 0.0, 1.0) for column in (-1.0, 0.0, 1.0)])
PRICE = 0.001  # of a step, in mean absolute difference: what is flat stays where it is


def block_motion(now: Tensor, before: Tensor) -> Tensor:
    """Flow from frames `[batch, 3, H, W]` in [0, 1] to those before, up to 17 px; sides are multiples of 8.

    Full search at half the size over windows of 16 px, then twice the median with the neighbours and the best of a
    pixel's neighbourhood, with a parabola through the costs there.
    """
    one, other = (frames.mean(1, keepdim=True) for frames in (now, before))
    flow = _searched(F.avg_pool2d(one, 2), F.avg_pool2d(other, 2))
    for _ in range(REFINED):
        flow = _refined(one, other, _median(flow))
    return flow


def padded(frames: Tensor) -> Tensor:
    """Frames with sides that a cell divides, their last rows and columns repeated."""
    height, width = frames.shape[2:]
    return F.pad(frames, (0, -width % CELL, 0, -height % CELL), mode="replicate")


def moved(frames: Tensor, flow: Tensor) -> Tensor:
    """Frames, or features, `[batch, C, h, w]` at the places to which a flow in their pixels points, bilinear.

    The flow may be coarser than the frames: it is interpolated. Beyond the edges the last row or column goes on.
    """
    rows, columns = _places(flow, frames.shape[2], frames.shape[3])
    return _sampled(frames, rows, columns)


def _places(flow: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """The rows and the columns `[batch, height, width]` to which a flow points from each pixel."""
    fine = F.interpolate(flow, (height, width), mode="bilinear", align_corners=False)
    rows, columns = (torch.arange(n, device=fine.device) for n in (height, width))
    return rows[:, None] + fine[:, 0], columns + fine[:, 1]


def _sampled(frames: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    height, width = frames.shape[2:]
    places = torch.stack([(2 * columns + 1) / width - 1, (2 * rows + 1) / height - 1], -1)
    return F.grid_sample(frames, places, padding_mode="border", align_corners=False)


def _searched(one: Tensor, other: Tensor) -> Tensor:
    """The best of all shifts of whole pixels of the halved frames `[batch, 1, h, w]`, in px of the full size."""
    side = torch.arange(-REACH, REACH + 1)
    around = F.pad(other, (REACH,) * 4, mode="replicate")[:, 0]
    there = around.unfold(1, len(side), 1).unfold(2, len(side), 1)
    gap = torch.sub(one[:, 0, :, :, None, None], there, out=one.new_empty(there.shape))  # shifts last in memory: fast
    error = F.avg_pool2d(gap.abs_().flatten(3).permute(0, 3, 1, 2), CELL, CELL // 2, CELL // 4, count_include_pad=False)
    shifts = torch.stack(torch.meshgrid(side, side, indexing="ij"), -1).reshape(-1, 2)
    best = (error + PRICE * shifts.abs().sum(1)[:, None, None]).argmin(1)
    return 2.0 * shifts[best].permute(0, 3, 1, 2)


def _refined(one: Tensor, other: Tensor, flow: Tensor) -> Tensor:
    """The best of a flow and its neighbours a pixel off, all of them at once."""
    height, width = one.shape[2:]
    places = _places(flow, height, width)
    rows, columns = ((p[:, None] + AROUND[:, k, None, None]).flatten(0, 1) for k, p in enumerate(places))
    there = _sampled(other.repeat_interleave(len(AROUND), 0), rows, columns)
    costs = _cost(one - there.view(-1, len(AROUND), height, width))
    return flow + _lowest(costs + PRICE / 2 * AROUND.abs().sum(1)[:, None, None])


def _median(flow: Tensor) -> Tensor:
    """Of each component over 3x3 cells."""
    height, width = flow.shape[2:]
    around = F.pad(flow, (1,) * 4, mode="replicate").unfold(2, height, 1).unfold(3, width, 1)
    return around.flatten(2, 3).median(2).values


def _cost(difference: Tensor) -> Tensor:
    """Mean absolute difference `[batch, n, H / 8, W / 8]` in windows of 16 px."""
    return F.avg_pool2d(difference.abs(), 2 * CELL, CELL, CELL // 2, count_include_pad=False)


def _lowest(costs: Tensor) -> Tensor:
    """The shift of least cost of a 3x3 neighbourhood `[batch, 9, h, w]`, finer where it is the middle."""
    best = costs.argmin(1)
    up, left, middle, right, down = (costs[:, k] for k in (1, 3, 4, 5, 7))
    found = AROUND[best].permute(0, 3, 1, 2)
    parts = [_vertex(before, middle, after) for before, after in ((up, down), (left, right))]
    return torch.where((best == 4)[:, None], torch.stack(parts, 1), found)


def _vertex(before: Tensor, middle: Tensor, after: Tensor) -> Tensor:
    """Where a parabola through three costs is lowest, within half a step."""
    curve = (before - 2 * middle + after).clamp_min(1e-6)
    return (0.5 * (before - after) / curve).clamp(-0.5, 0.5)
