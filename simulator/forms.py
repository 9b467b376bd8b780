"""Other forms of the equalised symbols x_hat = a x + noise of variance a (1 - a); all stay finite where a = 0.

Tensors of any one shape; x_hat real or complex, a float of the same shape or broadcastable (definitions.md).
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

Values = TypeVar("Values", Tensor, np.ndarray)

SMALLEST = 1e-6  # below this a symbol carries nothing and its form is 0
LARGEST = 1e4  # of a received symbol's parts: all power of a hundred million symbols in one


def zero_forcing(x_hat: Tensor, a: Tensor) -> Tensor:
    """x_hat / a = x + noise of variance (1 - a) / a; 0 where a = 0."""
    return x_hat / a.clamp_min(SMALLEST) * (a > SMALLEST)


def variance_preserving(x_hat: Tensor, a: Tensor) -> Tensor:
    """x_hat / sqrt(a) = sqrt(a) x + sqrt(1 - a) n, n of unit variance: a diffusion state of level 1 - a; or 0."""
    return x_hat / a.clamp_min(SMALLEST).sqrt() * (a > SMALLEST)


def finite(x_hat: Tensor, a: Tensor) -> tuple[Tensor, Tensor, int]:
    """x_hat and a with what is not finite as lost, 0 in both, and how many symbols that are; a within 0 and 1.

    So is what is larger than any symbol of mean power 1 (`LARGEST`): squares of it would not be finite.
    """
    good = (torch.maximum(x_hat.real.abs(), x_hat.imag.abs()) <= LARGEST) & torch.isfinite(a)  # no NaN is
    a = torch.where(good, a, 0.0).clamp(0, 1)
    return torch.where(good & (a > 0), x_hat, 0.0), a, int((~good).sum())


def snr_db(a: Values, least: float) -> Values:
    """10 log10(a / (1 - a)), the SNR in dB of a constant channel of that reliability; a within least and 1 - least.

    Tensors or arrays of any shape, in their dtype.
    """
    if isinstance(a, Tensor):
        inside = a.clamp(least, 1 - least)
        return 10 * torch.log10(inside / (1 - inside))
    within = np.clip(a, least, 1 - least)
    return 10 * np.log10(within / (1 - within))
