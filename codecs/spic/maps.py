"""Class maps as they are sent: classes merged, cells of a few pixels instead of pixels, and what the receiver sees.

A map is uint8 `[H, W]` of class numbers; `classes`, one more than the last, is a pixel of no class.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from semlink.simulator.errors import SemlinkError

CELLS = (1, 2, 4, 8)  # px: sides of the cells of a map
MERGED = {  # which classes of CamVid are one, by how many are left
    11: (),
    7: (("building", "pole", "signsymbol", "fence"), ("pedestrian", "bicyclist")),
    4: (("building", "pole", "signsymbol", "fence", "tree"), ("road", "pavement"), ("car", "pedestrian", "bicyclist")),
}


def groups_of(names: Sequence[str], merged: Sequence[Sequence[str]]) -> list[list[int]]:
    """Numbers of the classes in each group that is left when those of `merged` become one, by first number.

    SemlinkError for a name that is no class or stands twice.
    """
    wanted = [name for group in merged for name in group]
    unknown = [name for name in wanted if name not in names]
    if unknown or len(set(wanted)) < len(wanted):
        which = unknown[0] if unknown else next(name for name in wanted if wanted.count(name) > 1)
        raise SemlinkError(f"merged class {which!r}: name each at most once, of {', '.join(names)}")
    alone = [[i] for i, name in enumerate(names) if name not in wanted]
    return sorted([*alone, *(sorted(names.index(name) for name in group) for group in merged if group)])


def merge(labels: Tensor, groups: Sequence[Sequence[int]]) -> Tensor:
    """Group numbers for the class numbers of a map of any shape, uint8; what is of no class is of no group."""
    numbers = torch.full((256,), len(groups), dtype=torch.uint8)
    for number, group in enumerate(groups):
        numbers[list(group)] = number
    return numbers[labels.long()]


def shrink(labels: Tensor, cell: int, classes: int) -> Tensor:
    """The most frequent number of each cell x cell pixels, uint8 `[rows, columns]`; of two alike the lower."""
    if cell == 1:
        return labels
    missing = [-side % cell for side in labels.shape]
    one_hot = F.one_hot(labels.long(), classes + 1).permute(2, 0, 1).float()
    whole = F.pad(one_hot[None], (0, missing[1], 0, missing[0]), mode="replicate")
    return F.avg_pool2d(whole, cell)[0].argmax(0).to(torch.uint8)


def grow(small: Tensor, cell: int, height: int, width: int) -> Tensor:
    """A map of cells as one of pixels, `[height, width]`."""
    return small.repeat_interleave(cell, 0).repeat_interleave(cell, 1)[:height, :width]


def shares(labels: Tensor, groups: Sequence[Sequence[int]], classes: int) -> Tensor:
    """What a network sees of a map of groups `[..., H, W]`: float32 `[..., classes, H, W]`, 1 spread over the group.

    0 everywhere at pixels of no class.
    """
    table = torch.zeros(256, classes)
    for number, group in enumerate(groups):
        table[number, list(group)] = 1 / len(group)
    return table[labels.long()].movedim(-1, -3).contiguous()
