"""PSNR = 10 log10(1 / MSE) in dB at peak 1, over a picture or over its regions of interest.

Pictures are `[batch, 3, H, W]` floats in [0, 1]; a mask is `[batch, H, W]` or `[batch, 1, H, W]`, 1 (True) inside the
region of interest. Results are float64 `[batch]`, at most `CAP_DB`, which identical pictures get so that means stay
finite. Every function raises SemlinkError for shapes that differ, numbers that are not finite or outside [0, 1].
"""

from __future__ import annotations

import torch
from torch import Tensor

from semlink.simulator.errors import SemlinkError
from semlink.simulator.metrics._pictures import LARGE, checked, strips

CAP_DB = 100.0


def mse(x: Tensor, y: Tensor) -> Tensor:
    """Mean squared error per image."""
    x, y = checked(x, y)
    if x[0, 0].numel() <= LARGE:
        return (x - y).square().mean(dim=(1, 2, 3), dtype=torch.float64)
    rows = strips(x.shape[2], x.shape[3], LARGE)
    parts = [(x[:, :, r] - y[:, :, r]).square().sum((1, 2, 3), dtype=torch.float64) for r in rows]
    return torch.stack(parts).sum(0) / x[0].numel()


def psnr(x: Tensor, y: Tensor) -> Tensor:
    """PSNR per image; their mean is the headline number."""
    return decibels(mse(x, y))


def psnr_of_mean_mse(errors: Tensor) -> Tensor:
    """PSNR of the mean of per-image MSEs `[images]`, one number; never above the mean PSNR (Jensen)."""
    return decibels(errors.double().mean())


def psnr_roi(x: Tensor, y: Tensor, mask: Tensor) -> Tensor:
    """PSNR inside the region of interest; NaN (nothing to measure) where an image has none."""
    return decibels(_region_mse(x, y, mask)[0])


def psnr_roni(x: Tensor, y: Tensor, mask: Tensor) -> Tensor:
    """PSNR outside the region of interest; NaN (nothing to measure) where it is the whole image."""
    return decibels(_region_mse(x, y, mask)[1])


def theta_psnr(x: Tensor, y: Tensor, mask: Tensor, theta: float | Tensor) -> Tensor:
    """10 log10(1 / (theta MSE_ROI + (1 - theta) MSE_RONI)), each MSE over its own region.

    theta in [0, 1], one number or one per image `[batch]`; theta = ROI share gives plain PSNR. An image with one region
    only gets that region's PSNR.
    """
    weight = torch.as_tensor(theta, dtype=torch.float64, device=x.device)
    if not bool(((weight >= 0) & (weight <= 1)).all()):
        raise SemlinkError(f"theta is {theta}; it must lie in [0, 1]")
    if weight.ndim and weight.shape != x.shape[:1]:
        raise SemlinkError(f"theta has shape {list(weight.shape)}; give one number or one per image, [{len(x)}]")
    roi, roni = _region_mse(x, y, mask)
    inside, outside = torch.where(roi.isnan(), roni, roi), torch.where(roni.isnan(), roi, roni)
    return decibels(weight * inside + (1 - weight) * outside)


def decibels(errors: Tensor) -> Tensor:
    """PSNR of mean squared errors, element by element, at most `CAP_DB`; NaN stays NaN."""
    return -10 * torch.log10(errors.clamp_min(10 ** (-CAP_DB / 10)))


def _region_mse(x: Tensor, y: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """MSE inside and outside the mask, NaN where that region is empty."""
    x, y = checked(x, y)
    inside = _binary(mask, x)
    error = (x - y).square().mean(dim=1, dtype=torch.float64)
    roi, roni = ((error * region).sum((1, 2)) / region.sum((1, 2)) for region in (inside, 1 - inside))
    return roi, roni


def _binary(mask: Tensor, x: Tensor) -> Tensor:
    """The mask as float64 zeros and ones `[batch, H, W]`."""
    batch, _, height, width = x.shape
    if tuple(mask.shape) not in {(batch, height, width), (batch, 1, height, width)}:
        raise SemlinkError(f"mask is {list(mask.shape)}; pictures of {list(x.shape)} need [{batch}, {height}, {width}]")
    if not bool(((mask == 0) | (mask == 1)).all()):
        raise SemlinkError("a mask must hold 0 and 1 only; threshold it first")
    return mask.reshape(batch, height, width).to(x.device, torch.float64)
