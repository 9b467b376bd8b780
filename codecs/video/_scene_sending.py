"""The sender of `semmap`: what a scene is told by, when its key frame is renewed, and how each frame's map is told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from semlink.codecs._sources import ladder
from semlink.codecs.video import _class_maps as maps
from semlink.codecs.video import _map_code as map_code
from semlink.codecs.video import _offers
from semlink.codecs.video._map_packet import (
    ALONE,
    CELLS,
    MOST_MOTION,
    NO_MAP,
    NUMBERS,
    PALETTE,
    SCENES,
    WITH_KEY,
    WITH_LAST,
    Note,
)
from semlink.codecs.video._map_plan import Asked, Plan, planned
from semlink.codecs.video._motion import padded
from semlink.codecs.video._offers import Anchor, Offer
from semlink.codecs.video._packets import HEAD
from semlink.codecs.video._scene import Map, Scene, flow_of, levels, rounded
from semlink.codecs.video._transition import flow_unless_cut
from semlink.simulator.values import Stream, Transmission
from semlink.simulator.video import Clip, VideoInfo

KEY = "key"
ALIKE = 0.004  # of a frame's variance left by the key frame as it is: no motion is looked for
PRICE = 0.02  # of motion as long as an average note, in shares of a frame's variance
LARGEST = 4096  # cells of a map
NEW_MAP = 2  # average notes that one with a palette may be as long as, beside that


@dataclass(frozen=True)
class Sent:
    """A scene as the sender has it. anchor: the source's key frame. there: whether a key frame was sent, and not told
    to be lost. cut: whether it began with one."""

    scene: Scene
    anchor: Anchor
    there: bool
    cut: bool


class SemmapSender:
    """before: the last frame, padded. sent: the scene; None: one is to begin. last: the last map; row: how many since
    one that stands on no last one. cut: whether nothing goes on. scenes: so far.
    """

    def __init__(self, asked: Asked, clip: Clip) -> None:
        self.asked, self.clip = asked, clip
        self.plan: Plan | None = None
        self.before: Tensor | None = None
        self.sent: Sent | None = None
        self.last: Map | None = None
        self.row, self.scenes, self.cut = 0, 0, True

    def send(self, frames: Tensor, tx: VideoInfo) -> Transmission:
        """A frame `[1, 3, H, W]`: a note, with a key frame where one is due, or nothing."""
        x = padded(frames)
        plan = self.plan = self.plan or planned(self.asked, self.clip, tx.statistics)
        self._heed(tx)
        self._step(x)
        may = tx.uses or 0
        if self.sent is None or self._due(self.sent, plan, may, tx.frame):
            return self._begin(frames, x, plan, may, tx.frame)
        return self._go_on(self.sent, x, plan, may, tx.frame)

    def _step(self, x: Tensor) -> None:
        """Follow the motion of a frame; what was known of the scene is of no use behind a cut."""
        flow = None if self.before is None else flow_unless_cut(x, self.before)
        self.before = x
        if flow is None:
            self.sent, self.cut = None, True
        elif self.sent:
            self.sent = replace(self.sent, anchor=self.sent.anchor.seen(flow))

    def _heed(self, tx: VideoInfo) -> None:
        """A key frame, or all that a scene began with, is told to be lost."""
        for told in tx.feedback:
            if self.sent and told.lost and told.anchor == self.sent.scene.number:
                self.cut = self.cut or self.sent.cut
                self.sent = None if told.anew else replace(self.sent, there=False)

    def _due(self, sent: Sent, plan: Plan, may: int, frame: int) -> bool:
        left = may - (plan.packets.cost(NEW_MAP * plan.note + PALETTE) or may)
        if not sent.there:
            return left >= plan.early
        return frame - sent.scene.begun >= plan.period and left >= plan.due

    def _begin(self, frames: Tensor, x: Tensor, plan: Plan, may: int, frame: int) -> Transmission:
        """The first note of a scene, with its palette, and the key frame that there is room for."""
        shares, street = self._kind(x)
        palette = maps.means_of(x, shares) if street else maps.colours_of(x)
        shares = shares if street else maps.colour_shares(x, palette)
        note = Note(frame, self.scenes % SCENES, street, NO_MAP, CELLS[-1], b"")
        note = replace(note, palette=maps.pack_palette(palette), cut=self.cut)
        note, told = self._mapped(note, shares, None, NEW_MAP * plan.note + PALETTE, plan, may)
        step, data = self._key(frames, plan, may - (plan.packets.cost(len(note.pack())) or may))
        if not plan.packets.fits(len(note.pack()), may):
            return plan.packets.sent(b"", 0)
        key = told or Map(np.zeros((1, 1), np.uint8), max(x.shape[2:]), frame)
        scene = Scene(note.scene, street, palette, key, None, 0.0, frame)
        self.sent = Sent(scene, Anchor.of(x, note.scene), bool(data), self.cut)
        self.last, self.row, self.cut, self.scenes = told, 0, False, self.scenes + 1
        head = plan.packets.sent(replace(note, step=step).pack(), may)
        stream = Stream(KEY, "bits", [data], mcs=plan.key_mcs.name, uses=plan.packets.uses(step), told_by=HEAD)
        return Transmission((*head.streams, stream)) if data else head

    def _kind(self, x: Tensor) -> tuple[Tensor, bool]:
        """Shares of a street's classes, and whether they are used."""
        if self.asked.maps == "colour":
            return torch.zeros(maps.CLASSES, 1, 1), False
        shares = maps.street_shares(x)
        return shares, self.asked.maps == "street" or maps.is_street(shares)

    def _key(self, frames: Tensor, plan: Plan, uses: int) -> tuple[int, bytes]:
        """A key frame in at most so many uses: their step, and its bytes; 0 and none where there is no room."""
        room = plan.key_room(plan.key_step(uses))
        found = ladder.code(self.asked.coder, levels(frames), room)
        if found is None or len(found.data) == ladder.FLAT_BYTES:
            return 0, b""
        return next(s for s in range(256) if plan.key_room(s) >= len(found.data)), found.data

    def _go_on(self, sent: Sent, x: Tensor, plan: Plan, may: int, frame: int) -> Transmission:
        """A note of motion and map."""
        offer = self._motion(sent, x, plan)
        scene = sent.scene
        note = Note(frame, scene.number, scene.street, NO_MAP, CELLS[-1], b"", offer.mode, offer.motion)
        shares = maps.street_shares(x) if scene.street else maps.colour_shares(x, scene.palette)
        note, told = self._mapped(note, shares, scene, plan.note, plan, may)
        if not plan.packets.fits(len(note.pack()), may):
            note = replace(note, mode=_offers.HOLD, motion=b"")
        fits = plan.packets.fits(len(note.pack()), may)
        self.last = told if fits else None
        self.row = self.row + 1 if note.origin == WITH_LAST else 0
        return plan.packets.sent(note.pack(), may) if fits else plan.packets.sent(b"", 0)

    def _motion(self, sent: Sent, x: Tensor, plan: Plan) -> Offer:
        """The motion that is worth its bytes."""
        held = next(_offers.offers(x, sent.anchor))
        if not sent.there or held.innovation <= ALIKE:
            return held
        found = [offer for offer in _offers.offers(x, sent.anchor) if len(offer.motion) <= min(MOST_MOTION, plan.note)]
        return min(found, key=lambda offer: offer.innovation + PRICE * len(offer.motion) / max(1, plan.note))

    def _mapped(
        self, note: Note, shares: Tensor, scene: Scene | None, room: int, plan: Plan, may: int
    ) -> tuple[Note, Map | None]:
        """A note with the finest map that fits into `room` bytes, or the coarsest where that fits into what may be
        spent, or none."""
        found = None
        for cell in self._cells():
            found = min(self._ways(note, shares, cell, scene, plan), key=lambda way: len(way[0].labels))
            if len(found[0].pack()) <= room and plan.packets.fits(len(found[0].pack()), may):
                return found
        return found if found and plan.packets.fits(len(found[0].pack()), may) else (note, None)

    def _cells(self) -> Iterator[int]:
        """Those that a map may have, the finest first."""
        assert self.before is not None
        height, width = self.before.shape[2:]
        fine = [cell for cell in CELLS if -(-height // cell) * -(-width // cell) <= LARGEST]
        yield from fine or CELLS[-1:]

    def _ways(
        self, note: Note, shares: Tensor, cell: int, scene: Scene | None, plan: Plan
    ) -> Iterator[tuple[Note, Map]]:
        """A map with cells of that size, told from each older map that may be."""
        height, width = shares.shape[1:]
        last = self.last if scene and self.last and (note.number - self.last.number) % NUMBERS == 1 else None
        labels = maps.map_of(maps.cells(shares, cell), last.at(cell, height, width) if last else None)
        told = Map(labels, cell, note.number)
        olds: dict[int, np.ndarray | None] = {ALONE: None}
        if scene:
            olds[WITH_KEY] = scene.key.moved(rounded(flow_of(note, height, width)), cell, height, width)
        if last and self.row < plan.chain:
            olds[WITH_LAST] = last.at(cell, height, width)
        for origin, before in olds.items():
            yield replace(note, origin=origin, cell=cell, labels=map_code.pack(labels, before)), told
