"""Sampling without a measurement, to see what a denoiser has learned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Generator, Tensor

from semlink.codecs._diffusion.levels import set_timesteps


@torch.no_grad()
def sample(network: Any, scheduler: Any, shape: Sequence[int], steps: int, generator: Generator) -> Tensor:
    """States of that shape `[batch, channels, h, w]` from pure noise."""
    x = torch.randn(*shape, generator=generator)
    for step in set_timesteps(scheduler, scheduler.config.num_train_timesteps - 1, steps):
        x = scheduler.step(network(x, torch.full((len(x),), step)).sample, step, x).prev_sample
    return x


def contact_sheet(pictures: Tensor, columns: int) -> Any:
    """Pictures `[n, 3, H, W]` in [0, 1] side by side in rows, as a PIL image."""
    from PIL import Image

    n, _, height, width = pictures.shape
    rows = -(-n // columns)
    sheet = pictures.new_ones(rows * columns, 3, height, width)
    sheet[:n] = pictures.clamp(0, 1)
    sheet = sheet.reshape(rows, columns, 3, height, width).permute(0, 3, 1, 4, 2).reshape(rows * height, -1, 3)
    return Image.fromarray((255 * sheet).round().to(torch.uint8).numpy())
