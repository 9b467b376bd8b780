"""The receiver of codecs with anchors: those that arrived, frames moved from them, and what generates from there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from semlink.codecs.video import _control, _offers
from semlink.codecs.video._motion import moved, padded
from semlink.codecs.video._nested import frame_of, inner
from semlink.codecs.video._pace import Watch
from semlink.codecs.video._packets import received
from semlink.codecs.video._start import Start, innovation_of
from semlink.codecs.video._state import Shower
from semlink.codecs.video._timing import Timing
from semlink.simulator.values import ReceivedStream, Reception
from semlink.simulator.video import Clip, Feedback, Shown

NUMBERS = 8  # of anchors, in turn
PREFIX = "anchor-"
AGAIN = 6  # frames after which a loss that is not mended is told again


@dataclass(frozen=True)
class Held:
    """An anchor that arrived: its number, the picture `[1, 3, H, W]`, and the mean `a` of its symbols, 1 for bits.

    shown: the picture as a restorer generated it, and states: the noisy ones `[1, 3, H, W]` of its chain, by step,
    where a restorer keeps them.
    """

    number: int
    picture: Tensor
    heard: float
    shown: Tensor | None = None
    states: Mapping[int, Tensor] = field(default_factory=dict)


class Restorer(Protocol):
    """Generates frames from what is known of them, within their time. It has no state of its own."""

    def files(self) -> tuple[Path, ...]:
        """Of its networks."""

    def check(self) -> None:
        """SemlinkError for missing weights."""

    def begun(self, start: Start, anchor: Held, watch: Watch) -> tuple[Tensor | None, int, Held]:
        """A new anchor's own frame, as `restored`, and the anchor with what later frames need of it."""

    def restored(self, start: Start, anchor: Held, watch: Watch) -> tuple[Tensor | None, int]:
        """The frame `[1, 3, H, W]` and the network calls that it took; None where there is no time to show any."""


class AnchoredReceiver:
    """held: anchors by slot. pace: what is known of the time that frames take. told: frame of the last report."""

    def __init__(self, codec: Any, clip: Clip, feedback: bool, restorer: Restorer | None, timing: Timing) -> None:
        self.codec, self.clip, self.feedback, self.restorer, self.timing = codec, clip, feedback, restorer, timing
        self.shower, self.held = Shower(clip), dict[int, Held]()
        self.clock, self.pace = timing.clock(), timing.pace()
        self.told = -AGAIN

    def receive(self, reception: Reception) -> Shown:
        """The frame `[1, 3, H, W]`; the last one where its head, or the anchor that it stands on, is not there, or
        where there is no time.
        """
        watch = self.timing.watch(self.pace, self.clock, self.shower.count, self.clip.fps)
        shown = self._shown(reception, watch)
        self.pace = watch.done()
        return replace(shown, took_s=watch.took_s if self.timing.simulated else None)

    def _shown(self, reception: Reception, watch: Watch) -> Shown:
        sent = received(reception)
        if sent is None or len(sent) < 2:
            return self.shower.again()
        number, slot = sent[0] >> 5, sent[0] >> 1 & 1
        if sent[0] & 1:
            return self._renewed(reception, number, slot, watch)
        held = self.held.get(slot)
        if held is None or held.number != number or not readable(sent):
            return self.shower.again(self._report(number))
        start = start_of(held, sent)
        if self.restorer is None:
            return self._show(start.guess, 0)
        return self._show(*self.restorer.restored(start, held, watch))

    def _renewed(self, reception: Reception, number: int, slot: int, watch: Watch) -> Shown:
        own = inner(reception, PREFIX)
        found = frame_of(self.codec, replace(reception, streams=own)) if own else None
        if found is None:
            return self.shower.again(self._report(number))
        held = self.held[slot] = Held(number, padded(found), heard(own))
        if self.restorer is None:
            return self._show(held.picture, 0)
        start = Start(held.picture, torch.zeros(1, 3, 1, 1), torch.zeros(1, 2, 1, 1), 0.0, held.heard)
        picture, steps, self.held[slot] = self.restorer.begun(start, held, watch)
        return self._show(picture, steps)

    def _show(self, picture: Tensor | None, steps: int) -> Shown:
        if picture is None:
            return self.shower.again()
        shown = self.shower.show(picture[:, :, : self.clip.height, : self.clip.width].clamp(0, 1))
        return replace(shown, steps=steps)

    def _report(self, number: int) -> Feedback | None:
        """That the anchor of that number is not there; not again too soon."""
        now = self.shower.count
        if not self.feedback or now - self.told < AGAIN:
            return None
        self.told = now
        return Feedback(now, lost=True, anchor=number)


def readable(sent: bytes) -> bool:
    """Whether mode and kind of a frame's bytes are known ones."""
    return sent[0] >> 2 & 7 < _offers.MODES and sent[1] >> 5 <= _control.FINE


def start_of(held: Held, sent: bytes) -> Start:
    """What a frame's bytes say, at least two, of an anchor."""
    mode, kind = sent[0] >> 2 & 7, sent[1] >> 5
    height, width = held.picture.shape[2:]
    motion, control = _offers.parted(sent[2:], kind)
    flow = _offers.unpack(motion, mode, height, width)
    guess, cells = moved(held.picture, flow), torch.zeros(1, 3, 1, 1)
    if kind:
        cells = _control.change(_control.unpack(control, height, width), kind)
        guess = _control.applied(guess, cells)
    return Start(guess, cells, flow, innovation_of(sent[1] & 31), held.heard)


def heard(streams: tuple[ReceivedStream, ...]) -> float:
    """Mean `a` of all analog symbols, 1 where there are none."""
    found = [torch.nan_to_num(stream.a).flatten() for stream in streams if stream.a is not None and stream.a.numel()]
    return float(torch.cat(found).mean().clamp(0, 1)) if found else 1.0
