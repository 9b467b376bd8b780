"""Training of the receiver's network: noise of the levels that it meets, and what eyes and segmenters see of x0.

Beside the squared error of x0, weighted to unit variance at each level, the loss has LPIPS of x0 and the cross entropy
of the transmitter's segmenter on x0 against the annotation; what scores in experiments has no part in it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from semlink.codecs._diffusion.levels import alphas
from semlink.codecs._diffusion.networks import make_scheduler
from semlink.codecs._diffusion.spade import SPREAD, SpadeUNet
from semlink.codecs._regions import unet
from semlink.codecs._regions.unet_training import class_weights
from semlink.codecs.spic.examples import Batch, Street
from semlink.codecs.spic.pipeline import START, SpicPipeline
from semlink.simulator.metrics.lpips import lpips_loss
from semlink.simulator.training.run import Budget, Run, save_weights, step_generator

EVER = 0.1  # share of such examples at any step
LOOKED_AT = 0.5  # share of a batch that LPIPS and segmenter see
PERCEPTUAL, SEMANTIC = 1.0, 0.15  # weights
HELD, HELD_CROP = 24, 192


class SpicRun(Run):
    """A training run; validation: scenes for the curve. crop: side of the crops in px."""

    def __init__(
        self, network: SpadeUNet, street: Street, validation: Street, crop: int, budget: Budget, folder: Path
    ) -> None:
        super().__init__(network, budget, folder)
        self.street, self.crop = street, crop
        self.alphas = alphas(make_scheduler("sample")).float()
        self.weights = class_weights(street.frames.labels, len(unet.CLASSES))
        self.held = validation.draw(HELD, HELD_CROP, step_generator(budget.seed, -2, "cpu"))

    def batch_loss(self, generator: Generator) -> Tensor:
        """The loss of random crops at random levels."""
        batch = self.street.draw(self.budget.batch, self.crop, generator)
        alpha = self.alphas[steps_of(batch.told, len(self.alphas), generator)]
        noise = torch.randn(batch.pictures.shape, generator=generator)
        found, error = answer(self.network, batch, alpha, noise)
        looked = slice(0, max(1, round(LOOKED_AT * len(found))))
        guess, picture = found[looked] / 2 + 0.5, batch.pictures[looked] / 2 + 0.5
        seen = unet.load()(guess.clamp(0, 1))
        semantic = F.cross_entropy(seen, batch.truth[looked], self.weights, ignore_index=len(unet.CLASSES))
        return error.mean() + PERCEPTUAL * lpips_loss(guess, picture, "alex").mean() + SEMANTIC * semantic

    @torch.no_grad()
    def levels(self, quick: bool) -> Mapping[str, float]:
        """Weighted error, LPIPS and pixels that the transmitter's segmenter reads as annotated, of one step from START
        with a coarse picture, and of the pure noise of the last step without."""
        noise = torch.randn(self.held.pictures.shape, generator=step_generator(self.budget.seed, -3, "cpu"))
        there = self.held.told[:, 0] > 0
        alpha = torch.where(there, self.alphas[START], self.alphas[-1])
        found, error = answer(self.average, self.held, alpha, noise)
        eyes = lpips_loss((found / 2 + 0.5).clamp(0, 1), self.held.pictures / 2 + 0.5, "alex")
        plain = lpips_loss(self.held.coarse / 2 + 0.5, self.held.pictures / 2 + 0.5, "alex")
        counted = self.held.truth < len(unet.CLASSES)
        right = (unet.load()((found / 2 + 0.5).clamp(0, 1)).argmax(1) == self.held.truth)[counted].float()
        return {
            "error": float(error[there].mean()),
            "error_map_alone": float(error[~there].mean()),
            "lpips": float(eyes[there].mean()),
            "lpips_map_alone": float(eyes[~there].mean()),
            "lpips_of_coarse": float(plain[there].mean()),
            "pixels_right": float(right.mean()),
        }

    def write_weights(self) -> None:
        """Leave the averaged network in the folder."""
        self.average.settings = settings_of(self.average)
        save_weights(self.average, self.folder / "weights.safetensors", {"recipe": json.dumps(asdict(self.budget))})


def settings_of(network: SpadeUNet) -> dict[str, object]:
    """What rebuilds a network."""
    return {name: network.config[name] for name in ("classes", "patch", "widths", "map_width")}


def steps_of(told: Tensor, total: int, generator: Generator) -> Tensor:
    """Random steps `[batch]`: up to START where there is a coarse picture, mostly, and any where there is none."""
    draws = torch.rand(2, len(told), generator=generator)
    most = torch.where((told[:, 0] > 0) & (draws[1] > EVER), START + 1, total)
    return (draws[0] * most).long().clamp_max(total - 1)


def answer(network: SpadeUNet, batch: Batch, alpha: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """The network's x0 `[batch, 3, H, W]` of pictures at levels alpha `[batch]`, and its error, weighted, `[batch]`."""
    share = alpha[:, None, None, None]
    state = share.sqrt() * batch.pictures + (1 - share).sqrt() * noise
    found = network(state, alpha, batch.coarse, batch.told, batch.shares)
    sigma = ((1 - alpha) / alpha).sqrt()
    spread = torch.where(batch.told[:, 0] > 0, SPREAD[1], SPREAD[0])
    weight = (sigma.square() + spread**2) / (sigma * spread).square()
    return found, weight * (found - batch.pictures).square().mean((1, 2, 3))


@torch.no_grad()
def samples(network: SpadeUNet, held: Batch) -> Tensor:
    """Six each: pictures, coarse ones, what comes of these with and without map, and of the map alone; in [0, 1]."""
    pipeline = SpicPipeline(network, make_scheduler("sample"))
    pipeline.set_progress_bar_config(disable=True)
    chosen = torch.nonzero((held.told[:, 0] > 0) & (held.shares.sum((1, 2, 3)) > 0))[:6, 0]
    coarse, told, shares = held.coarse[chosen] / 2 + 0.5, held.told[chosen], held.shares[chosen]
    inputs = ((coarse, told, shares), (coarse, told, None), (None, None, shares))
    made = [pipeline(c, t, s, output_type="pt").images for c, t, s in inputs]
    return torch.cat([held.pictures[chosen] / 2 + 0.5, coarse, *made])
