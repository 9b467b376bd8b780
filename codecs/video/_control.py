"""What a moved anchor shows wrongly, roughly: the difference of mean colours of 8x8 cells, coded where it is large.

The semantic control of `cvsc` (ours: its form in CVSC is not published, that of its follow-up is a stream of strongly
compressed small frames, arXiv 2602.13837). It is told as a difference, so that it holds for an anchor that noise has
changed too.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from semlink.codecs.video import _control_code as control_code
from semlink.codecs.video._motion import CELL

NONE, COARSE, FINE = 0, 1, 2  # kinds
STEPS = (0.0, 48 / 255, 24 / 255)  # of a difference, by kind: coarse and fine; chosen on video/train
DEAD = 0.1  # by how much more than half a step is nothing still
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


def differences(now: Tensor, guess: Tensor, kind: int) -> np.ndarray:
    """Of frames `[1, 3, H, W]` whose sides 8 divides: whole steps, int `[3, H/8, W/8]` of luma and two colours."""
    gap = F.avg_pool2d(opponent(now - guess), CELL)[0].numpy() / STEPS[kind]
    whole = np.sign(gap) * np.floor(np.abs(gap) + 0.5 - DEAD)
    return np.clip(whole, -control_code.LIMIT, control_code.LIMIT).astype(int)


def change(numbers: np.ndarray, kind: int) -> Tensor:
    """What these steps add to a frame's cells, `[1, 3, H/8, W/8]` of red, green and blue."""
    return _rgb(torch.from_numpy(numbers * STEPS[kind]).float()[None])


def applied(guess: Tensor, cells: Tensor) -> Tensor:
    """A frame `[1, 3, H, W]` with what `change` says."""
    return (guess + F.interpolate(cells, guess.shape[2:], mode="bilinear", align_corners=False)).clamp(0, 1)


def pack(numbers: np.ndarray) -> bytes:
    """As bytes."""
    return control_code.pack(numbers)


def unpack(data: bytes, height: int, width: int) -> np.ndarray:
    """Of any bytes, int `[3, H/8, W/8]`."""
    return control_code.unpack(data, 3, height // CELL, width // CELL)


def opponent(rgb: Tensor) -> Tensor:
    """Luma, blue less luma, red less luma, of planes 1."""
    red, green, blue = rgb.unbind(1)
    luma = LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue
    return torch.stack([luma, (blue - luma) / 1.772, (red - luma) / 1.402], 1)


def _rgb(opponent: Tensor) -> Tensor:
    luma, blue, red = opponent.unbind(1)
    b, r = luma + 1.772 * blue, luma + 1.402 * red
    return torch.stack([r, (luma - LUMA[0] * r - LUMA[2] * b) / LUMA[1], b], 1)
