"""Packets of a few bytes: a head of one byte that says how many uses follow, and a payload that fills them.

Packets of whole frames tell their length otherwise (`_packets`). The head is the shortest block that surely arrives.
Its byte counts in steps of whole 32 uses, longer ones for the few large packets, so that it costs 32 or 64 uses and
tells no scheme: that is a session constant.
"""

from __future__ import annotations

from dataclasses import dataclass

from semlink.codecs.video._packets import BODY, HEAD
from semlink.simulator.bits.framing import room
from semlink.simulator.bits.mcs import Mcs, get
from semlink.simulator.values import LinkStatistics, Stream, Transmission
from semlink.simulator.video import Budget

SHORT, LONG = (32, get("qpsk-0.50")), (64, get("qpsk-0.25"))  # heads of one byte and its length
PROXY = get("qpsk-0.65")  # of 64 symbols needs what a short head does, and more (tables/bler.json)
SURE = 0.998  # chance of arrival that a short head needs
BLOCK = 32  # uses of the shortest code block
FINE = 160  # steps of a head that are fine, the rest are coarse


@dataclass(frozen=True)
class Packets:
    """What both ends know of packets. mcs: of payloads. head: uses and scheme. fine, coarse: uses of a step."""

    mcs: Mcs
    head: tuple[int, Mcs]
    fine: int
    coarse: int

    @classmethod
    def of(cls, budget: Budget, mcs: Mcs, head: tuple[int, Mcs] = LONG) -> Packets:
        """Those whose largest takes all that a budget ever holds."""
        most = budget.ahead + budget.refill
        fine = BLOCK * max(1, round(budget.per_frame / 64 / BLOCK))
        coarse = BLOCK * max(1, -(-int(most - FINE * fine) // ((255 - FINE) * BLOCK)))
        return cls(mcs, head, fine, coarse)

    def uses(self, step: int) -> int:
        """Uses of a payload of that step."""
        return self.fine * min(step, FINE) + self.coarse * max(0, step - FINE)

    def step(self, size: int) -> int | None:
        """The least step whose payload holds `size` bytes, 0 for none; None where none does."""
        if not size:
            return 0
        return next((s for s in range(1, 256) if self.holds(s) >= size), None)

    def holds(self, step: int) -> int:
        """Bytes of the payload of a step."""
        return room(self.uses(step), self.mcs)

    def cost(self, size: int) -> int | None:
        """Uses of head and payload for that many bytes; None where none holds them."""
        step = self.step(size)
        return None if step is None else self.head[0] + self.uses(step)

    def sent(self, payload: bytes, may: int) -> Transmission:
        """A packet, at most `may` uses long: nothing at all where not even a head fits."""
        step = self.step(len(payload)) or 0
        length, scheme = self.head
        if may < length:
            return Transmission((Stream(HEAD, "bits", [b""], mcs=scheme.name, uses=0),))
        head = Stream(HEAD, "bits", [bytes([step])], mcs=scheme.name, uses=length)
        if not step:
            return Transmission((head,))
        body = Stream(BODY, "bits", [payload], mcs=self.mcs.name, uses=self.uses(step), told_by=HEAD)
        return Transmission((head, body))


def head_of(statistics: LinkStatistics | None) -> tuple[int, Mcs]:
    """The shortest head that surely arrives."""
    known = statistics.arrival.get(LONG[0], {}) if statistics else {}
    chances = known.get(PROXY.name, (0.0,))
    return SHORT if sum(chances) / len(chances) >= SURE else LONG
