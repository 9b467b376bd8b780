"""A video codec of anchors and motion: its sender, whatever the receiver generates from what is told.

Anchors come by a picture codec; between them frames are told as motion from one, and as rough colours where that fails
(`_control`). A controller decides frame by frame.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from semlink.codecs.video._anchored_receiver import NUMBERS, PREFIX, AnchoredReceiver, Restorer
from semlink.codecs.video._controller import Controller, Decision, Seen
from semlink.codecs.video._headed import Packets, head_of
from semlink.codecs.video._motion import padded
from semlink.codecs.video._nested import picture_codec, renamed
from semlink.codecs.video._offers import Anchor, Offer, controlled, offers
from semlink.codecs.video._packets import HEAD
from semlink.codecs.video._start import level_of
from semlink.codecs.video._timing import Timing
from semlink.codecs.video._transition import transition
from semlink.simulator.bits.mcs import TABLE, get
from semlink.simulator.errors import SemlinkError
from semlink.simulator.values import LinkStatistics, Transmission
from semlink.simulator.video import Budget, Clip, VideoInfo

ENOUGH = 0.05  # of a frame's variance left by the newer anchor: the older one is not looked at
MENDED = 0.02  # of it, from which on control is looked at
SURE = 0.99  # chance of arrival that the scheme of motion needs
SAFE = "qpsk-0.50"  # where nothing is known of the link


@dataclass(frozen=True)
class Settings:
    """Of the sender. rule: that renews anchors. anchor: word of the picture codec of anchors, at rate anchor_rho.
    control: rough colours are told where motion fails. mcs: of motion and control, always, instead of the fastest that
    surely arrives. nack: a lost anchor is told back, which is charged.
    """

    rho: float
    rule: Controller
    anchor: str
    anchor_rho: float
    control: bool
    mcs: str | None
    nack: bool

    def __post_init__(self) -> None:
        if not 0 < self.rho <= 1 or not 0 < self.anchor_rho <= 1:
            raise SemlinkError(f"rho={self.rho:g}, anchor_rho={self.anchor_rho:g}: give rates above 0, at most 1")


class AnchoredCodec:
    """restorer: what generates frames, or None. timing: the receiver's deadline."""

    group = 1
    encodes_on = "link"

    def __init__(self, settings: Settings, restorer: Restorer | None, timing: Timing) -> None:
        self.settings, self.restorer, self.timing = settings, restorer, timing
        self.rho, self.feedback, self.deadline_s = settings.rho, settings.nack, timing.deadline_s
        self.mcs = get(settings.mcs) if settings.mcs else None
        self.picture_codec = picture_codec(settings.anchor, settings.anchor_rho)

    def files(self) -> tuple[Path, ...]:
        """What the picture codec and the network depend on."""
        return *getattr(self.picture_codec, "files", tuple)(), *(self.restorer.files() if self.restorer else ())

    def check(self, height: int, width: int) -> None:
        """SemlinkError for pictures that the picture codec cannot meet, a rate at which no anchor ever fits, or missing
        weights.
        """
        getattr(self.picture_codec, "check", lambda height, width: None)(height, width)
        clip = Clip(height, width)
        if self.anchor_uses(clip) + 64 > Budget.of(self.rho, clip).ahead:
            raise SemlinkError(
                f"an anchor at rho {self.settings.anchor_rho:g} never fits into ten frames at {self.rho:g}; "
                "give a lower anchor_rho"
            )
        if self.restorer:
            self.restorer.check()

    def anchor_uses(self, clip: Clip) -> int:
        """Channel uses of an anchor without its head."""
        return int(self.settings.anchor_rho * clip.dimensions + 1e-6)

    def scheme(self, statistics: LinkStatistics | None) -> Any:
        """Of motion: the fastest that surely arrives."""
        if self.mcs or statistics is None:
            return self.mcs or get(SAFE)
        chances = statistics.chances(min(statistics.arrival))
        sure = [m for m in TABLE if chances.get(m.name, 0.0) >= SURE]
        return max(sure, key=lambda m: m.efficiency, default=TABLE[0])

    def packets(self, clip: Clip, statistics: LinkStatistics | None) -> Packets:
        """Of heads and motion."""
        return Packets.of(Budget.of(self.rho, clip), self.scheme(statistics), head_of(statistics))

    def sender(self, clip: Clip) -> AnchoredSender:
        """The controller and the source's anchors."""
        return AnchoredSender(self, clip, self.settings.rule)

    def receiver(self, clip: Clip) -> AnchoredReceiver:
        """The anchors that arrived."""
        return AnchoredReceiver(self.picture_codec, clip, self.feedback, self.restorer, self.timing)


