"""What `wvsc` tells of each frame in one protected block: which symbols, their scale, whether by itself, and motion."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from semlink.codecs.video import _offers
from semlink.codecs.video._offers import Offer
from semlink.simulator.bits.framing import room
from semlink.simulator.bits.mcs import Mcs, get

FIXED = 2  # bytes before those of motion
RUNS, LEVELS = 64, 64  # numbers of a run, and of its scale
LOUDEST, STEP = 4.0, 1.125  # largest scale, and from one to the next
SIZES = (32, 64, 128, 256)  # channel uses of the block
SHARE = 1 / 8  # of a frame's uses that it takes at most, where fewer hold it
SCHEMES = ((7.0, get("qpsk-0.50")), (2.5, get("qpsk-0.38")))  # SNR in dB from which on each is used
ROBUST = get("qpsk-0.25")  # below


@dataclass(frozen=True)
class Told:
    """run: number of the run of symbols. level: of its scale. intra: by itself. mode, motion: as of `_offers`."""

    run: int
    level: int
    intra: bool
    mode: int = _offers.HOLD
    motion: bytes = b""

    def pack(self) -> bytes:
        """As bytes."""
        number = self.run << 10 | self.level << 4 | self.mode << 1 | self.intra
        return number.to_bytes(FIXED, "big") + self.motion

    @classmethod
    def unpack(cls, data: bytes) -> Told | None:
        """Of any bytes; None for those that are none."""
        if len(data) < FIXED:
            return None
        number = int.from_bytes(data[:FIXED], "big")
        mode = number >> 1 & 7
        if mode >= _offers.MODES:
            return None
        return cls(number >> 10, number >> 4 & 63, bool(number & 1), mode, data[FIXED:])

    @property
    def scale(self) -> float:
        """Of the level."""
        return LOUDEST / STEP**self.level


def level_of(scale: float) -> int:
    """The level nearest to a scale."""
    return min(max(round(math.log(LOUDEST / max(scale, 1e-6), STEP)), 0), LEVELS - 1)


def scheme(snr_db: float) -> Mcs:
    """Of the block."""
    return next((mcs for least, mcs in SCHEMES if snr_db >= least), ROBUST)


def uses_of(per_frame: float, mcs: Mcs) -> int:
    """Channel uses of the block: the largest size within its share, but one that holds the fixed part."""
    able = [size for size in SIZES if room(size, mcs) >= FIXED]
    return max([size for size in able if size <= SHARE * per_frame], default=able[0])


def motion_of(now: Tensor, before: Tensor, flow: Tensor, most: int) -> Offer:
    """The way to tell the flow from a frame `[1, 3, H, W]` to the one before that leaves least, in so many bytes."""
    best = _offers.offer_of(now, before, flow, _offers.HOLD)
    for mode in range(_offers.GLOBAL, _offers.MODES):
        offer = _offers.offer_of(now, before, flow, mode)
        if len(offer.motion) > most and mode > _offers.GLOBAL:
            break  # smaller blocks take more
        if len(offer.motion) <= most and offer.innovation < best.innovation:
            best = offer
    return best


def flow_of(told: Told, height: int, width: int) -> Tensor:
    """As the receiver has it, in px `[1, 2, rows, columns]`."""
    return torch.zeros(1, 2, 1, 1) if told.intra else _offers.unpack(told.motion, told.mode, height, width)
