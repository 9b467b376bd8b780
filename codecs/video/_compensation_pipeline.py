"""The receiver of `wvsc_d` as a diffusers pipeline: a group of decoded frames, compensated one after the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from diffusers import DiffusionPipeline
from diffusers.utils import BaseOutput
from torch import Generator, Tensor

from semlink.codecs._diffusion.levels import alphas, as_sampler, set_timesteps, step_of
from semlink.codecs.video._compensation import NoiseNetwork, Synthesis, noise_in, noisy, without_base

STEPS, SHARE = 1, 0.7  # more steps gain nothing with the shipped networks (docs/results/video.md)
STRENGTH = 1.0
LEVELS = (0.3, 0.97)  # signal shares between which a chain starts


@dataclass(frozen=True)
class Base:
    """What frames of a group share. noise: drawn, `[1, planes, h, w]`. chain: base noise that was found, by step."""

    noise: Tensor
    start: int
    chain: dict[int, Tensor]


@dataclass
class CompensationOutput(BaseOutput):
    """frames: `[frames, 3, H, W]` in [0, 1]. semantic: `[frames, planes, h, w]`."""

    frames: Tensor
    semantic: Tensor


class CompensationPipeline(DiffusionPipeline):
    """base, residual: networks of noise. synthesis: from semantic frames to pixels. scheduler: any that
    `levels.set_timesteps` knows.
    """

    model_cpu_offload_seq = "base->residual->synthesis"

    def __init__(self, base: NoiseNetwork, residual: NoiseNetwork, synthesis: Synthesis, scheduler: Any) -> None:
        super().__init__()
        self.register_modules(base=base, residual=residual, synthesis=synthesis, scheduler=scheduler)

    @torch.no_grad()
    def __call__(
        self,
        frames: Tensor,
        semantic: Tensor,
        heard: Tensor,
        num_inference_steps: int = STEPS,
        share: float = SHARE,
        generator: Generator | None = None,
        strength: float = STRENGTH,
    ) -> CompensationOutput:
        """A group, the reference first. frames: decoded, `[frames, 3, H, W]` in [0, 1]; semantic: made of them,
        `[frames, planes, H/8, W/8]` (`semantics`); heard: mean `a` of the symbols of each, `[frames]`, which tells
        where the chain starts. share: of the base in the power of the noise. generator: of all noise. strength: share
        of the change in the pixels that is shown.
        """
        found, base = self.reference(semantic[:1], heard[:1], num_inference_steps, generator)
        rest = [
            self.following(semantic[i : i + 1], heard[i : i + 1], base, num_inference_steps, share, generator)
            for i in range(1, len(semantic))
        ]
        whole = torch.cat([found, *rest])
        return CompensationOutput(frames=self.shown(frames, semantic, whole, heard, strength), semantic=whole)

    @torch.no_grad()
    def reference(
        self, decoded: Tensor, heard: Tensor, steps: int = STEPS, generator: Generator | None = None
    ) -> tuple[Tensor, Base]:
        """The reference `[1, planes, h, w]`, compensated, and what the frames after it share with it."""
        noise = torch.randn(decoded.shape, generator=generator)
        start = int(step_of(self.scheduler, heard.clamp(*LEVELS))[0])
        chain: dict[int, Tensor] = {}

        def answer(state: Tensor, alpha: Tensor, step: int) -> Tensor:
            x0: Tensor = self.base(state, alpha, 1 - alpha, decoded, heard)
            chain[step] = noise_in(state, x0, alpha)
            return x0

        return self._descended(decoded, noise, start, steps, answer), Base(noise, start, chain)

    @torch.no_grad()
    def following(
        self,
        decoded: Tensor,
        heard: Tensor,
        base: Base,
        steps: int = STEPS,
        share: float = SHARE,
        generator: Generator | None = None,
    ) -> Tensor:
        """Another frame `[1, planes, h, w]` of the group, compensated."""
        own = torch.randn(decoded.shape, generator=generator)
        noise = share**0.5 * base.noise + (1 - share) ** 0.5 * own

        def answer(state: Tensor, alpha: Tensor, step: int) -> Tensor:
            left, power = without_base(state, base.chain[step], alpha, share)
            found: Tensor = self.residual(left, alpha, power, decoded, heard)
            return found

        return self._descended(decoded, noise, base.start, steps, answer)

    @torch.no_grad()
    def shown(
        self, frames: Tensor, semantic: Tensor, found: Tensor, heard: Tensor, strength: float = STRENGTH
    ) -> Tensor:
        """Frames in [0, 1] of compensated semantic ones."""
        made = frames.lerp(self.synthesis(frames, semantic, found, heard), strength).clamp(0, 1)
        return torch.where(torch.isfinite(made), made, frames)

    def _descended(self, decoded: Tensor, noise: Tensor, start: int, steps: int, answer: Any) -> Tensor:
        sampler, table = as_sampler(self.scheduler), alphas(self.scheduler).float()
        state, x0 = noisy(decoded, table[start][None], noise), decoded
        for step in set_timesteps(sampler, start, steps):
            x0 = answer(state, table[step].expand(len(state)), step)
            state = sampler.step(x0, step, state).prev_sample
        return x0
