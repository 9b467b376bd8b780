"""Training of denoisers: the network learns to undo noise of every level of a scheduler, conditions given or not.

Ho et al., "Denoising Diffusion Probabilistic Models", 2020; targets after Salimans and Ho, 2022 (`prediction_type`).
Runs without TensorFlow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor

from semlink.codecs._diffusion.levels import alphas, predicted_sample, wanted_output
from semlink.simulator.training.run import Budget, Run, has_fast_bfloat16, step_generator

LEVELS = (0.9, 0.6, 0.3, 0.1)  # alpha at which the curve tells the error of x0


@dataclass(frozen=True)
class Examples:
    """What a step learns from.

    x0: clean states `[batch, channels, h, w]` in the network's units; hints: planes `[batch, planes, h, w]` that the
    network sees beside the noisy state; labels: class of each, int64 `[batch]`. Hints and labels may be None.
    """

    x0: Tensor
    hints: Tensor | None = None
    labels: Tensor | None = None


Draw = Callable[[Generator], Examples]


class DenoiserRun(Run):
    """A run for a diffusers `UNet2DModel` (or what is called like one) under `scheduler`.

    draw: examples of a step from its generator; held_out: examples for the curve, the error of x0 in dB by alpha.
    write: leaves the averaged network in the folder. emphasis: levels are drawn as steps * u^emphasis, u uniform; above
    1 the cleaner ones come more often, which is where the noise of channels lies.
    """

    def __init__(
        self,
        network: Any,
        scheduler: Any,
        draw: Draw,
        held_out: Examples,
        write: Callable[[Any, Path], None],
        budget: Budget,
        folder: Path,
        device: str = "cpu",
        emphasis: float = 1.0,
    ) -> None:
        super().__init__(network, budget, folder, device)
        self.emphasis = emphasis
        self.draw, self.held_out, self.write = draw, held_out, write
        self.alphas = alphas(scheduler).float().to(device)
        self.kind = scheduler.config.prediction_type

    def batch_loss(self, generator: Generator) -> Tensor:
        """Mean squared error of what the network is to answer, at steps that cover the schedule."""
        examples = self.draw(generator)
        x0 = examples.x0.to(self.device)
        offset = torch.rand((), generator=generator, device=self.device)
        share = (torch.arange(len(x0), device=self.device) + offset) / len(x0)  # stratified: less noise in the loss
        steps = (share**self.emphasis * len(self.alphas)).long()
        noise = torch.randn(x0.shape, generator=generator, device=self.device)
        alpha = self.alphas[steps][:, None, None, None]
        noisy = alpha.sqrt() * x0 + (1 - alpha).sqrt() * noise
        with torch.autocast(self.device, torch.bfloat16, enabled=has_fast_bfloat16(self.device)):
            output = answer(self.network, noisy, steps, examples)
        wanted = wanted_output(x0, noise, alpha, self.kind)
        return (output.float() - wanted).square().mean()

    @torch.no_grad()
    def levels(self, quick: bool) -> Mapping[str, float]:
        """Error of x0 against its power in dB at each of LEVELS, on the held-out examples."""
        x0 = self.held_out.x0.to(self.device)
        noise = torch.randn(x0.shape, generator=step_generator(self.budget.seed, -1, self.device), device=self.device)
        found = {}
        for level in LEVELS:
            step = int((self.alphas - level).abs().argmin())
            alpha = self.alphas[step]
            noisy = alpha.sqrt() * x0 + (1 - alpha).sqrt() * noise
            steps = torch.full((len(x0),), step, device=self.device)
            output = answer(self.average, noisy, steps, self.held_out)
            error = predicted_sample(output, noisy, alpha, self.kind) - x0
            found[f"error_db_at_{level:g}"] = float(10 * (error.square().mean() / x0.square().mean()).log10())
        return found

    def write_weights(self) -> None:
        self.write(self.average, self.folder)


def answer(network: Any, noisy: Tensor, steps: Tensor, examples: Examples) -> Tensor:
    """A network's output for noisy states with the examples' hints and labels."""
    hints, labels = examples.hints, examples.labels
    seen = noisy if hints is None else torch.cat([noisy, hints.to(noisy)], 1)
    if labels is None:
        return network(seen, steps).sample
    return network(seen, steps, class_labels=labels.to(noisy.device)).sample