class AnchoredSender:
    """before: the last frame `[1, 3, H, W]`, padded. anchors: by slot, the source's. current: slot of the newest."""

    def __init__(self, codec: AnchoredCodec, clip: Clip, controller: Controller) -> None:
        self.codec, self.clip, self.controller = codec, clip, controller
        self.before: Tensor | None = None
        self.anchors: dict[int, Anchor] = {}
        self.current, self.count = 0, 0
        self.packets: Packets | None = None

    def send(self, frames: Tensor, tx: VideoInfo) -> Transmission:
        """A frame `[1, 3, H, W]` as an anchor, as motion from one, or nothing."""
        x = padded(frames)
        self.packets = self.packets or self.codec.packets(self.clip, tx.statistics)
        cut, fresh = self._step(x)
        self._forget(tx)
        decision, self.controller = self.controller.decide(self._seen(x, cut, fresh, tx))
        self.before = x
        if decision.refresh:
            return self._anchor(frames, x, tx)
        return self.packets.sent(self._told(decision), tx.uses or 0)

    def _step(self, x: Tensor) -> tuple[bool, float]:
        """Whether the scene has changed, and what the frame before leaves; anchors are a frame older then."""
        if self.before is None:
            return True, 1.0
        found = transition(x, self.before)
        self.anchors = {slot: anchor.seen(found.flow) for slot, anchor in self.anchors.items()}
        return bool(found.cut), float(found.innovation)

    def _forget(self, tx: VideoInfo) -> None:
        """Anchors that were reported lost."""
        lost = {told.anchor for told in tx.feedback if told.lost}
        self.anchors = {slot: anchor for slot, anchor in self.anchors.items() if anchor.number % NUMBERS not in lost}

    def _seen(self, x: Tensor, cut: bool, fresh: float, tx: VideoInfo) -> Seen:
        packets, budget = self.packets, Budget.of(self.codec.rho, self.clip)
        assert packets is not None
        least = packets.cost(2) or 0
        anchor = self.codec.anchor_uses(self.clip) + least
        found = [(offer, self._cost(offer), slot) for offer, slot in self._offers(x)]
        if found and self.codec.settings.control:
            found += self._controlled(
                x, *min(found, key=lambda f: self.controller.cost(f[0].innovation, f[1] / anchor))
            )
        return Seen(cut, fresh, found, anchor, least, tx.uses or 0, budget.per_frame)

    def _offers(self, x: Tensor) -> Iterator[tuple[Offer, int]]:
        """From the newest anchor, and from the older one where that leaves much."""
        best = float("inf")
        for slot in sorted(self.anchors, key=lambda slot: slot != self.current):
            if best > ENOUGH:
                for offer in offers(x, self.anchors[slot]):
                    best = min(best, offer.innovation)
                    yield offer, slot

    def _controlled(self, x: Tensor, offer: Offer, uses: int, slot: int) -> list[tuple[Offer, int, int]]:
        """The best offer of motion with control, where it leaves something to mend."""
        if offer.innovation < MENDED:
            return []
        return [(more, self._cost(more), slot) for more in controlled(x, self.anchors[slot].frame, offer)]

    def _cost(self, offer: Offer) -> int:
        """Channel uses of an offer; more than there ever are where no packet holds it."""
        assert self.packets is not None
        return self.packets.cost(2 + len(offer.body)) or 1 << 30

    def _told(self, decision: Decision) -> bytes:
        if decision.offer is None:
            return b""
        offer, number = decision.offer, self.anchors[decision.slot].number % NUMBERS
        first = number << 5 | offer.mode << 2 | decision.slot << 1
        return bytes([first, offer.kind << 5 | level_of(offer.innovation)]) + offer.body

    def _anchor(self, frames: Tensor, x: Tensor, tx: VideoInfo) -> Transmission:
        assert self.packets is not None
        slot = (self.current + 1) % self.controller.slots if self.anchors else self.current
        self.count += 1
        self.anchors[slot], self.current = Anchor.of(x, self.count), slot
        told = bytes([self.count % NUMBERS << 5 | slot << 1 | 1, 0])
        head = self.packets.sent(told, tx.uses or 0)
        own = self.codec.picture_codec.encode(frames, tx)
        return Transmission((*head.streams, *renamed(own.streams, PREFIX, HEAD)), own.session)
