"""A data set of many small pictures, for timing: crops of 32 px of the sample photographs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

SIDE = 32


@dataclass(frozen=True)
class Crops:
    """So many pictures of 32 px, cut from the sample photographs."""

    count: int

    @property
    def ids(self) -> list[str]:
        """Their names."""
        return [f"crop {i}" for i in range(self.count)]

    def sizes(self) -> list[tuple[int, int]]:
        """Their sizes."""
        return [(SIDE, SIDE)] * self.count

    def batch(self, indices: Sequence[int]) -> Tensor:
        """Those of them, `[n, 3, 32, 32]`."""
        import torch

        pictures = photographs()
        return torch.stack([self._crop(pictures[i % 4], i) for i in indices])

    def _crop(self, picture: Tensor, index: int) -> Tensor:
        height, width = picture.shape[1:]
        y, x = 37 * index % (height - SIDE), 101 * index % (width - SIDE)
        return picture[:, y : y + SIDE, x : x + SIDE]


@cache
def photographs() -> tuple[Tensor, ...]:
    """Four sample photographs, decoded once a process: their files are not what is timed."""
    from semlink.simulator.data import load

    whole = load("samples")
    return tuple(whole.batch([i])[0] for i in range(4))


def crops(data: str, limit: int | None) -> Crops:
    """So many of them as a sweep's data set, whatever its name."""
    return Crops(limit or SIDE)
