"""One packet a frame: a first block whose length both ends know, and what it says follows.

The first byte of that block tells the length of the rest, in steps of whole 32 uses, longer ones for the few large
packets; the block is filled with payload. So a packet tells its length for a byte, and no short block, which would be
lost before all others, stands before it. The scheme is a session constant.
"""

from __future__ import annotations

from dataclasses import dataclass

from semlink.simulator.bits.framing import room
from semlink.simulator.bits.mcs import BLOCK_SYMBOLS, Mcs
from semlink.simulator.values import Reception, Stream, Transmission
from semlink.simulator.video import Budget

HEAD, BODY = "head", "packet"
SHARE = 1 / 4  # of a frame's uses, that the first block takes at about
BLOCK = 32  # uses of the shortest code block
FINE = 160  # steps of a rest that are fine, the others are coarse


@dataclass(frozen=True)
class Packets:
    """What both ends know of packets.

    head: uses of the first block. fine, coarse: uses of a step. most: uses of a packet.
    """

    mcs: Mcs
    head: int
    fine: int
    coarse: int
    most: int

    @classmethod
    def of(cls, budget: Budget, mcs: Mcs) -> Packets:
        """Those whose largest takes all that a budget ever holds."""
        most = budget.ahead + budget.refill
        fine = BLOCK * max(1, round(budget.per_frame / 64 / BLOCK))
        coarse = BLOCK * max(1, -(-int(most - FINE * fine) // ((255 - FINE) * BLOCK)))
        return cls(mcs, head_of(budget, mcs), fine, coarse, int(most))

    def uses(self, step: int) -> int:
        """Uses of the rest of that step."""
        return self.fine * min(step, FINE) + self.coarse * max(0, step - FINE)

    def step(self, size: int) -> int | None:
        """The least step of a payload of `size` bytes, 0 where the first block holds it; None where none does."""
        return next((s for s in range(256) if self.holds(s) >= size), None)

    def holds(self, step: int) -> int:
        """Bytes of a payload."""
        return self.first + room(self.uses(step), self.mcs)

    @property
    def first(self) -> int:
        """Bytes of a payload that are in the first block."""
        return room(self.head, self.mcs) - 1

    def cost(self, size: int) -> int | None:
        """Uses of a packet of that many bytes; None where there never are so many."""
        step = self.step(size)
        uses = self.most + 1 if step is None else self.head + self.uses(step)
        return uses if uses <= self.most else None

    def fits(self, size: int, may: int) -> bool:
        """Whether a packet of that many bytes takes at most `may` uses."""
        cost = self.cost(size)
        return cost is not None and cost <= may

    def sent(self, payload: bytes, may: int) -> Transmission:
        """A packet, at most `may` uses long: nothing at all where not even the first block fits."""
        step = self.step(len(payload)) or 0
        if may < self.head:
            return Transmission((Stream(HEAD, "bits", [b""], mcs=self.mcs.name, uses=0),))
        begin = bytes([step]) + payload[: self.first]
        head = Stream(HEAD, "bits", [begin], mcs=self.mcs.name, uses=self.head)
        if not step:
            return Transmission((head,))
        rest = payload[self.first :]
        body = Stream(BODY, "bits", [rest], mcs=self.mcs.name, uses=self.uses(step), told_by=HEAD)
        return Transmission((head, body))


def head_of(budget: Budget, mcs: Mcs) -> int:
    """Uses of the first block: the one of a share of a frame's uses, or the shortest that holds a byte."""
    sizes = [size for size in reversed(BLOCK_SYMBOLS) if room(size, mcs)]
    return max((size for size in sizes if size <= SHARE * budget.per_frame), default=sizes[0])


def received(reception: Reception) -> bytes | None:
    """The payload of a packet, of `_headed` too, empty where none was sent; None where any of it is lost."""
    streams = {stream.name: stream for stream in reception.streams}
    head, body = (streams[name].payload if name in streams else None for name in (HEAD, BODY))
    if not head or not head[0]:
        return None
    if not head[0][0]:
        return head[0][1:]
    return head[0][1:] + body[0] if body and body[0] is not None else None
