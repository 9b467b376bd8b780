"""What a receiver of `cvsc` knows of a frame before anything is generated, and how noisy generation starts from it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from semlink.codecs.video._control import applied
from semlink.codecs.video._motion import moved

LEVELS, FINEST = 32, 4  # of told innovation, in steps of a quarter of an octave
MOST = 1.5
PLANES = 4  # that tell the network where the guess was mended, and where its motion is torn
MARGIN = 1.25  # noise over error (rms), that a chain starts with
SKIPPED = 0.02  # of the frame's variance that is off: less is not worth a step
ANCHORED = 0.3  # of an anchor's variance, that all noise on its symbols leaves; fitted to adjscc on video/train
DARK = (2 / 255) ** 2
TOLD = 3


@dataclass(frozen=True)
class Start:
    """guess: the frame as far as it is told, `[1, 3, H, W]` in [0, 1]. cells: what control added, `[1, 3, H/8, W/8]`.
    flow: to the anchor, px, `[1, 2, rows, columns]`. innovation: told share of the variance that is missing. heard:
    mean `a` of the anchor's symbols, 1 for bits.
    """

    guess: Tensor
    cells: Tensor
    flow: Tensor
    innovation: float
    heard: float

    def of(self, picture: Tensor) -> Tensor:
        """The frame that another version of its anchor, `[1, 3, H, W]`, would become."""
        return applied(moved(picture, self.flow), self.cells)

    @property
    def error(self) -> float:
        """Share of the frame's variance that is off: of content that is new, and of noise on the anchor."""
        return self.innovation + ANCHORED * (1 - self.heard)

    @property
    def worth(self) -> bool:
        """Whether enough is off for a step."""
        return self.error >= SKIPPED

    @property
    def noise(self) -> float:
        """Standard deviation that a chain starts with, of pixels in [-1, 1]; it grows with `error`."""
        variance = max(DARK, float(self.guess.var(correction=0)))
        return MARGIN * 2 * math.sqrt(self.error * variance)

    @property
    def alpha(self) -> float:
        """The signal share of a state with that noise."""
        return 1 / (1 + self.noise**2)

    def planes(self) -> Tensor:
        """What the network sees beside the guess, `[1, PLANES, H, W]`."""
        height, width = self.guess.shape[2:]
        torn = _steepness(self.flow)[:, None] / 8
        return torch.cat([F.interpolate(each, (height, width)) for each in (4 * self.cells, torn)], 1)

    def told(self) -> Tensor:
        """What it is told in numbers, `[1, TOLD]`."""
        noisy = -math.log10(max(1 - self.heard, 1e-3))
        return torch.tensor([[1.0, math.log2(max(self.innovation, 1e-3)) / 5 + 1, noisy / 3]])


def level_of(innovation: float) -> int:
    """The told step of an innovation, 0 to LEVELS - 1, rounded to the nearest."""
    octaves = math.log2(max(innovation, 1e-6) / MOST)
    return min(max(LEVELS - 1 + round(FINEST * octaves), 0), LEVELS - 1)


def innovation_of(level: int) -> float:
    """What a told step says."""
    return float(MOST * 2 ** ((level - LEVELS + 1) / FINEST))


def _steepness(flow: Tensor) -> Tensor:
    """By how much a flow `[1, 2, rows, columns]` differs from its neighbours at most, px `[1, rows, columns]`."""
    around = F.pad(flow, (1,) * 4, mode="replicate")
    steps = [(around[:, :, 1:-1, k : k + flow.shape[3]] - flow).abs().sum(1) for k in (0, 2)]
    steps += [(around[:, :, k : k + flow.shape[2], 1:-1] - flow).abs().sum(1) for k in (0, 2)]
    return torch.stack(steps).amax(0)
