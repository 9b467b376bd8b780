"""Anchors by a picture codec, and between them motion alone: which is sent when, a controller decides frame by frame.

A re-implementation from the published description of CVSC (Eteke et al., ICIP 2025), with sizes of our own: reference
frames, motion straight to them or accumulated, chosen per frame. What it starts its short diffusion from, the moved
anchor, is shown here as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from semlink.codecs.video import _offers
from semlink.codecs.video._controller import Controller, Decision, Seen
from semlink.codecs.video._headed import Packets, head_of
from semlink.codecs.video._motion import moved, padded
from semlink.codecs.video._nested import inner, picture_codec, renamed
from semlink.codecs.video._offers import Anchor, Offer, offers
from semlink.codecs.video._packets import HEAD, received
from semlink.codecs.video._state import Shower
from semlink.codecs.video._transition import transition
from semlink.simulator.bits.mcs import TABLE, get
from semlink.simulator.errors import SemlinkError
from semlink.simulator.values import LinkStatistics, Reception, Transmission
from semlink.simulator.video import Budget, Clip, Feedback, Shown, VideoInfo

NUMBERS = 8  # of anchors, in turn
ENOUGH = 0.05  # of a frame's variance left by the newer anchor: the older one is not looked at
SURE = 0.99  # chance of arrival that the scheme of motion needs
SAFE = "qpsk-0.50"  # where nothing is known of the link
PREFIX = "anchor-"
AGAIN = 6  # frames after which a loss that is not mended is told again


class Cvsc:
    """controller: "fixed", "cut", "threshold", "none", "regret" or "regret2". gop: of "fixed".

    anchor: word of the picture codec of anchors; settings are separated by semicolons. anchor_rho: its rate. mcs: of
    motion, always, instead of the fastest that surely arrives. nack: a lost anchor is told back, which is charged.
    """

    group = 1
    encodes_on = "link"

    def __init__(
        self,
        rho: float = 1 / 48,
        controller: str = "regret2",
        gop: int = 16,
        anchor: str = "adjscc",
        anchor_rho: float = 1 / 12,
        mcs: str | None = None,
        nack: bool = True,
    ) -> None:
        if not 0 < rho <= 1 or not 0 < anchor_rho <= 1:
            raise SemlinkError(f"rho={rho:g}, anchor_rho={anchor_rho:g}: give rates above 0, at most 1")
        self.rho, self.anchor_rho, self.feedback = rho, anchor_rho, nack
        self.rule = Controller(controller, gop)
        self.mcs = get(mcs) if mcs else None
        self.picture_codec = picture_codec(anchor, anchor_rho)

    def files(self) -> tuple[Path, ...]:
        """What the picture codec depends on."""
        return tuple(getattr(self.picture_codec, "files", tuple)())

    def check(self, height: int, width: int) -> None:
        """SemlinkError for pictures that the picture codec cannot meet, or a rate at which no anchor ever fits."""
        getattr(self.picture_codec, "check", lambda height, width: None)(height, width)
        clip = Clip(height, width)
        if self.anchor_uses(clip) + 64 > Budget.of(self.rho, clip).ahead:
            raise SemlinkError(
                f"cvsc: an anchor at rho {self.anchor_rho:g} never fits into ten frames at {self.rho:g}; "
                "give a lower anchor_rho"
            )

    def anchor_uses(self, clip: Clip) -> int:
        """Channel uses of an anchor without its head."""
        return int(self.anchor_rho * clip.dimensions + 1e-6)

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

    def sender(self, clip: Clip) -> CvscSender:
        """The controller and the source's anchors."""
        return CvscSender(self, clip, self.rule)

    def receiver(self, clip: Clip) -> CvscReceiver:
        """The anchors that arrived."""
        return CvscReceiver(self, clip)


