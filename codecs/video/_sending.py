"""The sender of H.265 and H.264: codes what it has room for, and sends again what is told to be lost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from semlink.codecs._sources.stream import Coder, Encoder
from semlink.codecs.video._outbox import Outbox, Unit
from semlink.codecs.video._plan import Asked, Plan, planned
from semlink.simulator.values import Transmission
from semlink.simulator.video import Clip, Feedback, VideoInfo


class ClassicalSender:
    """Codes, and waits with what does not fit. Moved to another process it begins anew with an intra frame.

    anew: whether an intra frame is due. since: frames from the last one on; begun: when that was sent. usual, whole:
    bytes of the last following frame and of the last intra frame.
    """

    def __init__(self, coder: Coder, asked: Asked, clip: Clip) -> None:
        self.coder, self.asked, self.clip = coder, asked, clip
        self.plan: Plan | None = None
        self.outbox = Outbox()
        self.anew, self.since, self.begun = True, 0, math.inf
        self.usual, self.whole = 0, 0
        self._encoder: Encoder | None = None

    def send(self, frames: Tensor, tx: VideoInfo) -> Transmission:
        """A packet with the frame `[1, 3, H, W]`, with those that were lost or wait, or with nothing."""
        plan = self.plan = self.plan or planned(self.asked, self.clip, tx)
        may = tx.uses or 0
        self._heed(tx.feedback)
        self.anew = self.anew or self.since >= plan.period
        if self.anew:
            self.outbox = Outbox()
        if plan.packets.fits(self.outbox.size + (self.whole if self.anew else self.usual), may):
            self._code(plan, frames[0], tx.frame)
        payload, units = self.outbox.payload(tx.frame, lambda size: plan.packets.fits(size, may))
        if any(unit.intra for unit in units):
            self.begun = tx.frame
        return plan.packets.sent(payload, may)

    def _heed(self, feedback: Sequence[Feedback]) -> None:
        """What is told lost waits again, unless an intra frame is cheaper."""
        for told in feedback:
            self.anew = self.anew or (told.anew and told.frame >= self.begun)
            if told.lost and self.outbox.lost(told.frame):
                far = self.outbox.span >= self.coder.numbers // 2
                self.anew = self.anew or far or self.outbox.size >= self.whole

    def _code(self, plan: Plan, frame: Tensor, number: int) -> None:
        self._encoder = self._encoder or plan.encoder(self.coder, self.clip)
        coded, intra = self._encoder.encode(plan.small(frame, self.clip), self.anew), self.anew
        if intra:
            coded = coded[:1] + bytes([plan.step]) + coded[1:]
            self.since, self.begun, self.whole = 0, math.inf, len(coded)
        else:
            self.usual = len(coded)
        self.since += 1
        self.anew = plan.packets.cost(len(coded)) is None  # larger than any packet
        self.whole = 0 if self.anew else self.whole
        self.outbox.waiting.append(Unit(number, coded, intra))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_encoder": None, "outbox": Outbox(), "anew": True}
