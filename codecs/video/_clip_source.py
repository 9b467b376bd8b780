"""Short clips to train on: crops of real ones, and moving crops of photographs, because real ones are few."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from semlink.simulator.data.moving import random_clip

REAL = 0.6  # share of real clips where there are both


@dataclass(frozen=True)
class ClipSource:
    """shots: uint8 clips `[frames, H, W, 3]`. photographs: uint8 `[H, W, 3]`."""

    shots: Sequence[np.ndarray]
    photographs: tuple[np.ndarray, ...]

    @property
    def longest(self) -> int | None:
        """Frames that a clip may have; None: any number."""
        return None if self.photographs else max(map(len, self.shots))

    def draw(self, rng: Generator, frames: int, side: int) -> Tensor:
        """A clip float32 `[frames, 3, side, side]` in [0, 1]."""
        shots = [shot for shot in self.shots if len(shot) >= frames]
        if shots and (rng.random() < REAL or not self.photographs):
            levels = cropped(shots[rng.integers(len(shots))], rng, frames, side)
        else:
            levels = random_clip(rng, self.photographs, side, frames)
        return torch.from_numpy(np.ascontiguousarray(levels.transpose(0, 3, 1, 2))).float() / 255


def cropped(shot: np.ndarray, rng: Generator, frames: int, side: int) -> np.ndarray:
    """A crop at single or double speed, at times backwards or mirrored."""
    step = int(rng.integers(1, 3)) if len(shot) >= 2 * frames else 1
    start = int(rng.integers(len(shot) - step * (frames - 1)))
    top, left = (int(rng.integers(size - side + 1)) for size in shot.shape[1:3])
    chosen = shot[start : start + step * frames : step]
    found = chosen[:, top : top + side, left : left + side]
    found = found[::-1] if rng.random() < 0.5 else found
    return found[:, :, ::-1] if rng.random() < 0.5 else found
