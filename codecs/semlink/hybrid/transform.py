"""The transform of residuals: an orthonormal DCT of 8x8 cells along three orthogonal colour axes.

Axes: R + G + B, 2 G - R - B, R - B, those of the image coder (`hevc`), so that its blocks and ours are aligned.
"""

from __future__ import annotations

import math
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

CELL = 8
COEFFICIENTS = 3 * CELL**2  # of a cell


@cache
def basis(dtype: torch.dtype) -> Tensor:
    """Orthonormal `[192, 192]`: rows (colour, vertical, horizontal frequency), columns as in `pixel_unshuffle`."""
    axes = torch.tensor([[1.0, 1, 1], [-1, 2, -1], [1, 0, -1]], dtype=torch.float64)
    place = torch.arange(CELL, dtype=torch.float64)
    dct = torch.cos(math.pi * (place + 0.5) * place[:, None] / CELL) * math.sqrt(2 / CELL)
    dct[0] /= math.sqrt(2)
    colour = axes / axes.norm(dim=1, keepdim=True)
    return torch.kron(colour, torch.kron(dct, dct)).to(dtype)


def forward(pictures: Tensor) -> Tensor:
    """Coefficients `[batch, 192, H / 8, W / 8]` of pictures `[batch, 3, H, W]`, in their dtype."""
    with torch.autocast(pictures.device.type, enabled=False):
        return F.conv2d(F.pixel_unshuffle(pictures, CELL), _kernel(pictures, inverse=False))


def inverse(coefficients: Tensor) -> Tensor:
    """Pictures `[batch, 3, H, W]` of coefficients."""
    with torch.autocast(coefficients.device.type, enabled=False):
        return F.pixel_shuffle(F.conv2d(coefficients, _kernel(coefficients, inverse=True)), CELL)


def _kernel(like: Tensor, inverse: bool) -> Tensor:
    matrix = basis(like.dtype).to(like.device)
    return (matrix.T if inverse else matrix).contiguous()[:, :, None, None]
