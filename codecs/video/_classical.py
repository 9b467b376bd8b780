"""H.265 or H.264 frame by frame, a packet each, over 5G LDPC and QAM: the separated baseline for clips.

Scheme, intra period and size of the coded pictures are those with the best expected quality (`_expected`). Rate
control is the coder's own with a buffer of ten frames, the same burst that every codec may take; a frame that does not
fit then is left out, and the last one stands. So it does after a loss, until the next intra frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from semlink.codecs._sources import ladder
from semlink.codecs._sources.stream import CODERS, Coder, Decoder, Encoder
from semlink.codecs.video._expected import TABLE as QUALITY
from semlink.codecs.video._expected import Pattern, expected, quality
from semlink.codecs.video._packets import LONG, Packets, head_of, received
from semlink.codecs.video._state import Shower
from semlink.simulator.bits.framing import room
from semlink.simulator.bits.mcs import TABLE, Mcs, get
from semlink.simulator.bits.success import BLER, success
from semlink.simulator.errors import SemlinkError
from semlink.simulator.values import LinkStatistics, Reception, Transmission
from semlink.simulator.video import Budget, Clip, Feedback, Shown, VideoInfo

PERIODS = (4, 8, 16, 32, 64, 256)  # frames; the longest is as good as never, and bounds what a receiver remembers
NACK_DELAY = 6  # frames from a loss to the intra frame that mends it: told, due, and waiting until the budget has room
AGAIN = 6  # frames after which a loss that is not mended is told again
LEAST_CHANCE = 0.3  # of arrival, that a scheme needs to be looked at
SPENT = 0.97  # of the rate, that the coder would use of a long clip
HIGH_SNR_DB = 20.0  # taken for the channel where nothing is known of it


@dataclass(frozen=True)
class Plan:
    """What a sender does with a clip. period: frames from an intra frame to the next. step: of the ladder of sizes.

    bits: per frame; ahead: bits that may be ahead of that.
    """

    packets: Packets
    period: int
    step: int
    bits: float
    ahead: float

    def encoder(self, coder: Coder, clip: Clip) -> Encoder:
        """One that begins anew."""
        return Encoder(coder, *ladder.size_at(clip.height, clip.width, self.step), self.bits, self.ahead)

    def small(self, frame: Tensor, clip: Clip) -> np.ndarray:
        """A frame `[3, H, W]` as it is coded."""
        return ladder.resized(levels(frame), *ladder.size_at(clip.height, clip.width, self.step))


class Classical:
    """Packets of a frame each; the last whole frame stands from a loss to the next intra frame.

    Preset slow, tuned for PSNR (no psychovisual decisions, no adaptive quantisation), 10-bit planes of orthogonal
    colours, one frame in, one packet out, a rate buffer of ten frames, no SEI, parameter sets as session constants.

    mcs: always this scheme (`semlink.simulator.bits.mcs`) instead of the best expected one. gop: frames from an intra
    frame to the next, likewise; 256 is as good as never. nack: a loss is told back, which is charged, and mended by an
    intra frame. scale: factor of the sides of the coded pictures (1, 0.75, 0.5, 0.375, 0.25, 0.125) instead of the best
    expected one.
    """

    standard: ClassVar[str]
    group = 1
    encodes_on = "link"

    def __init__(
        self,
        rho: float = 1 / 48,
        mcs: str | None = None,
        gop: int | None = None,
        nack: bool = True,
        scale: float | None = None,
    ) -> None:
        if not 0 < rho <= 1:
            raise SemlinkError(f"rho must be within 0 and 1, got {rho:g}")
        if gop is not None and not 1 <= gop <= PERIODS[-1]:
            raise SemlinkError(f"gop={gop}: give frames from an intra frame to the next, 1 to {PERIODS[-1]}")
        if scale is not None and scale not in ladder.FACTORS:
            raise SemlinkError(f"scale={scale:g}: known: {', '.join(f'{f:g}' for f in ladder.FACTORS)}")
        self.coder, self.rho, self.feedback = CODERS[self.standard], rho, nack
        self.mcs, self.gop, self.scale = get(mcs) if mcs else None, gop, scale

    def files(self) -> tuple[Path, ...]:
        """What scheme, period and size depend on."""
        return QUALITY, BLER

    def sender(self, clip: Clip) -> ClassicalSender:
        """The encoder, which plans when it sees the first frame."""
        return ClassicalSender(self, clip)

    def receiver(self, clip: Clip) -> ClassicalReceiver:
        """The decoder."""
        return ClassicalReceiver(self.coder, clip, self.feedback)

    def plan(self, clip: Clip, tx: VideoInfo) -> Plan:
        """The plan with the best expected quality."""
        budget, head = Budget.of(self.rho, clip), head_of(tx.statistics)
        uses, pixels = asked_of(budget, head[0]), clip.height * clip.width
        arrival = {m: arrival_of(tx, uses, m, head) for m in ((self.mcs,) if self.mcs else TABLE)}
        likely = {m: p for m, p in arrival.items() if p.mean() >= LEAST_CHANCE} or {self.mcs or TABLE[0]: np.zeros(1)}
        delay = NACK_DELAY if self.feedback else None

        def worth(case: tuple[Mcs, int]) -> float:
            pattern = Pattern(case[1], delay)
            return expected(self.coder.name, bits(uses, case[0]) / pixels, likely[case[0]], pattern)

        mcs, period = max(product(likely, (self.gop,) if self.gop else PERIODS), key=worth)
        per_frame = bits(uses, mcs)
        factor = self.scale or quality(self.coder.name, per_frame / pixels)[1]
        step, ahead = ladder.FACTORS.index(factor), per_frame * budget.ahead / budget.per_frame
        return Plan(Packets.of(budget, mcs, head), period, step, per_frame, ahead)


def asked_of(budget: Budget, head: int) -> int:
    """Uses of payloads that the coder is asked to fill: between the rate and what all that may be ahead leaves of it,
    because coders take some ahead and do not pay it back to the last bit.
    """
    return max(1, int((SPENT * budget.per_frame + budget.refill) / 2) - head)


def bits(uses: int, mcs: Mcs) -> float:
    """Source bits of a payload of so many uses, what is left over of a step on average taken off."""
    return 8.0 * max(1, room(uses, mcs)) * max(0.5, 1 - 16 / uses)


def arrival_of(tx: VideoInfo, uses: int, mcs: Mcs, head: tuple[int, Mcs]) -> np.ndarray:
    """Chance `[classes]` that head and payload of a frame arrive."""
    if tx.statistics is not None:
        body = _told(tx.statistics, uses, mcs)
        return body * (_told(tx.statistics, head[0], head[1]) if head is LONG else 1.0)
    snr_db = HIGH_SNR_DB if tx.snr_db is None else float(np.min(tx.snr_db))
    sinr = np.full((1, uses), 10 ** (snr_db / 10))
    return np.array([success(sinr, mcs)])


def _told(statistics: LinkStatistics, uses: int, mcs: Mcs) -> np.ndarray:
    """By class, of the nearest size that statistics know."""
    nearest = min(statistics.arrival, key=lambda size: abs(size - uses))
    return np.asarray(statistics.arrival[nearest].get(mcs.name, (0.0,)))


class ClassicalSender:
    """Codes, and waits with what does not fit. Moved to another process it begins anew with an intra frame."""

    def __init__(self, codec: Classical, clip: Clip) -> None:
        self.codec, self.clip = codec, clip
        self.plan: Plan | None = None
        self.waiting = b""  # coded and not sent yet
        self.since, self.last_intra = 0, 0  # frames since the last intra frame, and its number
        self.usual = 0  # uses of the last packet that was none
        self._encoder: Encoder | None = None

    def send(self, frames: Tensor, tx: VideoInfo) -> Transmission:
        """A packet with the frame `[1, 3, H, W]`, with one that waits, or with nothing."""
        plan = self.plan = self.plan or self.codec.plan(self.clip, tx)
        may = tx.uses or 0
        intra = self._intra(plan, tx)
        if not self.waiting and (intra or self.usual <= may):
            self.waiting = self._coded(plan, frames[0], intra, tx.frame)
        cost = plan.packets.cost(len(self.waiting))
        if cost is None:  # larger than any packet: begin anew
            self._encoder, self.waiting = None, b""
        elif self.waiting and cost <= may:
            payload, self.waiting = self.waiting, b""
            self.usual = self.usual if intra else cost
            return plan.packets.sent(payload, may)
        return plan.packets.sent(b"", may)

    def _intra(self, plan: Plan, tx: VideoInfo) -> bool:
        """Whether an intra frame is due: at first, at the period's end, or because one was lost after the last."""
        lost = any(told.lost and told.frame >= self.last_intra for told in tx.feedback)
        return self._encoder is None or self.since >= plan.period or lost

    def _coded(self, plan: Plan, frame: Tensor, intra: bool, number: int) -> bytes:
        self._encoder = self._encoder or plan.encoder(self.codec.coder, self.clip)
        coded = self._encoder.encode(plan.small(frame, self.clip), intra)
        self.since = 1 if intra else self.since + 1
        self.last_intra = number if intra else self.last_intra
        return coded[:1] + bytes([plan.step]) + coded[1:] if intra else coded

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_encoder": None, "waiting": b""}


