"""Runs of `training` for both kinds of denoisers: of pictures, whose pixels become channels, and of a latent."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from semlink.codecs._diffusion import loading
from semlink.codecs._diffusion.denoising import ChannelDenoisingPipeline
from semlink.codecs._diffusion.guides import TAGS
from semlink.codecs._diffusion.networks import make_scheduler, make_unet
from semlink.codecs._diffusion.range_null import RangeNullPipeline, RangeNullScheduler
from semlink.codecs._diffusion.sampling import sample
from semlink.codecs._diffusion.training import DenoiserRun, Examples
from semlink.codecs._learned.weights import fit_weights
from semlink.simulator.errors import SemlinkError
from semlink.simulator.training.pictures import random_batch
from semlink.simulator.training.run import Budget, step_generator

HELD_OUT = 128  # pictures that the curve is about
SAMPLES, SAMPLE_STEPS = 32, 50

Source = Callable[[Tensor, Generator], Examples]


class CodecWithExamples(Protocol):
    """A codec on whose latent a denoiser can be trained."""

    def network(self, height: int, width: int) -> Any:
        """The network for pictures of that size."""

    def examples(self, images: Tensor, generator: Generator) -> Examples:
        """Clean states of pictures `[batch, 3, H, W]` in [0, 1], with what guides the denoiser."""


@dataclass(frozen=True)
class Shape:
    """crop: side of the training crops in px. patch: a prior sees patch x patch pixels as channels of one place.

    widths: features per level of the U-Net, each of half the resolution of the one before.
    """

    crop: int
    patch: int
    widths: tuple[int, ...]

    def check(self) -> None:
        """SemlinkError for sizes that do not fit each other."""
        unit = self.patch * 2 ** (len(self.widths) - 1)
        if not self.widths or any(width % 32 for width in self.widths):
            raise SemlinkError(f"--widths {' '.join(map(str, self.widths))}: give multiples of 32")
        if self.crop % unit:
            raise SemlinkError(f"--crop {self.crop} is no multiple of {unit}, what patch and widths need")


def make_run(
    source: Source,
    shape: Shape,
    pictures: Sequence[Tensor],
    held_out: Tensor,
    write: Callable[[Any, Path], None],
    budget: Budget,
    folder: Path,
    device: str = "cpu",
    emphasis: float = 1.0,
    init: Path | None = None,
) -> DenoiserRun:
    """The training run on what `source` makes of uint8 pictures `[3, H, W]`.

    held_out: crops `[n, 3, crop, crop]` in [0, 1]. init: folder of a pipeline whose network is the start.
    """
    held = source(held_out[:HELD_OUT].to(device), step_generator(budget.seed, -2, device))
    network = network_for(held, shape.widths)
    if init:
        start_from(network, init)

    def draw(generator: Generator) -> Examples:
        return source(random_batch(pictures, budget.batch, shape.crop, generator).to(device), generator)

    return DenoiserRun(network, make_scheduler(), draw, held, write, budget, folder, device, emphasis)


def start_from(network: Any, folder: Path) -> None:
    """Give a network the weights of that of a pipeline's folder. SemlinkError for a folder without, or of another."""
    fit_weights(network, loading.load_model(type(network), folder, subfolder="unet").state_dict(), folder)


def network_for(examples: Examples, widths: tuple[int, ...]) -> Any:
    """A U-Net with random weights for states, hints and labels like these."""
    planes, side = examples.x0.shape[1:3]
    hints = 0 if examples.hints is None else examples.hints.shape[1]
    return make_unet(planes, widths, hints, 0 if examples.labels is None else TAGS, side)


def pixels(patch: int) -> Source:
    """What makes states in [-1, 1] of pictures `[batch, 3, H, W]`, patch x patch pixels a place."""
    return lambda images, generator: Examples(F.pixel_unshuffle(2 * images - 1, patch))


def latent_of(codec: CodecWithExamples, crop: int, device: str) -> Source:
    """What makes examples of pictures by a codec, whose network for crops moves to the device."""
    codec.network(crop, crop).to(device)
    return codec.examples


def write_prior(patch: int, network: Any, folder: Path) -> None:
    """A network of `pixels` as a pipeline that `ddnm` loads, in half precision."""
    scheduler = RangeNullScheduler.from_config(make_scheduler().config)
    RangeNullPipeline(_half(network), scheduler, patch=patch).save_pretrained(folder / "pipeline")


def write_denoiser(network: Any, folder: Path) -> None:
    """A network of `latent_of` as a pipeline that codecs load as their denoiser, in half precision."""
    ChannelDenoisingPipeline(_half(network), make_scheduler()).save_pretrained(folder / "pipeline")


def _half(network: Any) -> Any:
    """A copy of the network in float16; diffusers' own `to` warns of nothing."""
    return torch.nn.Module.to(copy.deepcopy(network), "cpu", torch.float16)


def samples(network: Any, shape: Shape, seed: int) -> Tensor:
    """32 unconditional samples of a prior in 50 steps, `[32, 3, crop, crop]` in [0, 1]."""
    side = shape.crop // shape.patch
    states = SAMPLES, 3 * shape.patch**2, side, side
    found = sample(network.cpu(), make_scheduler(), states, SAMPLE_STEPS, torch.Generator().manual_seed(seed))
    return (F.pixel_shuffle(found, shape.patch) / 2 + 0.5).clamp(0, 1)
