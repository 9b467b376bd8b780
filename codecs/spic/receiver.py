"""The receiver's pipeline by name, and the pictures that it makes of what arrived."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor

from semlink.codecs._diffusion import loading
from semlink.codecs._diffusion.networks import make_scheduler
from semlink.codecs._diffusion.spade import SpadeUNet, about
from semlink.codecs._learned.weights import read_weights, rebuilt
from semlink.codecs.spic import coarse, maps
from semlink.codecs.spic.coarse import Coarse
from semlink.codecs.spic.pipeline import SpicPipeline

GREY = 0.5


@lru_cache(maxsize=2)
def pipeline_of(weights: str, scheduler: str | None, device: str) -> SpicPipeline:
    """The pipeline of a weight file or of a folder of `save_pretrained`, without progress bars, on its device.

    SemlinkError says what is wrong with it.
    """
    path = Path(weights)
    made = loading.load_pipeline(SpicPipeline, path) if path.is_dir() else from_weights(path)
    if scheduler:
        made.scheduler = loading.scheduler_of(scheduler, made.scheduler)
    made.set_progress_bar_config(disable=True)
    return loading.placed(made, device)


def from_weights(path: Path) -> SpicPipeline:
    """The pipeline of a weight file of experiments/train_spic.py, packed or not, with the schedule of its training."""
    state, settings = read_weights(path)
    network = rebuilt(SpadeUNet, settings, state, path)
    network.requires_grad_(False).to(memory_format=torch.channels_last)
    return SpicPipeline(network, make_scheduler("sample"))


def shown(
    pipeline: Any,
    known: tuple[Tensor, Sequence[Sequence[int]]] | None,
    picture: Coarse | None,
    size: tuple[int, int],
    steps: int,
    scale: float,
    seed: int,
) -> Tensor:
    """A picture `[3, H, W]` in [0, 1] of that size.

    known: the map, group numbers `[H, W]`, and its groups; None: lost. picture: the coarse one; None: lost. Of both
    lost it is grey. steps: of the chain. seed: of the noise, the same for every picture.
    """
    grown = coarse.grow(picture.picture, *size) if picture else None
    if known is None and grown is None:
        return torch.full((3, *size), GREY)
    shares = maps.shares(known[0], known[1], pipeline.unet.config.classes)[None] if known else None
    told = torch.tensor([about(picture.factor, picture.bits, *size)]) if picture else None
    found = pipeline(
        coarse=None if grown is None else grown[None],
        told=told,
        shares=shares,
        num_inference_steps=steps,
        guidance_scale=scale,
        generator=Generator().manual_seed(seed % (1 << 63)),
        output_type="pt",
    ).images[0]
    return torch.where(torch.isfinite(found), found, GREY).cpu()
