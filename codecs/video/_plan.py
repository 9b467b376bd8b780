"""What a sender of H.265 or H.264 does with a clip: scheme, intra period and size with the best expected quality."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from torch import Tensor

from semlink.codecs._sources import ladder
from semlink.codecs._sources.stream import Coder, Encoder
from semlink.codecs.video._expected import Pattern, expected, quality
from semlink.codecs.video._packets import Packets, head_of
from semlink.simulator.bits.framing import room
from semlink.simulator.bits.mcs import TABLE, Mcs
from semlink.simulator.bits.success import success
from semlink.simulator.values import LinkStatistics
from semlink.simulator.video import Budget, Clip, VideoInfo

PERIODS = (4, 8, 16, 32, 64, 256)  # frames; the longest is as good as never, and bounds what a receiver remembers
NACK_DELAY = 4  # frames from a loss to its end, on average: told, due, at times waiting for room or lost once more
LEAST_CHANCE = 0.3  # of arrival, that a scheme needs to be looked at
SPENT = 0.97  # of the rate, that the coder would use of a long clip
HIGH_SNR_DB = 20.0  # taken for the channel where nothing is known of it


@dataclass(frozen=True)
class Asked:
    """What a user asks for: coder and rate, and the settings that are not to be chosen, or None."""

    coder: str
    rho: float
    mcs: Mcs | None
    gop: int | None
    scale: float | None
    nack: bool


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


def planned(asked: Asked, clip: Clip, tx: VideoInfo) -> Plan:
    """The plan with the best expected quality."""
    budget, pixels = Budget.of(asked.rho, clip), clip.height * clip.width
    schemes = (asked.mcs,) if asked.mcs else TABLE
    arrival = {m: arrival_of(tx, asked_of(budget), head_of(budget, m), m) for m in schemes}
    likely = {m: p for m, p in arrival.items() if p.mean() >= LEAST_CHANCE} or {schemes[0]: np.full(1, LEAST_CHANCE)}
    bits = {m: bits_of(budget, m) for m in likely}
    delay = NACK_DELAY if asked.nack else None

    def worth(case: tuple[Mcs, int]) -> float:
        mixed = likely[case[0]].mean(keepdims=True)  # a clip is long enough to meet fades of all classes
        return expected(asked.coder, bits[case[0]] / pixels, mixed, Pattern(case[1], delay))

    mcs, period = max(product(likely, (asked.gop,) if asked.gop else PERIODS), key=worth)
    factor = asked.scale or quality(asked.coder, bits[mcs] / pixels)[1]
    step, ahead = ladder.FACTORS.index(factor), bits[mcs] * budget.ahead / budget.per_frame
    return Plan(Packets.of(budget, mcs), period, step, bits[mcs], ahead)


def asked_of(budget: Budget) -> int:
    """Uses of a frame that the coder is asked to fill: between the rate and what all that may be ahead leaves of it,
    because coders take some ahead and do not pay it back to the last bit.
    """
    return max(1, int((SPENT * budget.per_frame + budget.refill) / 2))


def bits_of(budget: Budget, mcs: Mcs) -> float:
    """Source bits of a frame, what is left over of a step on average taken off.

    Nothing is kept back for what is sent again: frames are left out for it instead.
    """
    head = head_of(budget, mcs)
    uses = max(1, asked_of(budget) - head)
    return 8.0 * (room(head, mcs) - 1 + max(1, room(uses, mcs)) * max(0.5, 1 - 16 / uses))


def arrival_of(tx: VideoInfo, uses: int, head: int, mcs: Mcs) -> np.ndarray:
    """Chance `[classes]` that the first block and the rest of a frame arrive."""
    if tx.statistics is not None:
        return _told(tx.statistics, uses, mcs) * _told(tx.statistics, head, mcs)
    snr_db = HIGH_SNR_DB if tx.snr_db is None else float(np.min(tx.snr_db))
    sinr = np.full((1, uses), 10 ** (snr_db / 10))
    return np.array([success(sinr, mcs)])


def _told(statistics: LinkStatistics, uses: int, mcs: Mcs) -> np.ndarray:
    """By class, of the nearest size that statistics know."""
    nearest = min(statistics.arrival, key=lambda size: abs(size - uses))
    return np.asarray(statistics.arrival[nearest].get(mcs.name, (0.0,)))


def levels(frame: Tensor) -> np.ndarray:
    """A frame `[3, H, W]` in [0, 1] as uint8 `[H, W, 3]`."""
    return (frame.detach().cpu().clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
