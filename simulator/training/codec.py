"""Training of learned codecs through a channel at mixed SNRs.

Runs without TensorFlow when the channel does (`surrogate`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from semlink.simulator.errors import SemlinkError
from semlink.simulator.training.channels import Channel, Surrogate
from semlink.simulator.training.pictures import random_batch
from semlink.simulator.training.quality import mean_psnr
from semlink.simulator.training.run import Budget, Run, has_fast_bfloat16, step_generator
from semlink.simulator.values import ReceivedStream, Reception, TxInfo

LEVELS_DB = (1.0, 4.0, 7.0, 10.0)  # SNRs over AWGN at which the curve tells the PSNR


@dataclass(frozen=True)
class Recipe(Budget):
    """How to train a codec, besides the budget.

    crop: side of the random training crops in px. snr_db: range of the uniform SNR. loss: "log_mse" follows the mean
    PSNR over images, "mse" the PSNR of the mean error; a codec that has a `loss(received, images)` of its own uses
    that. rates: range of rho from which each step draws one, uniform in its logarithm, for a codec that has several
    (`at(rho)`); None: the codec's own. cut: share of pictures of which only a prefix of the symbols arrives.
    """

    crop: int = 32
    snr_db: tuple[float, float] = (-3.0, 16.0)
    loss: str = "log_mse"
    rates: tuple[float, float] | None = None
    cut: float = 0.0

    def __post_init__(self) -> None:
        """SemlinkError for an unknown loss."""
        if self.loss not in LOSSES:
            raise SemlinkError(f"unknown loss {self.loss!r}; known: {', '.join(LOSSES)}")


class Trainer(Run):
    """A training run of a codec's `network` in `folder`."""

    def __init__(
        self, codec: Any, network: nn.Module, channel: Channel, recipe: Recipe, folder: Path, device: str = "cpu"
    ) -> None:
        super().__init__(network, recipe, folder, device)
        self.codec, self.channel, self.recipe = codec, channel, recipe
        self.sets: list[tuple[Sequence[Tensor], int]] = []
        self.held_out = torch.empty(0)
        codec.use(self.network)

    def run(self, pictures: Sequence[Tensor], validation: Tensor, small: Sequence[Tensor] = ()) -> dict[float, float]:
        """Train on uint8 pictures `[3, H, W]` until the budget is spent; PSNR by SNR on `validation` in [0, 1].

        small: pictures below the crop, which half of the steps take, in batches of as many pixels.
        """
        self.sets, self.held_out = [(pictures, self.recipe.crop)], validation
        if small:
            self.sets.append((small, min(min(picture.shape[1:]) for picture in small)))
        self.spend()
        levels = self.validate(validation)
        self.save(named(levels))
        return levels

    def batch_loss(self, generator: Generator) -> Tensor:
        """The loss of random crops that went over the channel at random SNRs."""
        recipe = self.recipe
        images = self.batch(generator).to(self.device)
        low, high = recipe.snr_db
        snr_db = low + (high - low) * torch.rand(len(images), generator=generator, device=self.device)
        with torch.autocast(self.device, torch.bfloat16, enabled=has_fast_bfloat16(self.device)):
            codec = self.codec_of_step(generator)
            sent = self.channel(codec.encode(images, TxInfo(snr_db=snr_db)), snr_db, generator)
            received = codec.decode(cut_tails(sent, recipe.cut, generator))
        return self.loss(received.float(), images)

    def batch(self, generator: Generator) -> Tensor:
        """Random crops from one of the sets."""
        chosen = 0
        if len(self.sets) > 1:
            chosen = int(torch.randint(len(self.sets), (), generator=generator, device=self.device))
        pictures, crop = self.sets[chosen]
        return random_batch(pictures, round(self.recipe.batch * (self.recipe.crop / crop) ** 2), crop, generator)

    def codec_of_step(self, generator: Generator) -> Any:
        """The codec at the rate of one step."""
        if self.recipe.rates is None:
            return self.codec
        low, high = (math.log2(self.codec.at(rho).planes) for rho in self.recipe.rates)
        draw = torch.rand((), generator=generator, device=self.device).item()
        return self.codec.at(round(2 ** (low + (high - low) * draw)) / (3 * self.codec.cell**2))

    def loss(self, received: Tensor, images: Tensor) -> Tensor:
        """The codec's own loss where it has one, else the recipe's."""
        own: Callable[[Tensor, Tensor], Tensor] | None = getattr(self.codec, "loss", None)
        return (own or LOSSES[self.recipe.loss])(received, images)

    def levels(self, quick: bool) -> Mapping[str, float]:
        """PSNR by SNR as columns of the curve."""
        return named(self.validate(self.held_out[:256] if quick else self.held_out))

    def validate(self, images: Tensor) -> dict[float, float]:
        """Mean per-image PSNR of the averaged network over AWGN at 1, 4, 7 and 10 dB, whatever it is trained on."""
        awgn = Surrogate(per_image=0.0, per_symbol=0.0, lost=0.0)
        self.codec.use(self.average)
        levels, images = {}, images.to(self.device)
        for snr in LEVELS_DB:
            snr_db = torch.full((len(images),), snr, device=self.device)
            same = step_generator(self.recipe.seed, -1, self.device)
            levels[snr] = mean_psnr(self.codec, awgn, images, snr_db, same)
        self.codec.use(self.network)
        return levels


def cut_tails(reception: Reception, share: float, generator: Generator) -> Reception:
    """Nothing (x_hat = a = 0) past a random symbol of the analog streams of a share of the pictures."""
    if not share:
        return reception
    streams = tuple(s if s.x_hat is None else _cut_tail(s, share, generator) for s in reception.streams)
    return replace(reception, streams=streams)


def _cut_tail(stream: ReceivedStream, share: float, generator: Generator) -> ReceivedStream:
    x_hat, a = cast(Tensor, stream.x_hat), cast(Tensor, stream.a)
    batch, k = a.shape
    draws = torch.rand(2, batch, 1, generator=generator, device=a.device)
    came = torch.arange(k, device=a.device) < torch.where(draws[0] < share, draws[1] * k, k)
    return replace(stream, x_hat=x_hat * came, a=a * came)


def named(levels: Mapping[float, float]) -> dict[str, float]:
    """PSNR by SNR under the names of the curve's columns."""
    return {f"psnr_{snr:g}dB": level for snr, level in levels.items()}


def log_mse(received: Tensor, images: Tensor) -> Tensor:
    """Mean over images of log(MSE + 1e-4): the slope of the mean PSNR, flattened above 40 dB."""
    return (F.mse_loss(received, images, reduction="none").mean((1, 2, 3)) + 1e-4).log().mean()


LOSSES = {"log_mse": log_mse, "mse": lambda received, images: 255**2 * F.mse_loss(received, images)}