class ClassicalReceiver:
    """Decodes, and holds the last whole frame from a loss to the next intra frame."""

    def __init__(self, coder: Coder, clip: Clip, tells: bool) -> None:
        self.coder, self.clip, self.tells = coder, clip, tells
        self.shower = Shower(clip)
        self.decoder: Decoder | None = None
        self.told = -AGAIN

    def receive(self, reception: Reception) -> Shown:
        """The frame `[1, 3, H, W]`."""
        sent = received(reception)
        if sent == b"":
            return self.shower.again()
        picture = None if sent is None else self._decoded(sent)
        if picture is None:
            self.decoder = None
            return self.shower.again(self._report())
        return self.shower.show(picture)

    def _decoded(self, sent: bytes) -> Tensor | None:
        step = None
        if sent and self.coder.kind(sent) in self.coder.intra and len(sent) > 2:
            step, sent = sent[1], sent[:1] + sent[2:]
            if step >= len(ladder.FACTORS):
                return None
            self.decoder = Decoder(self.coder, *ladder.size_at(self.clip.height, self.clip.width, step))
        found = self.decoder.decode(sent) if self.decoder else None
        if found is None:
            return None
        whole = ladder.resized(np.ascontiguousarray(found), self.clip.height, self.clip.width)
        return torch.from_numpy(whole).permute(2, 0, 1)[None].float() / 255

    def _report(self) -> Feedback | None:
        """That this frame is lost; not again too soon."""
        now = self.shower.count
        if not self.tells or now - self.told < AGAIN:
            return None
        self.told = now
        return Feedback(now, lost=True)


def levels(frame: Tensor) -> np.ndarray:
    """A frame `[3, H, W]` in [0, 1] as uint8 `[H, W, 3]`."""
    return (frame.detach().cpu().clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
