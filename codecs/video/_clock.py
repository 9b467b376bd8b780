"""What time it is for a receiver: that on the wall, or a told one that only passes when something says what it cost.

Rows that must come out the same on every machine need the second.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import Protocol

from semlink.simulator.errors import SemlinkError

SPIKE = re.compile(r"(\d+)-(\d+)x(\d+(?:\.\d+)?)")


class Clock(Protocol):
    """Seconds from any moment on, never backwards."""

    def now(self) -> float: ...

    def spend(self, seconds: float) -> None:
        """Something was done that costs so much; nothing of a clock that sees it happen."""
        ...

    def came(self, due: float) -> float:
        """When a frame that is due `due` seconds after the first one came; its deadline counts from then on."""
        ...


class Wall:
    """Real time. Frames come when they are asked for, so none waits."""

    def now(self) -> float:
        """Of the machine."""
        return time.perf_counter()

    def spend(self, seconds: float) -> None:
        """Nothing: what was done has taken its time."""

    def came(self, due: float) -> float:
        """Now."""
        return self.now()


@dataclass
class Simulated:
    """Told time. seconds: since the first frame came."""

    seconds: float = 0.0

    def now(self) -> float:
        """As far as it was told."""
        return self.seconds

    def spend(self, seconds: float) -> None:
        """Go on by so much."""
        self.seconds += seconds

    def came(self, due: float) -> float:
        """When it is due; one that comes while another is worked on has waited since."""
        self.seconds = max(self.seconds, due)
        return due


@dataclass(frozen=True)
class Price:
    """What work costs on a simulated clock, in seconds. step: one call of the network. fixed: all else of a frame.

    spike: steps of the frames from spike[0] up to, not with, spike[1] cost spike[2] times as much.
    """

    step: float = 0.0
    fixed: float = 0.0
    spike: tuple[int, int, float] = (0, 0, 1.0)

    def __post_init__(self) -> None:
        if self.step < 0 or self.fixed < 0 or self.spike[2] <= 0:
            raise SemlinkError(f"step {self.step:g} s, fixed {self.fixed:g} s: give times from 0 on")

    @classmethod
    def of(cls, step_ms: float, fixed_ms: float, spike: str | None = None) -> Price:
        """Of times in ms, and of a spike such as `20-40x3`: threefold from frame 20 up to 40. SemlinkError."""
        found = SPIKE.fullmatch(spike) if spike else None
        if spike and not found:
            raise SemlinkError(f"spike={spike}: write FIRST-ENDxFACTOR, such as 20-40x3")
        told = (int(found[1]), int(found[2]), float(found[3])) if found else (0, 0, 1.0)
        return cls(step_ms / 1000, fixed_ms / 1000, told)

    def of_step(self, frame: int) -> float:
        """Of a step in the frame of that number."""
        return self.step * (self.spike[2] if self.spike[0] <= frame < self.spike[1] else 1.0)


def clock_of(name: str) -> Clock:
    """A new one, "wall" or "simulated". SemlinkError for others."""
    kinds = {"wall": Wall, "simulated": Simulated}
    if name not in kinds:
        raise SemlinkError(f"clock={name}: known: {', '.join(kinds)}")
    return kinds[name]()
