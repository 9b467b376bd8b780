"""Training of hybrid coding: what a coded base looked like, and a better picture from its residual.

A step takes crops of pairs, draws SNRs and a rate, sends the residuals over a channel and compares what comes with the
pictures. Half of the steps take thumbnails, where there are any.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Generator, Tensor

from semlink.codecs.semlink.hybrid.coding import allocation_of, expect, receive
from semlink.codecs.semlink.hybrid.networks import HybridNetwork
from semlink.codecs.semlink.hybrid.training_pairs import Crops, Split, central_crops, random_crops
from semlink.simulator.metrics.psnr import psnr
from semlink.simulator.training.channels import Channel, Surrogate
from semlink.simulator.training.run import Budget, Run, has_fast_bfloat16
from semlink.simulator.values import Stream, Transmission

NLL, EXPECTED = 0.05, 0.3  # weights of the spread's likelihood and of the expected picture's error in the loss
FLOOR = 1e-5  # of errors in the loss: flattens it above 50 dB
VALIDATION = ((1.0, 1 / 24), (10.0, 1 / 24), (10.0, 1 / 6))  # SNR in dB and rate of the analog symbols
LARGE_SIDE, SMALL_SIDE = 128, 32  # px: sides of the crops that the curve is about; also of thumbnails in training
MORE_SMALL = 16  # times as many thumbnails as photographs in a step
QUICK, WHOLE = 24, 96  # pictures of a kind that a point of the curve is about, or few more


@dataclass(frozen=True)
class StepSettings:
    """What a step draws.

    groups: pictures, of each of which `per_group` crops of `crop` px share the symbols; of thumbnails 16 times as many.
    snr_db: range of each picture's SNR. rates: range of analog channel uses per source dimension, uniform in the
    logarithm.
    """

    groups: int = 8
    per_group: int = 4
    crop: int = 64
    snr_db: tuple[float, float] = (-3.0, 20.0)
    rates: tuple[float, float] = (1 / 192, 1 / 3)


class HybridRun(Run):
    """A training run of the networks.

    settings: of each step. photographs, thumbnails: pairs; without thumbnails all steps take photographs. channel: what
    the residuals meet.
    """

    def __init__(
        self,
        network: HybridNetwork,
        settings: StepSettings,
        photographs: Split,
        thumbnails: Split,
        channel: Channel,
        budget: Budget,
        folder: Path,
        device: str = "cpu",
    ) -> None:
        super().__init__(network, budget, folder, device)
        self.settings, self.channel = settings, channel
        self.photographs, self.thumbnails = photographs, thumbnails

    def batch_loss(self, generator: Generator) -> Tensor:
        """The loss of random crops at random SNRs and a random rate."""
        small = bool(self.thumbnails.train) and self.step % 2 == 1
        groups, per_group, side = self.sizes(small)
        pairs = self.thumbnails.train if small else self.photographs.train
        crops = random_crops(pairs, groups, per_group, side, small, generator).to(self.device)
        draws = torch.rand(1 + groups, generator=generator, device=self.device)
        low, high = (math.log(rate) for rate in self.settings.rates)
        count = even(math.exp(low + (high - low) * draws[0].item()), crops.pictures[0].numel() * per_group)
        low, high = self.settings.snr_db
        snr_db = low + (high - low) * draws[1:]
        with torch.autocast(self.device, torch.bfloat16, enabled=has_fast_bfloat16(self.device)):
            received, expected, likelihood = passed(self.network, crops, snr_db, count, self.channel, generator)
        final, before = (log_error(p, crops.pictures, groups) for p in (received, expected))
        return final + EXPECTED * before + NLL * likelihood

    def sizes(self, small: bool) -> tuple[int, int, int]:
        """Groups of a step, crops of each, and their side; small: of thumbnails."""
        own = self.settings
        return (own.groups * MORE_SMALL, 1, SMALL_SIDE) if small else (own.groups, own.per_group, own.crop)

    @torch.no_grad()
    def levels(self, quick: bool) -> dict[str, float]:
        """PSNR over AWGN of held-out photographs and thumbnails at each of VALIDATION."""
        found = {}
        kinds = (("", self.photographs.held_out, LARGE_SIDE), ("small_", self.thumbnails.held_out, SMALL_SIDE))
        for name, held, side in (kind for kind in kinds if kind[1]):
            chosen = held[:: max(1, len(held) // (QUICK if quick else WHOLE))]
            crops = central_crops(chosen, side).to(self.device)
            for snr, rate in VALIDATION:
                level = mean_psnr(self.average, crops, snr, rate, self.budget.seed)
                found[f"{name}psnr_{snr:g}dB_1/{1 / rate:.0f}"] = level
        return found


def even(rate: float, dimensions: int) -> int:
    """Real dimensions, an even number, of `rate` channel uses per source dimension."""
    return 2 * max(1, round(rate * dimensions))


def passed(
    network: HybridNetwork, crops: Crops, snr_db: Tensor, count: int, channel: Channel, generator: Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Received pictures, expected pictures, and the negative log-likelihood of the residual under the spread.

    Each of the groups of crops that snr_db `[groups]` makes sends `count` real dimensions.
    """
    expected = expect(network, crops.base, crops.bpp, crops.small)
    residual = expected.residual(crops.pictures)
    allocation = allocation_of(expected, count, snr_db)
    flat = residual.reshape(len(snr_db), -1)
    sent = Transmission((Stream("residual", "analog", allocation.symbols(flat)),))
    stream = channel(sent, snr_db, generator).streams[0]
    scale = allocation.scale(flat).detach()
    received = receive(network, expected, allocation, cast(Tensor, stream.x_hat), cast(Tensor, stream.a), scale)
    error = residual.detach().square() * (-2 * expected.log_sigma).exp()
    return received, expected.picture, (error / 2 + expected.log_sigma).mean()


def log_error(received: Tensor, pictures: Tensor, groups: int) -> Tensor:
    """Mean over groups of the logarithm of the squared error."""
    return ((received - pictures).square().reshape(groups, -1).mean(1) + FLOOR).log().mean()


def mean_psnr(network: HybridNetwork, crops: Crops, snr: float, rate: float, seed: int) -> float:
    """Mean PSNR of crops in dB over AWGN, `rate` analog channel uses per source dimension."""
    snr_db, awgn = torch.full_like(crops.bpp, snr), Surrogate(0.0, 0.0, 0.0)
    generator = torch.Generator(crops.bpp.device).manual_seed(seed)
    received, _, _ = passed(network, crops, snr_db, even(rate, crops.pictures[0].numel()), awgn, generator)
    return float(psnr(crops.pictures, received.clamp(0, 1)).mean())
