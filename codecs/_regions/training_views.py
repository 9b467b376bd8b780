"""Frames of a street as if seen from elsewhere, in other light: what the U-Net is trained on."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from semlink.codecs._regions.classes import CLASSES


def augmented_batch(pictures: Tensor, labels: Tensor, batch: int, generator: Generator) -> tuple[Tensor, Tensor]:
    """Random frames, zoomed, shifted, turned a little, half of them mirrored, with other colours.

    Pictures come as float32 `[batch, 3, H, W]` in [0, 1], labels as int64; places outside the frame are ignored.
    """
    chosen = torch.randint(len(pictures), (batch,), generator=generator)
    x, y = pictures[chosen].float() / 255, labels[chosen]
    grid = F.affine_grid(random_views(batch, x.shape[2] / x.shape[3], generator), list(x.shape), align_corners=False)
    x = F.grid_sample(x, grid, "bilinear", "reflection", align_corners=False)
    # Shifted by one, so that class 0 differs from what is sampled outside.
    y = F.grid_sample((y + 1.0)[:, None], grid, "nearest", "zeros", align_corners=False)[:, 0].long() - 1
    return random_colours(x, generator), torch.where(y < 0, len(CLASSES), y)


def random_views(batch: int, aspect: float, generator: Generator) -> Tensor:
    """Affine maps `[batch, 2, 3]` for `affine_grid`: window of 0.5 to 1.25 of the frame, turned by up to 6 degrees."""
    draws = torch.rand(5, batch, generator=generator)
    scale = 0.5 * 2.5 ** draws[0]
    angle = math.radians(6) * (2 * draws[1] - 1)
    room = (1 - scale).abs()
    right, down = room * (2 * draws[2] - 1), room * (2 * draws[3] - 1)
    mirror = torch.where(draws[4] < 0.5, -1.0, 1.0)
    cosine, sine = scale * angle.cos(), scale * angle.sin()
    rows = (mirror * cosine, -sine * aspect, right, mirror * sine / aspect, cosine, down)
    return torch.stack(rows, dim=1).reshape(batch, 2, 3)


def random_colours(x: Tensor, generator: Generator) -> Tensor:
    """Other brightness, contrast, saturation, gamma and white balance for each picture; values stay in [0, 1]."""
    draws = 2 * torch.rand(7, len(x), 1, 1, 1, generator=generator) - 1
    x = x ** torch.exp(0.3 * draws[0])
    grey = x.mean(1, keepdim=True)
    x = grey + (x - grey) * (1 + 0.4 * draws[1])
    x = x * torch.cat([1 + 0.12 * d for d in draws[4:7]], dim=1)
    middle = x.mean((1, 2, 3), keepdim=True)
    return (middle + (x - middle) * (1 + 0.3 * draws[2]) + 0.12 * draws[3]).clamp(0, 1)