class CvscSender:
    """before: the last frame `[1, 3, H, W]`, padded. anchors: by slot, the source's. current: slot of the newest."""

    def __init__(self, codec: Cvsc, clip: Clip, controller: Controller) -> None:
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
        return self.packets.sent(self._motion(decision), tx.uses or 0)

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
        found = [(offer, packets.cost(2 + len(offer.motion)) or 1 << 30, slot) for offer, slot in self._offers(x)]
        anchor = self.codec.anchor_uses(self.clip) + (packets.cost(2) or 0)
        return Seen(cut, fresh, found, anchor, packets.cost(2) or 0, tx.uses or 0, budget.per_frame)

    def _offers(self, x: Tensor) -> Iterator[tuple[Offer, int]]:
        """From the newest anchor, and from the older one where that leaves much."""
        best = float("inf")
        for slot in sorted(self.anchors, key=lambda slot: slot != self.current):
            if best > ENOUGH:
                for offer in offers(x, self.anchors[slot]):
                    best = min(best, offer.innovation)
                    yield offer, slot

    def _motion(self, decision: Decision) -> bytes:
        if decision.offer is None:
            return b""
        offer, number = decision.offer, self.anchors[decision.slot].number % NUMBERS
        return bytes([number << 5 | offer.mode << 2 | decision.slot << 1, _level(offer.innovation)]) + offer.motion

    def _anchor(self, frames: Tensor, x: Tensor, tx: VideoInfo) -> Transmission:
        assert self.packets is not None
        slot = (self.current + 1) % self.controller.slots if self.anchors else self.current
        self.count += 1
        self.anchors[slot], self.current = Anchor.of(x, self.count), slot
        told = bytes([self.count % NUMBERS << 5 | slot << 1 | 1, 0])
        head = self.packets.sent(told, tx.uses or 0)
        own = self.codec.picture_codec.encode(frames, tx)
        return Transmission((*head.streams, *renamed(own.streams, PREFIX, HEAD)), own.session)


@dataclass(frozen=True)
class Held:
    """An anchor that arrived: its number, and the picture `[1, 3, H, W]`."""

    number: int
    picture: Tensor


class CvscReceiver:
    """held: anchors by slot."""

    def __init__(self, codec: Cvsc, clip: Clip) -> None:
        self.codec, self.clip = codec, clip
        self.shower, self.held = Shower(clip), dict[int, Held]()
        self.told = -AGAIN

    def receive(self, reception: Reception) -> Shown:
        """The frame `[1, 3, H, W]`; the last one where its head, or the anchor that it stands on, is not there."""
        sent = received(reception)
        if sent is None or len(sent) < 2:
            return self.shower.again()
        number, slot = sent[0] >> 5, sent[0] >> 1 & 1
        if sent[0] & 1:
            return self._renewed(reception, number, slot)
        held = self.held.get(slot)
        if held is None or held.number != number or sent[0] >> 2 & 7 >= _offers.MODES:
            return self.shower.again(self._report(number))
        flow = _offers.unpack(sent[2:], sent[0] >> 2 & 7, held.picture.shape[2], held.picture.shape[3])
        return self._show(moved(held.picture, flow))

    def _renewed(self, reception: Reception, number: int, slot: int) -> Shown:
        own = inner(reception, PREFIX)
        if not own:
            return self.shower.again(self._report(number))
        found = self.codec.picture_codec.decode(replace(reception, streams=own)).detach().float().clamp(0, 1)
        self.held[slot] = Held(number, padded(found))
        return self._show(self.held[slot].picture)

    def _show(self, picture: Tensor) -> Shown:
        return self.shower.show(picture[:, :, : self.clip.height, : self.clip.width].clamp(0, 1))

    def _report(self, number: int) -> Feedback | None:
        """That the anchor of that number is not there; not again too soon."""
        now = self.shower.count
        if not self.codec.feedback or now - self.told < AGAIN:
            return None
        self.told = now
        return Feedback(now, lost=True, anchor=number)


def _level(innovation: float) -> int:
    """What a frame leaves of its variance in sixteenths, at most 24."""
    return round(16 * min(innovation, 1.5))


PLUGIN = Cvsc
