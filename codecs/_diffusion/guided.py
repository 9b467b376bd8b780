"""Latents denoised picture by picture, each with hints of its own."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

log = logging.getLogger(__name__)

Hint = tuple[str, Tensor | None]  # prompt, and edges as a picture [1, 3, H, W]


def each(
    pipeline: Any,
    states: Tensor,
    alpha: Tensor,
    hints: Sequence[Hint],
    public_seed: int,
    settings: dict[str, Any],
) -> Tensor:
    """Clean latents by a `LatentReceiverPipeline`, picture by picture. hints: prompt and edges of each."""
    clean = []
    for i, (prompt, edges) in enumerate(hints):
        part, generator = slice(i, i + 1), torch.Generator().manual_seed(public_seed % (1 << 63))
        found = pipeline(
            states[part], alpha[part], prompt, edges, generator=generator, output_type="latent", **settings
        )
        clean.append(found.images)
    return torch.cat(clean)


def finite(found: Tensor, name: str) -> Tensor:
    """Which of the latents that a model found are finite, bool `[batch, 1, 1, 1]`; the others are logged."""
    good = torch.isfinite(found).all(dim=3).all(dim=2).all(dim=1)
    if not good.all():
        log.warning("%s: the model failed on %d of %d latents; not denoised", name, (~good).sum(), len(good))
    return good[:, None, None, None]
