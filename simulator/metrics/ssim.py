"""SSIM (Wang et al., IEEE TIP 2004) and MS-SSIM (Wang et al., Asilomar 2003) per image, at peak 1.

SSIM = l cs, l = (2 mx my + C1) / (mx^2 + my^2 + C1), cs = (2 sxy + C2) / (sx^2 + sy^2 + C2), with an 11 x 11 Gaussian
window of sigma 1.5 where it lies inside the picture, averaged over windows and then over the three channels.
Pictures are `[batch, 3, H, W]` floats in [0, 1], results `[batch]`, at most 1. Both raise SemlinkError for shapes that
differ, numbers that are not finite or outside [0, 1].
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from semlink.simulator.metrics._pictures import by_parts, checked, strips

WINDOW, SIGMA = 11, 1.5
C1, C2 = 0.01**2, 0.03**2
WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang 2003, table 1: exponent of each scale, finest first
PIXELS_AT_ONCE = 1 << 17  # fits into a cache: 3 to 7 times as fast as a megapixel at once


def ssim(x: Tensor, y: Tensor) -> Tensor:
    """SSIM per image. A side below 11 px has a window of that side: 1 x 1 pictures compare their colours alone."""
    x, y = checked(x, y)
    return by_parts(_ssim, x, y, PIXELS_AT_ONCE // (x.shape[2] * x.shape[3]))


def ms_ssim(x: Tensor, y: Tensor) -> Tensor:
    """MS-SSIM per image: cs at every scale, l at the coarsest, each to the power of its weight; negative cs count as 0.

    Five scales where the smaller side has 176 px or more; smaller pictures have the first `scales(side)`, those that
    hold the window, so below 22 px this is SSIM cut at 0. Weights in use are scaled to the sum 1 (published: 1.0001).
    """
    x, y = checked(x, y)
    metric = partial(_ms_ssim, count=scales(min(x.shape[2:])))
    return by_parts(metric, x, y, PIXELS_AT_ONCE // (x.shape[2] * x.shape[3]))


def scales(side: int) -> int:
    """Scales, 1 to 5, of a picture whose smaller side has `side` pixels."""
    return max(1, sum(side >= WINDOW << scale for scale in range(len(WEIGHTS))))


def _ssim(x: Tensor, y: Tensor) -> Tensor:
    return _compare(x, y)[0].mean(1)


def _ms_ssim(x: Tensor, y: Tensor, count: int) -> Tensor:
    weights = torch.tensor(WEIGHTS[:count], dtype=x.dtype, device=x.device)
    factors = []
    for scale in range(count):
        whole, structure = _compare(x, y)
        factors.append(whole if scale == count - 1 else structure)
        x, y = (functional.avg_pool2d(z, 2, ceil_mode=True) for z in (x, y))
    powers = torch.stack(factors).clamp_min(0) ** (weights / weights.sum())[:, None, None]
    return powers.prod(0).mean(1)


def _compare(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Mean SSIM and mean cs per image and channel, `[batch, 3]`; of larger pictures strip by strip."""
    height, width = x.shape[2:]
    if height * width <= PIXELS_AT_ONCE or height < WINDOW:
        return _compare_strip(x, y)
    places = height - WINDOW + 1  # of the window
    means = []
    for rows in strips(places, width, PIXELS_AT_ONCE):
        seen = slice(rows.start, rows.stop + WINDOW - 1)
        share = (rows.stop - rows.start) / places
        means.append(torch.stack(_compare_strip(x[:, :, seen], y[:, :, seen])) * share)
    whole, structure = torch.stack(means).sum(0)
    return whole, structure


def _compare_strip(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    # Variances do not see the shift, and squares near zero lose fewer digits to cancellation.
    u, v = x - 0.5, y - 0.5
    mu, mv, uu, vv, uv = _blur(torch.cat([u, v, u * u, v * v, u * v], dim=1)).chunk(5, dim=1)
    structure = (2 * (uv - mu * mv) + C2) / (uu - mu * mu + vv - mv * mv + C2)
    mx, my = mu + 0.5, mv + 0.5
    luminance = (2 * mx * my + C1) / (mx * mx + my * my + C1)
    return (luminance * structure).mean((-2, -1)), structure.mean((-2, -1))


def _blur(maps: Tensor) -> Tensor:
    """Gaussian means of `[batch, channels, H, W]` at all window places inside the picture."""
    channels, height, width = maps.shape[1:]
    rows, columns = (_gaussian(min(WINDOW, side), maps).expand(channels, 1, 1, -1) for side in (height, width))
    # One group per channel is several times faster on a CPU than channels folded into the batch.
    flat = functional.conv2d(maps, rows.mT.contiguous(), groups=channels)
    return functional.conv2d(flat, columns.contiguous(), groups=channels)


def _gaussian(taps: int, like: Tensor) -> Tensor:
    places = torch.arange(taps, dtype=like.dtype, device=like.device) - (taps - 1) / 2
    window = torch.exp(-places.square() / (2 * SIGMA**2))
    return window / window.sum()
