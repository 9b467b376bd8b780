"""Regions of interest on the latent grid: cells, levels, symbols per place, and the order in which symbols are sent.

A cell is 16x16 px. Levels follow ROI-JSCC (Choi et al., arXiv 2506.01269): the region of interest (ROI) 1, cells that
touch it, corners included (ROP), 0.5, the rest (RONI) 0. A place is one latent position, 4x4 px; its symbols are a
prefix of the latent planes. Everything here is integer arithmetic on the mask, so that both ends agree exactly.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from semlink.codecs._regions import mask_code
from semlink.simulator.values import Reception, Stream
from semlink.simulator.words import parse

CELL = 16  # px, side of a cell of the mask
PLACE = 4  # px, side of the pixels behind one latent position


class Importance(Protocol):
    """What tells a region of interest: maps in [0, 1], `[batch, H, W]`, from pictures `[batch, 3, H, W]`.

    It may have `files() -> tuple[Path, ...]`: the files and folders that its maps depend on.
    """

    def maps(self, images: Tensor) -> Tensor: ...


def find_importance(importance: str | Importance) -> Importance | None:
    """The object itself, the plug-in of a word, or None for "none".

    Within a codec's own word, where commas end a setting, the settings of this one are separated by semicolons:
    "roi_jscc:importance=box:x0=0.1;x1=0.4".
    """
    if not isinstance(importance, str):
        return importance
    word = parse(importance.replace(";", ","))
    if word.name == "none":
        return None
    from semlink.codecs import importance as plugins

    return plugins.create(word.name, **dict(word.settings))


def importance_files(importance: Importance | None) -> tuple[Path, ...]:
    """Files and folders that the maps depend on; none of makers that declare none."""
    declare: Callable[[], tuple[Path, ...]] = getattr(importance, "files", tuple)
    return declare()


def cell_grid(height: int, width: int) -> tuple[int, int]:
    """Rows and columns of cells of a picture."""
    return -(-height // CELL), -(-width // CELL)


def place_grid(height: int, width: int) -> tuple[int, int]:
    """Rows and columns of places of a picture."""
    return -(-height // PLACE), -(-width // PLACE)


def cells_of(maps: Tensor, share: float = 0.0, cell: int = CELL) -> Tensor:
    """Cells of interest, bool `[batch, ceil(H / cell), ceil(W / cell)]`, from importance maps `[batch, H, W]`.

    A pixel counts when its importance is at least 0.5, a cell when more than `share` of its pixels (those inside the
    picture) count; share 0: when any does.
    """
    height, width = maps.shape[-2:]
    counted = F.pad((maps >= 0.5).float(), (0, -width % cell, 0, -height % cell))
    inside = F.pad(torch.ones(1, height, width, device=maps.device), (0, -width % cell, 0, -height % cell))
    return F.avg_pool2d(counted, cell) > share * F.avg_pool2d(inside, cell)


def levels_of(cells: Tensor) -> Tensor:
    """1 in cells of interest, 0.5 in their eight neighbours, 0 elsewhere; float32 of the same shape."""
    own = cells.float()
    return torch.maximum(own, 0.5 * F.max_pool2d(own[:, None], 3, 1, 1)[:, 0])


def spread(cells: Tensor, rows: int, columns: int, places: int) -> Tensor:
    """Values of cells `[batch, r, c]` at every place `[batch, rows, columns]`; `places`: along a side of a cell."""
    return cells.repeat_interleave(places, 1).repeat_interleave(places, 2)[:, :rows, :columns]


@dataclass(frozen=True)
class Budget:
    """How symbols are shared: `base` planes at every place, at most `most`, and exactly `symbols` in all."""

    symbols: int
    base: int
    most: int

    def counts(self, levels: Tensor) -> Tensor:
        """Planes sent at each place, int64 `[batch, h, w]`, from the levels there; each picture's sum is `symbols`.

        What is left above the base is first shared evenly. Then places of level 0 give their part to those of level 1
        until these have `most`: R_ROI = (1 + eta tau) R, R_ROP = R, R_RONI >= base = (1 - eta) R. Parts that are no
        whole number per place alternate between two neighbouring numbers in raster order.
        """
        flat = levels.flatten(1)
        extra = torch.zeros_like(flat, dtype=torch.int64)
        for chosen, total in self._totals(flat):
            rank, size = chosen.cumsum(1), chosen.sum(1, keepdim=True).clamp_min(1)
            steps = rank * total // size - (rank - 1) * total // size
            extra += torch.where(chosen, steps, 0)
        return (self.base + extra).reshape(levels.shape)

    def _totals(self, flat: Tensor) -> tuple[tuple[Tensor, Tensor], ...]:
        """Per level: its places, and the symbols above the base that they share, `[batch, 1]`."""
        inner, outer = flat == 1, flat == 0
        near = ~(inner | outer)
        n = flat.shape[1]
        extra = self.symbols - self.base * n
        sizes = [chosen.sum(1, keepdim=True) for chosen in (inner, near)]
        own, around = (extra * size // n for size in sizes)
        rest = extra - own - around
        moved = torch.minimum(sizes[0] * (self.most - self.base) - own, rest)
        return (inner, own + moved), (near, around), (outer, rest - moved)

    def order(self, counts: Tensor) -> Tensor:
        """Index int64 `[batch, symbols]` into latent planes `[batch, most * h * w]`: what is sent, in this order.

        First the base planes, plane by plane, which is the same for every mask, so that they are of use without it;
        then the others, place by place in raster order.
        """
        batch, places = len(counts), counts[0].numel()
        base = torch.arange(self.base * places, device=counts.device).expand(batch, -1)
        planes = torch.arange(self.base, self.most, device=counts.device)
        taken = planes < counts.reshape(batch, places, 1)
        index = planes * places + torch.arange(places, device=counts.device)[:, None]
        return torch.cat([base, index.expand_as(taken)[taken].reshape(batch, -1)], 1)


def gather(latent: Tensor, order: Tensor) -> Tensor:
    """Complex symbols `[batch, k]` with mean power 1 from a real latent `[batch, 2 most, h, w]`."""
    return gather_with_power(latent, order)[0]


def gather_with_power(latent: Tensor, order: Tensor) -> tuple[Tensor, Tensor]:
    """`gather`, and the mean power `[batch]` that the symbols had before."""
    real, imaginary = latent.float().flatten(2).chunk(2, dim=1)
    symbols = torch.complex(real.flatten(1).gather(1, order), imaginary.flatten(1).gather(1, order))
    power = symbols.abs().square().mean(1).clamp_min(1e-12)
    return symbols / power.sqrt()[:, None], power


def mask_stream(cells: Tensor, uses: int) -> Stream:
    """The stream of masks bool `[batch, rows, columns]`, as large in every picture."""
    return Stream("mask", "bits", [mask_code.pack(mask) for mask in cells], protection="robust", uses=uses)


def received_cells(reception: Reception) -> tuple[Tensor, Tensor]:
    """The masks that arrived, bool `[batch, rows, columns]` (none of interest where lost), and which did, `[batch]`.

    A payload that is no mask counts as lost here; `undecoded` marks it.
    """
    rows, columns = cell_grid(reception.session.height, reception.session.width)
    masks = [mask_code.unpack(p, rows, columns) for p in reception.stream("mask").payload or ()]
    empty = torch.zeros(rows, columns, dtype=torch.bool)
    known = torch.tensor([mask is not None for mask in masks])
    return torch.stack([empty if mask is None else mask for mask in masks]), known


def scatter(values: Tensor, order: Tensor, planes: int, rows: int, columns: int) -> Tensor:
    """Real values `[batch, k]` back at their places, `[batch, planes, rows, columns]`; 0 where nothing was sent."""
    empty = values.new_zeros(len(values), planes * rows * columns)
    return empty.scatter(1, order, values).reshape(-1, planes, rows, columns)
