"""Other forms of the equalised symbols x_hat = a x + noise of variance a (1 - a); all stay finite where a = 0.

Tensors of any one shape; x_hat real or complex, a float of the same shape or broadcastable (definitions.md).
"""

from __future__ import annotations

from torch import Tensor

SMALLEST = 1e-6  # below this a symbol carries nothing and its form is 0


def zero_forcing(x_hat: Tensor, a: Tensor) -> Tensor:
    """x_hat / a = x + noise of variance (1 - a) / a; 0 where a = 0."""
    return x_hat / a.clamp_min(SMALLEST) * (a > SMALLEST)


def variance_preserving(x_hat: Tensor, a: Tensor) -> Tensor:
    """x_hat / sqrt(a) = sqrt(a) x + sqrt(1 - a) n, n of unit variance: a diffusion state of level 1 - a; or 0."""
    return x_hat / a.clamp_min(SMALLEST).sqrt() * (a > SMALLEST)


def noise_variance(a: Tensor) -> Tensor:
    """(1 - a) / a, the noise of the zero-forced symbol, at most 1e6."""
    return (1 - a) / a.clamp_min(SMALLEST)
