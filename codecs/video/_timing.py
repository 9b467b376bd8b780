"""Settings of a receiver's time: its deadline, the clock it looks at, and what work costs on a simulated one."""

from __future__ import annotations

from dataclasses import dataclass

from semlink.codecs.video._clock import Clock, Price, clock_of
from semlink.codecs.video._pace import Pace, Watch


@dataclass(frozen=True)
class Timing:
    """profile: "none", "conversational" (150 ms), "interactive" (50 ms) or a number of ms from a frame's coming to its
    showing. clock: "wall" or "simulated". price: of work on a simulated one.
    """

    profile: str | float | None = None
    clock_name: str = "simulated"
    price: Price = Price()

    def __post_init__(self) -> None:
        self.pace(), self.clock()  # SemlinkError for unknown ones

    @property
    def deadline_s(self) -> float:
        """Infinite without one."""
        return self.pace().deadline

    @property
    def simulated(self) -> bool:
        """Whether frames tell how long they took on a simulated clock: where work costs anything there."""
        return self.clock_name == "simulated" and (self.price.step > 0 or self.price.fixed > 0)

    def pace(self) -> Pace:
        """Before the first frame."""
        return Pace.of(self.profile)

    def clock(self) -> Clock:
        """A new one."""
        return clock_of(self.clock_name)

    def watch(self, pace: Pace, clock: Clock, frame: int, fps: float) -> Watch:
        """Of the frame of that number, which has just come."""
        return Watch.of(pace, clock, self.price, frame, fps)
