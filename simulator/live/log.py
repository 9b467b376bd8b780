"""What became of a clip frame by frame, beside its pictures: anchors, steps, time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from semlink.simulator.live import latency
from semlink.simulator.live.account import ANCHORS, kind_of
from semlink.simulator.live.latency import Spans
from semlink.simulator.live.session import Passed

SOON = 2  # frames from a cut on, within which its anchor is soon


@dataclass
class Log:
    """A few numbers a frame. sizes: frames of each group. anchors, steps: of each frame; a group's steps are of it all.

    measured, simulated: where the time of each group went, the second of codecs with a clock of their own.
    """

    sizes: list[int] = field(default_factory=list)
    anchors: list[bool] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    measured: list[Spans] = field(default_factory=list)
    simulated: list[Spans] = field(default_factory=list)

    def add(self, passed: Passed, own: int) -> None:
        """One more group with that many frames of the clip's."""
        anchor = any(kind_of(name) == ANCHORS and count for name, count in passed.uses.items())
        self.sizes.append(own)
        self.anchors += [anchor] + [False] * (own - 1)
        self.steps += [passed.shown.steps] * own
        self.measured.append(passed.measured)
        if passed.simulated is not None:
            self.simulated.append(passed.simulated)

    def times(self, fps: float, concealed: Sequence[bool], deadline: float) -> dict[str, float]:
        """As `latency.summary`: measured ones by names that begin with `wall_`, and simulated ones where there are."""
        found = {f"wall_{name}": value for name, value in self._times(self.measured, fps, concealed, deadline).items()}
        if len(self.simulated) == len(self.sizes):
            found |= self._times(self.simulated, fps, concealed, deadline)
        return found

    def _times(
        self, spans: Sequence[Spans], fps: float, concealed: Sequence[bool], deadline: float
    ) -> dict[str, float]:
        return latency.summary(latency.latencies(fps, self.sizes, spans), fps, concealed, deadline)

    def renewals(self, cuts: Sequence[int]) -> dict[str, float]:
        """Anchors a frame, and the shares of cuts that got one at once, and soon; nothing of codecs without anchors."""
        if not any(self.anchors):
            return {}
        at = np.flatnonzero(self.anchors)
        waits = [int(after[0]) - cut if len(after := at[at >= cut]) else len(self.anchors) for cut in cuts]
        within = {"met_at_once": 0, "met_soon": SOON} if waits else {}
        shares = {name: float(np.mean([wait <= most for wait in waits])) for name, most in within.items()}
        return {"anchors": float(np.mean(self.anchors)), **shares}
