"""What the map makers share: checks, smoothing, and hard maps by share of the pixels."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from semlink.simulator.errors import SemlinkError


def one_by_one(make: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """`make` of each picture float32 `[3, H, W]` on the CPU, answers `[H, W]` stacked where the pictures are.

    SemlinkError unless the pictures are floats `[batch, 3, H, W]` with nothing empty.
    """
    if images.ndim != 4 or images.shape[1] != 3 or 0 in images.shape or not images.is_floating_point():
        shape = f"{list(images.shape)} of {images.dtype}"
        raise SemlinkError(f"pictures are {shape}; an importance map needs floats [batch, 3, H, W], not empty")
    found = [make(picture) for picture in images.detach().float().cpu()]
    return torch.stack(found).float().to(images.device)


def in_unit_range(energy: Tensor) -> Tensor:
    """`[H, W]` scaled from [min, max] to [0, 1]; all 0 where nothing differs."""
    low, high = energy.min(), energy.max()
    spread = high - low
    return (energy - low) / spread if spread > 1e-6 * high.abs().clamp_min(1e-20) else torch.zeros_like(energy)


def hardened(soft: Tensor, share: float) -> Tensor:
    """1 in the `share` of the pixels `[H, W]` that matter most, 0 elsewhere and wherever the soft map is 0.

    Among equals the first in raster order count. Share 0 leaves the map soft.
    """
    if share == 0:
        return soft
    flat = soft.flatten()
    chosen = flat.argsort(descending=True, stable=True)[: math.ceil(share * flat.numel())]
    hard = torch.zeros_like(flat)
    hard[chosen] = (flat[chosen] > 0).float()
    return hard.reshape(soft.shape)


def blurred(map_: Tensor, sigma: float) -> Tensor:
    """`[H, W]` under a Gaussian of `sigma` px, cut at 3 sigma; beyond the border the last pixels go on."""
    if sigma == 0:
        return map_
    reach = math.ceil(3 * sigma)
    taps = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma) ** 2)
    row = (taps / taps.sum())[None, None, None]
    wide = F.pad(map_[None, None], (reach, reach, reach, reach), mode="replicate")
    return F.conv2d(F.conv2d(wide, row), row.mT)[0, 0]


def check_share(share: float) -> None:
    """SemlinkError unless 0 <= share <= 1."""
    if not 0 <= share <= 1:
        raise SemlinkError(f"share is {share}; give the part of the pixels that matter, 0 to 1 (0: a soft map)")


def check_sigma(sigma: float) -> None:
    """SemlinkError unless sigma is a finite number of pixels, 0 or more."""
    if not 0 <= sigma < math.inf:
        raise SemlinkError(f"sigma is {sigma}; give the width of the smoothing in px, 0 or more")
