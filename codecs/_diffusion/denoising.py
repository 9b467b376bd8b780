"""Channel noise as diffusion noise: equalised symbols in variance-preserving form are denoised from their own level.

After SGD-JSCC (arXiv 2501.01138, "water filling" over steps) and CDDM (arXiv 2309.08895). An element of level
b = 1 - a waits until the chain has come down to it: before, the network sees it with as much noise added as the common
level needs, and only steps at or below its own level change it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import DDIMScheduler, DiffusionPipeline
from diffusers.utils import BaseOutput
from torch import Generator, Tensor

from semlink.codecs._diffusion.levels import alphas, as_sampler, predicted_sample, set_timesteps, step_of

Predict = Callable[[Tensor, int, Tensor], Tensor]

MOST, LEAST = 50, 4  # steps; SGD-JSCC takes 50 whatever the level


@dataclass
class DenoisedStates(BaseOutput):
    """states: clean states `[batch, channels, h, w]`, or those given where it took no step. steps: of the chain."""

    states: Tensor
    steps: int


class ChannelDenoisingPipeline(DiffusionPipeline):
    """unet: a `UNet2DModel` for states of unit variance, beside hints where it was trained with some.

    scheduler: any that `levels.set_timesteps` knows; its alphas are those of the training.
    """

    model_cpu_offload_seq = "unet"

    def __init__(self, unet: Any, scheduler: Any) -> None:
        super().__init__()
        self.register_modules(unet=unet, scheduler=scheduler)

    @property
    def unit(self) -> int:
        """What height and width of the network's input must be multiples of; states of other sizes are padded."""
        return 2 ** (len(getattr(self.unet.config, "block_out_channels", (1,))) - 1)

    @torch.no_grad()
    def __call__(
        self,
        states: Tensor,
        alpha: Tensor,
        hints: Tensor | None = None,
        labels: Tensor | None = None,
        num_inference_steps: int | None = None,
        guidance_scale: float = 1.0,
        generator: Generator | None = None,
    ) -> DenoisedStates:
        """Denoise states sqrt(alpha) x0 + sqrt(1 - alpha) n, float32 `[batch, channels, h, w]`, x0 of unit variance.

        alpha: `[batch, channels, h, w]` or broadcastable; 0 where nothing arrived. All images go from the level of the
        worst element, so that a batch should hold images of one level. hints: planes `[batch, planes, h, w]`; labels:
        int64 `[batch]`. guidance_scale: w of x0 = x0(none) + w (x0(given) - x0(none)), "none" being zero hints and the
        null label; 1 asks the network once a step. num_inference_steps: None for as many as the level needs (`budget`).
        generator: the same noise is added to every image.
        """

        def predict(seen: Tensor, step: int, common: Tensor) -> Tensor:
            return self._predict(seen, step, common, hints, labels, guidance_scale)

        found = descend(self.scheduler, states, alpha, predict, num_inference_steps, generator, self.progress_bar)
        self.maybe_free_model_hooks()
        return found

    def _predict(
        self, seen: Tensor, step: int, alpha: Tensor, hints: Tensor | None, labels: Tensor | None, scale: float
    ) -> Tensor:
        given = self._ask(seen, step, alpha, hints, labels)
        if scale == 1 or (hints is None and labels is None):
            return given
        nothing = None if labels is None else torch.full_like(labels, self.unet.config.num_class_embeds - 1)
        alone = self._ask(seen, step, alpha, None if hints is None else torch.zeros_like(hints), nothing)
        return alone + scale * (given - alone)

    def _ask(self, seen: Tensor, step: int, alpha: Tensor, hints: Tensor | None, labels: Tensor | None) -> Tensor:
        height, width = seen.shape[-2:]
        inputs = seen if hints is None else torch.cat([seen, hints], 1)
        padded = F.pad(inputs, (0, -width % self.unit, 0, -height % self.unit), mode="replicate").to(self.unet.dtype)
        steps = torch.full((len(seen),), step, device=seen.device)
        output = self.unet(padded, steps, class_labels=labels).sample[..., :height, :width].float()
        return predicted_sample(output, seen, alpha, self.scheduler.config.prediction_type)


def descend(
    scheduler: Any,
    states: Tensor,
    alpha: Tensor,
    predict: Predict,
    steps: int | None = None,
    generator: Generator | None = None,
    progress: Callable[[list[int]], Iterable[int]] = list,
    may_go: Callable[[], bool] = lambda: True,
) -> DenoisedStates:
    """Denoise states sqrt(alpha) x0 + sqrt(1 - alpha) n, from the level of the worst element down to clean ones.

    predict: x0 from states of one level, given the step and alpha of that level. steps: None for `budget`. generator:
    the same noise is added to every image. progress: wraps the list of steps. may_go: asked before each step; no ends
    the chain with what the last step took for clean.
    """
    levels = alpha.expand(states.shape).clamp(0, 1)
    start = int(step_of(scheduler, levels.min()))
    sampler, table = as_sampler(scheduler), alphas(scheduler).float().to(states.device)
    chosen = set_timesteps(sampler, start, steps or budget(start, len(table)))
    clean, taken = states, 0
    states = torch.where(levels > 0, states, shared_noise(states, generator))
    levels = levels.maximum(table[start])
    for step, following in zip(progress(chosen), [*chosen[1:], None], strict=True):
        common, after = table[step], torch.ones_like(table[0]) if following is None else table[following]
        if not may_go():
            return DenoisedStates(clean, taken)
        taken += 1
        seen = raised(states, levels, common, generator)
        clean = predict(seen, step, common)
        moved = sampler.step(clean, step, seen, **_own_noise(sampler, generator, len(seen))).prev_sample
        reached = levels <= after
        states, levels = torch.where(reached, moved, states), levels.maximum(after)
    return DenoisedStates(states, taken)


def _own_noise(scheduler: Any, generator: Generator | None, batch: int) -> dict[str, list[Generator]]:
    """What makes the noise of a scheduler's own (LCM, DDPM) follow the generator and be the same for every image."""
    silent = isinstance(scheduler, DDIMScheduler) or "generator" not in inspect.signature(scheduler.step).parameters
    if generator is None or silent:
        return {}
    seed = int(torch.randint(1 << 62, (), generator=generator, device=generator.device))
    return {"generator": [torch.Generator(generator.device).manual_seed(seed) for _ in range(batch)]}


def budget(start: int, total: int) -> int:
    """Steps that a level needs: 50 times its share of the schedule, between 4 and 50."""
    return min(MOST, max(LEAST, round(MOST * (start + 1) / total)))


def raised(states: Tensor, levels: Tensor, common: Tensor, generator: Generator | None) -> Tensor:
    """States with noise added where they are cleaner than alpha = `common`, so that all are of that level."""
    ratio = (common / levels.clamp_min(1e-12)).clamp_max(1)
    added = (1 - common - (1 - levels) * ratio).clamp_min(0)
    noise = shared_noise(states, generator)
    return torch.where(levels > common, ratio.sqrt() * states + added.sqrt() * noise, states)


def shared_noise(states: Tensor, generator: Generator | None) -> Tensor:
    """The same Gaussian noise for every image of a batch, so that none depends on the others."""
    device = "cpu" if generator is None else generator.device
    noise = torch.randn(states[:1].shape, generator=generator, device=device)
    return noise.to(states.device).expand_as(states)
