"""Coded frames until they have arrived: those that wait, and those whose loss may yet be told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from semlink.codecs.video._units import COUNT, Packed, joined

KEPT = 32  # frames for which word of a loss may come


@dataclass(frozen=True)
class Unit:
    """A coded frame. frame: its number in the clip."""

    frame: int
    data: bytes
    intra: bool


@dataclass
class Outbox:
    """waiting: to be sent, oldest first. flying: by the number of the frame in whose time they were sent."""

    waiting: list[Unit] = field(default_factory=list)
    flying: dict[int, Sequence[Unit]] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes that wait."""
        return sum(len(unit.data) for unit in self.waiting)

    @property
    def span(self) -> int:
        """Frames from the oldest that waits to the newest."""
        return self.waiting[-1].frame - self.waiting[0].frame if self.waiting else 0

    def lost(self, frame: int) -> bool:
        """What was sent then waits again; whether that was anything."""
        back = self.flying.pop(frame, ())
        self.waiting = sorted([*back, *self.waiting], key=lambda unit: unit.frame)
        return bool(back)

    def payload(self, now: int, fits: Callable[[int], bool]) -> tuple[bytes, Sequence[Unit]]:
        """As many of those that wait as fit together, from the oldest on, in the time of frame `now`; maybe none.

        fits: whether so many bytes may be sent.
        """
        for count in range(min(len(self.waiting), COUNT), 0, -1):
            taken = tuple(self.waiting[:count])
            payload = joined(Packed(tuple(unit.data for unit in taken), taken[-1].frame != now))
            if fits(len(payload)):
                self.waiting = self.waiting[count:]
                self.flying = {f: units for f, units in self.flying.items() if f > now - KEPT} | {now: taken}
                return payload, taken
        return b"", ()
