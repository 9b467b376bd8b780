"""What frames of a clip come from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np


class Source(Protocol):
    """Frames from the first on, at the size that is asked for: the largest centred crop of that shape, scaled."""

    @property
    def name(self) -> str: ...
    @property
    def fps(self) -> float: ...
    @property
    def frames(self) -> int: ...
    @property
    def cuts(self) -> tuple[int, ...]: ...
    def read(self, height: int, width: int) -> Iterator[np.ndarray]: ...
