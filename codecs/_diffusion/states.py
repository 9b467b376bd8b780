"""Received latents as diffusion states, and their denoising from each image's own level; diffusers comes when used."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from semlink.codecs._diffusion import loading
from semlink.codecs._diffusion.levels import alphas, step_of
from semlink.codecs._learned.codec import from_symbols
from semlink.codecs._learned.received import sound_symbols
from semlink.simulator import forms
from semlink.simulator.errors import SemlinkError
from semlink.simulator.values import ReceivedStream

log = logging.getLogger(__name__)

GREY = 0.5
PLACES_AT_ONCE = 1 << 13  # bounds the memory of a chain


def received_states(stream: ReceivedStream, planes: int, rows: int, columns: int) -> tuple[Tensor, Tensor]:
    """States sqrt(alpha) x0 + sqrt(1 - alpha) n and their alpha, both float32 `[batch, 2 planes, rows, columns]`.

    x0 and n have unit variance per real dimension. Symbols that are not finite are treated as lost (0, alpha 0), and
    logged; those that carry nothing (a up to 1e-6) are lost as well.
    """
    x_hat, a = sound_symbols(stream)
    a = torch.where(a > forms.SMALLEST, a, 0.0)
    states = from_symbols(2**0.5 * forms.variance_preserving(x_hat, a), planes, rows, columns)
    return states, a.reshape(-1, planes, rows, columns).repeat(1, 2, 1, 1)


def check_steps(steps: int | str) -> int | None:
    """Steps as the pipeline takes them, None for "budget". SemlinkError for anything but that and numbers from 0."""
    if steps == "budget":
        return None
    if not isinstance(steps, int) or steps < 0:
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
    """Clean states: each image's chain begins at the level of its own worst symbol, with noise of the same seed.

    Images of which nothing arrived (alpha 0), and those on which the network fails, stay as they are; the latter and
    SNRs beyond the schedule, whose ends hold, are logged. SemlinkError for a network of another codec or rate.
    """
    check_fit(pipeline, states.shape[1], hints, labels)
    if out := beyond(pipeline, alpha):
        log.warning("SNR of %d of %d pictures beyond the schedule's; its ends hold", out, len(states))
    clean, device = states.clone(), execution_device(pipeline)
    for part in alike(pipeline, alpha):
        given = (None if t is None else t[part].to(device) for t in (states, alpha, hints, labels))
        generator = torch.Generator().manual_seed(seed)
        found = pipeline(*given, steps, scale, generator).states.to(states.device)
        good = torch.isfinite(found).flatten(1).all(1)
        if not good.all():
            log.warning("the denoiser failed on pictures %s; their latents stay noisy", part[~good].tolist())
        clean[part[good]] = found[good]
    return clean


def alike(pipeline: Any, alpha: Tensor) -> list[Tensor]:
    """Numbers of the images whose chains begin at the same step, in parts of bounded memory; lost images in none."""
    starts = step_of(pipeline.scheduler, alpha.flatten(1).amin(1))
    starts = torch.where((alpha > 0).flatten(1).any(1), starts, -1)
    size = max(1, PLACES_AT_ONCE // alpha[0, 0].numel())
    groups = [(starts == start).nonzero()[:, 0] for start in starts.unique().tolist() if start >= 0]
    return [part for group in groups for part in group.split(size)]


def execution_device(pipeline: Any) -> torch.device | None:
    """Where a pipeline computes, also when it is offloaded; None, which leaves tensors where they are, if unknown."""
    return getattr(pipeline, "_execution_device", None)


def beyond(pipeline: Any, alpha: Tensor) -> int:
    """Number of images whose symbols, as far as they arrived, are all noisier or all cleaner than the schedule."""
    cleanest, noisiest = alphas(pipeline.scheduler)[[0, -1]].tolist()
    best, worst = alpha.flatten(1).amax(1), torch.where(alpha > 0, alpha, 1.0).flatten(1).amin(1)
    return int(((best > 0) & ((best < noisiest) | (worst > cleanest))).sum())


def check_fit(pipeline: Any, planes: int, hints: Tensor | None, labels: Tensor | None) -> None:
    """SemlinkError when the denoiser was not trained for that many planes, hints and labels."""
    config, guides = pipeline.unet.config, 0 if hints is None else hints.shape[1]
    own = config.out_channels, config.in_channels - config.out_channels, config.num_class_embeds is not None
    wanted = planes, guides, labels is not None
    if own != wanted:
        told = "a denoiser for {} planes and {} hints, labels: {}"
        raise SemlinkError(f"this is {told.format(*own)}; needed is {told.format(*wanted)}")


def shown(pictures: Tensor, alpha: Tensor) -> Tensor:
    """Pictures within [0, 1], grey where no symbol arrived."""
    arrived = (alpha > 0).flatten(1).any(1)
    if not arrived.all():
        log.warning("nothing arrived of %d of %d pictures; they are grey", int((~arrived).sum()), len(arrived))
    return torch.where(arrived[:, None, None, None], pictures.clamp(0, 1), GREY)


@dataclass(frozen=True)
class Denoiser:
    """Which `ChannelDenoisingPipeline` a codec asks, and how it is run.

    folder: of save_pretrained. scheduler: "ddim", "dpm" or "lcm" instead of its own. dtype: "float32" or "bfloat16".
    device: None for that of what is received. memory: diffusers' own options, e.g. "attention_slicing/cpu_offload".
    SemlinkError for unknown settings.
    """

    folder: Path
    scheduler: str | None = None
    dtype: str = "float32"
    device: str | None = None
    memory: str | None = None

    def __post_init__(self) -> None:
        loading.check_settings(self.scheduler, self.dtype, self.device, self.memory)

    def pipeline(self, received: torch.device) -> Any:
        """The pipeline, for what was received there, without progress bars; loaded once."""
        return _loaded(self, self.device or str(received))


@lru_cache(maxsize=4)
def _loaded(asked: Denoiser, device: str) -> Any:
    from semlink.codecs._diffusion.denoising import ChannelDenoisingPipeline

    made = loading.load_pipeline(ChannelDenoisingPipeline, asked.folder, asked.dtype)
    if asked.scheduler:
        made.scheduler = loading.scheduler_of(asked.scheduler, made.scheduler)
    made.set_progress_bar_config(disable=True)
    return loading.placed(made, device, loading.memory_options(asked.memory))
