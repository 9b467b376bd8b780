"""How many steps a frame gets: as many as it needs, at most what its deadline leaves room for.

N = min(N_need, floor((D - t_gone - t_fixed - D / 10) / t_step)); t_step is what 95 % of the last steps stayed below.
Where that is too few, in this order: fewer steps at the same level, one step at a lower level, the moved anchor as it
is, the last frame. No step begins that would end after the deadline.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from semlink.codecs.video._clock import Clock, Price
from semlink.simulator.errors import SemlinkError

PROFILES = {"none": math.inf, "conversational": 0.150, "interactive": 0.050}  # s; 3GPP TS 23.501, 5QI 2 and 3
GUARD = 0.1  # of the deadline, that is kept free
KEPT = 20  # of the last times, so that a spell of slow steps is forgotten within as many frames
HIGH = 0.95  # share of times that are not above the one that is planned with
SMALL = 1e-9  # s

FULL, FEWER, LOWER, WARP, REPEAT = "full", "fewer", "lower", "warp", "repeat"  # what becomes of a frame


@dataclass(frozen=True)
class Plan:
    """steps: of the chain. kind: "full", all that are needed; "fewer", at the same level; "lower", one step at a lower
    level; "warp", the start is shown as it is; "repeat", there is no time for that either.
    """

    steps: int
    kind: str

    def level(self, level: float, needed: int) -> float:
        """Where to start instead of `level`, for which `needed` steps are right."""
        if self.kind in (WARP, REPEAT):
            return 0.0
        return level / needed if self.kind == LOWER else level


@dataclass(frozen=True)
class Pace:
    """What is known of times so far. deadline: seconds from a frame's coming to its showing.

    steps_s: of the last steps. rest_s: of all else of a frame from its plan on, such as encoding its start and decoding
    what the steps found; tail_s: of what of that comes after them.
    """

    deadline: float = math.inf
    steps_s: tuple[float, ...] = ()
    rest_s: tuple[float, ...] = ()
    tail_s: tuple[float, ...] = ()

    @classmethod
    def of(cls, profile: str | float | None) -> Pace:
        """Of "none", "conversational" (150 ms), "interactive" (50 ms) or a number of ms. SemlinkError for others."""
        if profile is None or isinstance(profile, str):
            name = profile or "none"
            if name not in PROFILES:
                raise SemlinkError(f"profile={name}: give {', '.join(PROFILES)} or a number of milliseconds")
            return cls(PROFILES[name])
        if not 0 < profile < math.inf:
            raise SemlinkError(f"profile={profile:g}: give a number of milliseconds above 0")
        return cls(profile / 1000)

    @property
    def mean_s(self) -> float | None:
        """Of the last steps, or None before the first."""
        return float(np.mean(self.steps_s)) if self.steps_s else None

    @property
    def step_s(self) -> float | None:
        """What 95 % of the last steps did not take longer than, or None before the first."""
        return high(self.steps_s) if self.steps_s else None

    def plan(self, needed: int, gone_s: float = 0.0) -> Plan:
        """For a frame that needs so many steps and came `gone_s` ago. Before any step is known, one."""
        if math.isinf(self.deadline) or needed == 0:
            return Plan(needed, FULL)
        left = self.deadline - gone_s - (high(self.rest_s) if self.rest_s else 0.0)
        step = self.step_s
        room = _steps(left - GUARD * self.deadline, step)
        if room >= needed:
            return Plan(needed, FULL)
        if room:
            return Plan(room, FEWER)
        if step is not None and step <= left + SMALL:
            return Plan(1, LOWER)
        return Plan(0, WARP if left >= 0 else REPEAT)

    def steps(self, needed: int, gone_s: float = 0.0) -> int:
        """Those of the plan."""
        return self.plan(needed, gone_s).steps

    def after(self, rest_s: float, steps_s: Sequence[float], tail_s: float | None = None) -> Pace:
        """After a frame. steps_s: of each step; rest_s: of all else since its plan; tail_s: after the steps, or None
        for all of that.
        """
        tail = rest_s if tail_s is None else tail_s
        last = (_last(self.steps_s, steps_s), _last(self.rest_s, (rest_s,)), _last(self.tail_s, (tail,)))
        return Pace(self.deadline, *last)


def _last(known: Sequence[float], new: Sequence[float]) -> tuple[float, ...]:
    return (*known, *new)[-KEPT:]


def _steps(left: float, step: float | None) -> int:
    """That fit."""
    if left <= 0:
        return 0
    return 1 if step is None else math.floor(min((left + SMALL) / max(step, SMALL), 1e6))


def high(times: Sequence[float]) -> float:
    """The least of them that HIGH of them are not above."""
    return sorted(times)[math.ceil(HIGH * len(times)) - 1]


def within(deadline: float, clock: Clock, step_s: float | None) -> bool:
    """Whether a step that takes so long, begun now, ends before `deadline` on that clock; of unknown length, whether
    there is time at all.
    """
    return clock.now() + (step_s or 0.0) <= deadline + SMALL


@dataclass
class Watch:
    """A frame's time, from its coming to its showing: plan, steps one by one, and what is learnt of it.

    watch = Watch.of(pace, clock, price, frame, fps); n = watch.plan(needed).steps; each step asks `watch.may_go()`
    first, and after the last one comes `watch.stepped()`; pace = watch.done(). On a simulated clock everything costs
    its price. came: when its deadline began to count; began: when work on it did; ended: when it was ready.
    """

    pace: Pace
    clock: Clock
    price: Price
    frame: int
    came: float
    began: float
    steps_s: list[float] = field(default_factory=list)
    ended: float = math.nan
    _planned: float | None = None
    _since: float | None = None  # when the step began that is going on
    _stepped: float | None = None

    @classmethod
    def of(cls, pace: Pace, clock: Clock, price: Price, frame: int = 0, fps: float = 25.0) -> Watch:
        """Of the frame of that number, which has just come."""
        came = clock.came(frame / fps)
        return cls(pace, clock, price, frame, came, clock.now())

    def plan(self, needed: int) -> Plan:
        """With what is left of its time."""
        self._planned = self.clock.now()
        return self.pace.plan(needed, self._planned - self.came)

    def may_go(self) -> bool:
        """Whether one more step ends in time; yes begins it, and ends the one before."""
        self.stepped()
        tail = high(self.pace.tail_s) if self.pace.tail_s else 0.0
        may = within(self.came + self.pace.deadline - tail, self.clock, self._likely())
        if may:
            self._since = self.clock.now()
            self.clock.spend(self.price.of_step(self.frame))
        return may

    def stepped(self) -> None:
        """The step that was going on has ended, if there was one."""
        if self._since is not None:
            self._stepped = self.clock.now()
            self.steps_s.append(self._stepped - self._since)
            self._since = None

    def done(self) -> Pace:
        """The frame is ready; what is known now."""
        self.stepped()
        tail = self._stepped if self._stepped is not None else self.clock.now()
        self.clock.spend(self.price.fixed)
        self.ended = self.clock.now()
        since = tail if self._planned is None else self._planned
        return self.pace.after(self.ended - since - sum(self.steps_s), self.steps_s, self.ended - tail)

    @property
    def took_s(self) -> float:
        """Seconds that were worked on it, once it is done."""
        return self.ended - self.began

    @property
    def late(self) -> bool:
        """Whether it was shown after its deadline, once it is done."""
        return self.ended - self.came > self.pace.deadline + SMALL

    def _likely(self) -> float | None:
        """Seconds of the next step: as long as usual, or as one of this frame."""
        known = [*self.steps_s, *([] if self.pace.step_s is None else [self.pace.step_s])]
        return max(known, default=None)
