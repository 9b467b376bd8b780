"""Received latents as diffusion states, and their denoising image by image; diffusers is imported on first use."""

from __future__ import annotations

import logging
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from semlink.codecs._diffusion.levels import sound
from semlink.codecs._neural import from_symbols
from semlink.simulator import forms
from semlink.simulator.errors import SemlinkError
from semlink.simulator.values import ReceivedStream

log = logging.getLogger(__name__)


def received_states(stream: ReceivedStream, planes: int, rows: int, columns: int) -> tuple[Tensor, Tensor]:
    """States sqrt(alpha) x0 + sqrt(1 - alpha) n and their alpha, both float32 `[batch, 2 planes, rows, columns]`.

    x0 and n have unit variance per real dimension. Symbols that are not finite are treated as lost (0, alpha 0), and
    logged.
    """
    x_hat, a, bad = sound(stream)
    if bad:
        log.warning("%s: %d symbols that are not finite are treated as lost", stream.name, bad)
    states = from_symbols(2**0.5 * forms.variance_preserving(x_hat, a), planes, rows, columns)
    return states, a.reshape(-1, planes, rows, columns).repeat(1, 2, 1, 1)


def check_steps(steps: int | str) -> int | None:
    """Steps as the pipeline takes them, None for "budget". SemlinkError for anything but that and numbers from 0."""
    if steps == "budget":
        return None
    if isinstance(steps, str) or steps < 0:
        raise SemlinkError(f"steps is {steps!r}; give budget or a number, 0 for no denoising")
    return steps


def denoise_each(
    pipeline: Any,
    states: Tensor,
    alpha: Tensor,
    seed: int,
    steps: int | None = None,
    hints: Tensor | None = None,
    labels: Tensor | None = None,
    scale: float = 1.0,
) -> Tensor:
    """Clean states: each image's chain begins at the level of its own worst symbol, with noise of the same seed."""
    clean = []
    for i in range(len(states)):
        part = slice(i, i + 1)
        given = (None if hints is None else hints[part], None if labels is None else labels[part])
        generator = torch.Generator().manual_seed(seed)
        clean.append(pipeline(states[part], alpha[part], *given, steps, scale, generator).states)
    return torch.cat(clean)


@lru_cache(maxsize=4)
def denoising_pipeline(folder: Path, scheduler: str | None = None, dtype: str = "float32") -> Any:
    """The `ChannelDenoisingPipeline` of a folder, without progress bars; scheduler: a short name of `loading`."""
    from semlink.codecs._diffusion import loading
    from semlink.codecs._diffusion.denoising import ChannelDenoisingPipeline

    made = loading.load_pipeline(ChannelDenoisingPipeline, folder, dtype)
    if scheduler:
        made.scheduler = loading.scheduler_of(scheduler, made.scheduler)
    made.set_progress_bar_config(disable=True)
    return made
