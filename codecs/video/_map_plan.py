"""How `semmap` shares a clip's channel uses between maps and key frames, and how well each is protected."""

from __future__ import annotations

import math
from dataclasses import dataclass

from semlink.codecs._sources.coders import SourceCoder
from semlink.codecs.video._packets import Packets
from semlink.simulator.bits.framing import room
from semlink.simulator.bits.mcs import TABLE, Mcs, get
from semlink.simulator.values import LinkStatistics
from semlink.simulator.video import Budget, Clip

SAFE = "qpsk-0.50"  # where nothing is known of the link
MAP_LOSS, KEY_LOSS = 8.0, 6.0  # doublings of the rate that are worth as much as never losing one
SURE, CHAIN, SHORT = 0.99, 8, 2  # chance of arrival from which on maps may stand on CHAIN others in a row, else SHORT
EARLY = 3  # frames' worth of uses for which a scene without a key frame waits
ENOUGH = 0.6  # of the usual uses of a key frame, for which one that is due waits


@dataclass(frozen=True)
class Asked:
    """What a user asks for, see `Semmap`; schemes are None where the link's statistics choose."""

    rho: float
    maps: str
    gop: int
    share: float
    coder: SourceCoder
    mcs: Mcs | None
    key_mcs: Mcs | None


@dataclass(frozen=True)
class Plan:
    """packets: of notes, and of the steps in which key frames count their uses. key_mcs: of these. note: bytes of an
    average note. key, early, due: uses of a key frame, at most, and at least where there is none, and where there is
    one. period: frames from one to the next, the clip's in equal parts. chain: how many maps in a row may each be told
    from the last one.
    """

    packets: Packets
    key_mcs: Mcs
    note: int
    key: int
    early: int
    due: int
    period: int
    chain: int

    def key_step(self, uses: int) -> int:
        """The last step of at most so many uses, and of a key frame's."""
        most = min(uses, self.key)
        return max((step for step in range(256) if self.packets.uses(step) <= most), default=0)

    def key_room(self, step: int) -> int:
        """Bytes of a key frame of that step."""
        return room(self.packets.uses(step), self.key_mcs) if step else 0


def planned(asked: Asked, clip: Clip, statistics: LinkStatistics | None) -> Plan:
    """What both ends could work out of a clip and its link; the receiver needs nothing of it."""
    budget = Budget.of(asked.rho, clip)
    mcs = asked.mcs or scheme(statistics, MAP_LOSS)
    packets = Packets.of(budget, mcs)
    uses = asked.share * budget.per_frame
    step = max((step for step in range(256) if packets.head + packets.uses(step) <= uses), default=0)
    frames = clip.frames or asked.gop
    keys = max(1, round(frames / asked.gop))
    key = min(budget.ahead, frames * (budget.per_frame - uses) / keys)
    early = min(key, EARLY * budget.per_frame)
    key_mcs = asked.key_mcs or scheme(statistics, KEY_LOSS, long=True)
    chain = CHAIN if chance(statistics, mcs) >= SURE else SHORT
    return Plan(
        packets, key_mcs, packets.holds(step), int(key), int(early), int(ENOUGH * key), -(-frames // keys), chain
    )


def scheme(statistics: LinkStatistics | None, loss: float, long: bool = False) -> Mcs:
    """The best rate, less what losses cost; long: of large payloads."""
    if statistics is None:
        return get(SAFE)
    return max(TABLE, key=lambda m: math.log2(m.efficiency) - loss * (1 - chance(statistics, m, long)))


def chance(statistics: LinkStatistics | None, mcs: Mcs, long: bool = False) -> float:
    """That a payload arrives, of the shortest or the longest that is known."""
    if statistics is None:
        return 0.0
    return statistics.chances((max if long else min)(statistics.arrival)).get(mcs.name, 0.0)
