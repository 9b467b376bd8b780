"""The map as a payload: a byte that tells cells and merging, then a lossless coder's bytes; the best that fits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from semlink.codecs.spic import maps
from semlink.codecs.spic.map_coders import MapCoder
from semlink.simulator.errors import SemlinkError

AUTO, NONE = "auto", "none"
Groups = list[list[int]]


@dataclass(frozen=True)
class MapFormat:
    """How maps of a session are sent; both ends know it.

    names: of the classes. mergings: groups of classes that may be one, at most 8. cells: sides of cells that may be
    used. coder: lossless.
    """

    names: tuple[str, ...]
    mergings: tuple[Groups, ...]
    cells: tuple[int, ...]
    coder: MapCoder

    def encode(self, labels: Tensor, room: int) -> bytes:
        """The map uint8 `[H, W]` at most detail that `room` bytes carry; nothing where they carry none."""
        for _, header, small in sorted(self._possible(labels), key=lambda found: -found[0]):
            data = bytes([header]) + self.coder.encode(small.numpy())
            if len(data) <= room:
                return data
        return b""

    def decode(self, data: bytes, height: int, width: int) -> tuple[Tensor, Groups]:
        """The map as sent, group numbers uint8 `[height, width]`, and the groups. SemlinkError for other bytes."""
        which, cell = divmod(data[0] if data else 255, len(maps.CELLS))
        if which >= len(self.mergings):
            raise SemlinkError(f"{len(data)} bytes are no map of {len(self.mergings)} mergings")
        side, groups = maps.CELLS[cell], self.mergings[which]
        small = torch.from_numpy(self.coder.decode(data[1:], -(-height // side), -(-width // side)))
        if int(small.max()) > len(groups):
            raise SemlinkError(f"a map with number {int(small.max())}, of {len(groups)} classes")
        return maps.grow(small, side, height, width), groups

    def _possible(self, labels: Tensor) -> Iterator[tuple[float, int, Tensor]]:
        """All ways of sending it: how much the receiver then knows (`known`), header byte, and the map of cells."""
        height, width = labels.shape
        for (which, groups), side in product(enumerate(self.mergings), self.cells):
            merged = maps.merge(labels, groups)
            small = maps.shrink(merged, side, len(groups))
            grown = maps.grow(small, side, height, width)
            header = which * len(maps.CELLS) + maps.CELLS.index(side)
            yield known(labels, grown, groups), header, small


def known(labels: Tensor, received: Tensor, groups: Groups) -> float:
    """Share that a received map of groups gives to the class that is there, a mean over the classes in `labels`."""
    sizes = torch.tensor([*(len(group) for group in groups), 1.0])
    right = (maps.merge(labels, groups) == received) / sizes[received.long()]
    present = labels.unique()
    return float(torch.stack([right[labels == number].mean() for number in present]).mean())


def mergings_of(names: tuple[str, ...], merged: str) -> tuple[Groups, ...]:
    """The mergings that a setting allows.

    "none"; "auto": none, and those of street scenes where all their classes are known; else groups of names, as in
    "car/bicyclist;road/pavement", and these always. SemlinkError for a name that is none.
    """
    if merged == NONE:
        return (maps.groups_of(names, ()),)
    if merged != AUTO:
        return (maps.groups_of(names, [group.split("/") for group in merged.split(";")]),)
    fitting = [groups for groups in maps.MERGED.values() if all(name in names for group in groups for name in group)]
    return tuple(maps.groups_of(names, groups) for groups in fitting)


def cells_of(cell: int | None) -> tuple[int, ...]:
    """The sides of cells that a setting allows. SemlinkError for another one."""
    if cell is not None and cell not in maps.CELLS:
        raise SemlinkError(f"cell {cell}: a map has cells of {', '.join(map(str, maps.CELLS))} px")
    return maps.CELLS if cell is None else (cell,)


def map_format(names: Sequence[str], merged: str, cell: int | None, coder: MapCoder) -> MapFormat:
    """The format of a codec's settings."""
    if len(names) >= coder.most:
        raise SemlinkError(f"{coder.name} codes maps of fewer than {coder.most} classes; choose another map coder")
    return MapFormat(tuple(names), mergings_of(tuple(names), merged), cells_of(cell), coder)
