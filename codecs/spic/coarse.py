"""The coarse picture: means of factor x factor pixels, coded like any picture, and grown again by the receiver."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

FACTORS = (2, 3, 4, 6, 8, 12)  # by which the sides of a coarse picture are smaller


def size_at(height: int, width: int, factor: int) -> tuple[int, int]:
    """Height and width of the coarse picture, whole pixels."""
    return -(-height // factor), -(-width // factor)


def shrink(image: Tensor, factor: int) -> np.ndarray:
    """The coarse picture, uint8 `[h, w, 3]`, of a picture `[3, H, W]` in [0, 1]; each pixel a mean over its area."""
    small = F.interpolate(image[None].float(), size=size_at(*image.shape[1:], factor), mode="area")[0]
    return (255 * small.clamp(0, 1)).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()


def grow(small: np.ndarray, height: int, width: int) -> Tensor:
    """A coarse picture uint8 `[h, w, 3]` at full size by bicubic interpolation, `[3, height, width]` in [0, 1]."""
    picture = torch.from_numpy(small).permute(2, 0, 1)[None].float() / 255
    return F.interpolate(picture, size=(height, width), mode="bicubic", align_corners=False)[0].clamp(0, 1)
