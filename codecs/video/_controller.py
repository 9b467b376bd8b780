"""Whether a frame gets a new anchor, or how it is told from an old one: decisions under a budget of channel uses.

A frame that is told costs what it leaves of its variance, at most 1.5, and a price for its channel uses, which follows
how far spending is from the budget. `regret` renews an anchor once it has cost as much more than a fresh one as that
would have cost (the break-even rule of ski rental, at most twice what hindsight would pay), or once a frame costs more
than the mean with a renewal (the rule of renewal theory). The others are what that is compared with.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from semlink.codecs.video._offers import Offer
from semlink.simulator.errors import SemlinkError

WORST = 1.5  # of what a frame leaves: beyond that it does not matter
HARD = 0.9  # share of a frame's variance that is left, from which on only a new anchor helps
YOUNG, OLD = 2, 60  # frames that an anchor stands at least, and at most
FIRST_PRICE = 0.3  # of the channel uses of an anchor, in shares of a frame's variance
PRICES = (0.02, 20.0)
FOLLOWS, MEMORY = 0.03, 0.97  # of the price, and of the mean of what was spent
SAVED = 0.5  # of a frame's uses, that motion gets while an anchor waits for room; chosen on video/train and video/val
THRESHOLD = 0.2  # of the rule that looks at what is left alone


@dataclass(frozen=True)
class Seen:
    """A frame as the controller sees it. cut: the scene has changed. fresh: what the frame before would leave of it.

    offers: with the channel uses of each and the number of its slot. anchor, header: uses of a new anchor and of the
    least frame. may: uses that may be spent now. mean: of a frame at the clip's rate.
    """

    cut: bool
    fresh: float
    offers: Sequence[tuple[Offer, int, int]]
    anchor: int
    header: int
    may: int
    mean: float


@dataclass(frozen=True)
class Decision:
    """A new anchor, or an offer and its slot; neither: nothing is sent."""

    refresh: bool
    offer: Offer | None = None
    slot: int = 0


@dataclass(frozen=True)
class Controller:
    """rule: "fixed", "cut", "threshold", "none", "regret" or "regret2", which keeps two anchors. gop: frames from an
    anchor to the next under "fixed".

    price: of a channel use in anchors; spent: mean of the uses; age: frames since the anchor; regret, total: what they
    cost more than fresh ones, and in all.
    """

    rule: str = "regret2"
    gop: int = 16
    price: float = FIRST_PRICE
    spent: float = math.nan
    age: int = 0
    regret: float = 0.0
    total: float = 0.0

    def __post_init__(self) -> None:
        if self.rule not in RULES or self.gop < 1:
            raise SemlinkError(f"controller {self.rule!r}, gop={self.gop}: known: {', '.join(RULES)}; gop from 1 on")

    @classmethod
    def of(cls, rule: str | None, gop: int) -> Controller:
        """Of a codec's settings, in whose words `none` is None. SemlinkError for unknown ones."""
        return cls(rule or "none", gop)

    @property
    def slots(self) -> int:
        """Anchors that both ends keep."""
        return 2 if self.rule == "regret2" else 1

    def decide(self, seen: Seen) -> tuple[Decision, Controller]:
        """What to do with a frame, and the controller after it."""
        able = [(offer, uses, slot) for offer, uses, slot in seen.offers if uses <= seen.may]
        cost = {id(o[0]): self.cost(o[0].innovation, o[1] / seen.anchor) for o in able}
        best = min(able, key=lambda o: cost[id(o[0])]) if able else None
        least = cost[id(best[0])] if best else WORST
        fresh = self.cost(seen.fresh, seen.header / seen.anchor)
        after = replace(self, regret=self.regret + (least if seen.cut else max(0.0, least - fresh)))
        after = replace(after, total=after.total + least, age=self.age + 1)
        wanted = after._renews(seen, least, best[0].innovation if best else WORST)
        if wanted and seen.anchor <= seen.may:
            return Decision(True), after._paid(seen.anchor, seen, renewed=True)
        if wanted and best:
            best = saving(able, cost, seen) or best
        if best is None:
            return Decision(False), after._paid(0, seen)
        return Decision(False, best[0], best[2]), after._paid(best[1], seen)

    def _renews(self, seen: Seen, cost: float, left: float) -> bool:
        price = self.price
        wanted = {
            "fixed": self.age >= self.gop,
            "cut": seen.cut,
            "threshold": left >= THRESHOLD,
            "none": False,
            "regret": self.regret >= price or cost >= (price + self.total) / (self.age + 1) or left >= HARD,
        }
        if not seen.offers:
            return True
        if self.rule in ("fixed", "none"):
            return wanted[self.rule]
        young = self.age < YOUNG and not seen.cut
        return not young and (wanted[self.rule.rstrip("2")] or self.age >= OLD)

    def cost(self, left: float, uses: float) -> float:
        """Of a frame that leaves so much of its variance, for uses in those of an anchor."""
        return min(left, WORST) + self.price * uses

    def _paid(self, uses: int, seen: Seen, renewed: bool = False) -> Controller:
        """With the price after so many uses."""
        before = seen.mean if math.isnan(self.spent) else self.spent
        spent = MEMORY * before + (1 - MEMORY) * uses
        price = self.price * math.exp(FOLLOWS * (spent / seen.mean - 1))
        after = replace(self, spent=spent, price=min(max(price, PRICES[0]), PRICES[1]))
        return replace(after, age=0, regret=0.0, total=0.0) if renewed else after


def saving(
    able: Sequence[tuple[Offer, int, int]], cost: Mapping[int, float], seen: Seen
) -> tuple[Offer, int, int] | None:
    """The best offer for a share of a frame's uses, so that the bucket fills; None where all leave HARD."""
    cheap = [own for own in able if own[1] <= max(seen.header, SAVED * seen.mean) and own[0].innovation < HARD]
    return min(cheap, key=lambda o: cost[id(o[0])]) if cheap else None


RULES = ("fixed", "cut", "threshold", "none", "regret", "regret2")
