"""Channel aging: the receiver works with an estimate that is older than the data."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from semlink.channels.base.grid import Grid
from semlink.channels.base.impairment import Impairment


@dataclass(frozen=True)
class Aging(Impairment):
    """Either seconds, or slots of `grid` (1.01 ms each by default). ValueError for both, neither, or a negative age."""

    seconds: float | None = None
    slots: float | None = None
    grid: Grid = Grid()

    def __post_init__(self) -> None:
        if (self.seconds is None) == (self.slots is None):
            raise ValueError("aging needs either seconds or slots, e.g. aging:slots=2")
        if not 0 <= self.age < inf:
            raise ValueError(f"an age must be finite and not negative, got {self.age} s")

    @property
    def age(self) -> float:  # type: ignore[override]
        """Seconds between the estimate and the data."""
        return self.seconds if self.seconds is not None else (self.slots or 0.0) * self.grid.slot_time


PLUGIN = Aging
