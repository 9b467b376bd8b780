"""The values of a clip on its way: what both ends know of it, what it may spend, what is told back, what is shown.

Frames are float32 `[frames, 3, H, W]` in [0, 1]. A video codec makes a sender and a receiver, two objects with state
that pickle; each call takes a group of `codec.group` frames, one for most codecs. They are one image of the link.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from semlink.simulator.errors import SemlinkError
from semlink.simulator.values import TxInfo

if TYPE_CHECKING:  # importing the values must not import torch
    from torch import Tensor

BURST = 10  # frames' worth of channel uses that a codec may be ahead of its rate
FEEDBACK_USES = 64  # of one report: 16 bits and their CRC at QPSK 1/4, the shortest block that holds them


@dataclass(frozen=True)
class Clip:
    """What both ends know of a clip, free of charge. frames: its length, or None of a stream without an end."""

    height: int
    width: int
    fps: float = 25.0
    frames: int | None = None

    def __post_init__(self) -> None:
        if min(self.height, self.width, self.fps) <= 0 or (self.frames is not None and self.frames < 1):
            raise SemlinkError(f"a clip needs pixels, a frame rate and at least one frame, not {self}")

    @property
    def dimensions(self) -> int:
        """Source dimensions of a frame, 3 H W."""
        return 3 * self.height * self.width


@dataclass(frozen=True)
class Budget:
    """A token bucket of channel uses, the same for all codecs: at most `ahead` + t `refill` in the first t frames.

    What is taken ahead is paid back over the clip, so that all frames together spend at most `per_frame` each, the
    first one, headers and feedback included. Any ten frames hold at most twice the ten-fold mean.
    """

    per_frame: float
    ahead: float
    refill: float

    @classmethod
    def of(cls, rho: float, clip: Clip) -> Budget:
        """That of rho channel uses per source dimension."""
        per_frame = int(rho * clip.dimensions + 1e-6)
        if clip.frames is None:
            return cls(per_frame, BURST * per_frame, per_frame)
        burst = min(BURST, clip.frames / 2)
        return cls(per_frame, burst * per_frame, (1 - burst / clip.frames) * per_frame)


@dataclass(frozen=True)
class Bucket:
    """A budget on the way: channel uses that may be spent now."""

    budget: Budget
    level: float

    @classmethod
    def full(cls, budget: Budget) -> Bucket:
        """As it is before the first frame."""
        return cls(budget, budget.ahead)

    def filled(self, frames: int) -> Bucket:
        """After the time of so many frames; what is not spent is kept up to what it holds."""
        more = frames * self.budget.refill
        return replace(self, level=min(self.level + more, self.budget.ahead + more))

    @property
    def uses(self) -> int:
        """Whole channel uses in it."""
        return int(self.level + 1e-6)

    def spent(self, uses: int) -> Bucket:
        """After so many; below 0 after a report that could not be foreseen."""
        return replace(self, level=self.level - uses)


@dataclass(frozen=True)
class Feedback:
    """What a receiver tells back of a group, 16 bits over the uplink, charged FEEDBACK_USES.

    frame: number of the group's first frame. lost: whether any of it was. snr_db: of its symbols. steps: achieved.
    anew: whether nothing helps but what needs nothing from before. anchor: number of the one that is missing, of codecs
    that have such.
    """

    frame: int
    lost: bool = False
    snr_db: float | None = None
    steps: int = 0
    anew: bool = False
    anchor: int = 0


@dataclass(frozen=True)
class VideoInfo(TxInfo):
    """What a sender may know: `uses` are those that it may spend on this group, all streams together.

    frame: number of the group's first frame. feedback: reports that have arrived since the last group, oldest first.
    """

    frame: int = 0
    feedback: tuple[Feedback, ...] = ()


@dataclass(frozen=True)
class Shown:
    """What a receiver puts out for a group. concealed: of each frame, whether it stands for one that was lost.

    feedback: what it tells back, or None, which costs nothing. steps: of an iterative decoder. took_s: seconds that
    encoding and decoding took on its own simulated clock, or None of a codec that takes the time that passes.
    """

    frames: Tensor
    concealed: tuple[bool, ...]
    feedback: Feedback | None = None
    steps: int = 0
    took_s: float | None = None
