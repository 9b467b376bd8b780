"""The generator of `cvsc` as a diffusers pipeline: frames of moved anchors, by a chain that starts at their error."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import DiffusionPipeline
from diffusers.utils import BaseOutput
from torch import Generator, Tensor

from semlink.codecs._diffusion.levels import alphas, as_sampler, set_timesteps, step_of
from semlink.codecs._diffusion.spade import SpadeUNet
from semlink.codecs.video._start import Start

STEPS = 2
Go = Callable[[], bool]


@dataclass(frozen=True)
class Seen:
    """What the network sees beside its state. guess: `[batch, 3, H, W]` in [-1, 1], planes: `[batch, PLANES, H, W]`,
    both in whole units of it. told: `[batch, 3]`.
    """

    guess: Tensor
    planes: Tensor
    told: Tensor

    @classmethod
    def of(cls, starts: Sequence[Start], unit: int) -> Seen:
        """Of frames of one size."""
        height, width = starts[0].guess.shape[2:]
        missing = (0, -width % unit, 0, -height % unit)
        guess = torch.cat([2 * start.guess - 1 for start in starts])
        planes, told = (torch.cat([*each]) for each in zip(*((s.planes(), s.told()) for s in starts), strict=True))
        return cls(F.pad(guess, missing, mode="replicate"), F.pad(planes, missing), told)

    def at(self, later: Tensor) -> Seen:
        """At a chain's first call, whose state holds the guess, or later, bool `[batch]`: the network is told which."""
        return replace(self, told=torch.cat([1.0 + later.float()[:, None], self.told[:, 1:]], 1))


@dataclass
class RestoredFrames(BaseOutput):
    """frames: `[batch, 3, H, W]` in [0, 1]. steps: network calls. states: the noisy state before each call, by step,
    from the first on.
    """

    frames: Tensor
    steps: int
    states: dict[int, Tensor] = field(default_factory=dict)


class RestorationPipeline(DiffusionPipeline):
    """unet: a `SpadeUNet` of PLANES classes. scheduler: any that `levels.set_timesteps` knows."""

    model_cpu_offload_seq = "unet"

    def __init__(self, unet: SpadeUNet, scheduler: Any) -> None:
        super().__init__()
        self.register_modules(unet=unet, scheduler=scheduler)

    @torch.no_grad()
    def __call__(
        self,
        starts: Sequence[Start],
        alpha: float | None = None,
        num_inference_steps: int = STEPS,
        generator: Generator | None = None,
        state: Tensor | None = None,
        may_go: Go = lambda: True,
    ) -> RestoredFrames:
        """Frames from what is known of them, all of one size.

        alpha: signal share of the state that the chain starts with; None: what the first frame's error asks for.
        generator: of the noise, the same for all. state: with noise of that share, `[batch, 3, H, W]`, of frames in
        [-1, 1], instead of the guess with noise. may_go: asked before each call; where it says no, the last answer is
        shown, or the guess.
        """
        seen = Seen.of(starts, self.unet.unit)
        table = alphas(self.scheduler).float()
        first = self.step_at(starts[0].alpha if alpha is None else alpha)
        height, width = starts[0].guess.shape[2:]
        if state is None:
            begun = noisy(seen.guess, table[first], generator)
        else:
            missing = seen.guess.shape[3] - width, seen.guess.shape[2] - height
            begun = F.pad(state, (0, missing[0], 0, missing[1]), mode="replicate")
        found = self._descended(seen, begun, state is None, first, num_inference_steps, may_go)
        self.maybe_free_model_hooks()
        frames = (found.frames[..., :height, :width] / 2 + 0.5).clamp(0, 1)
        guess = torch.cat([start.guess for start in starts])
        states = {step: held[..., :height, :width] for step, held in found.states.items()}
        return RestoredFrames(torch.where(torch.isfinite(frames), frames, guess), found.steps, states)

    def step_at(self, alpha: float) -> int:
        """The scheduler's step of that signal share."""
        return int(step_of(self.scheduler, torch.tensor([alpha]))[0])

    def _descended(
        self, seen: Seen, state: Tensor, guessed: bool, first: int, steps: int, may_go: Go
    ) -> RestoredFrames:
        """guessed: the state holds nothing but the guess, and noise, which the network is spared."""
        sampler, table = as_sampler(self.scheduler), alphas(self.scheduler).float()
        x0, states = seen.guess, dict[int, Tensor]()
        for step in set_timesteps(sampler, first, steps):
            if not may_go():
                break
            alpha, fresh = table[step].expand(len(state)), guessed and not states
            now = seen.at(torch.full((len(state),), not fresh))
            states[step] = state
            looked = alpha[0].sqrt() * seen.guess if fresh else state
            x0 = self.unet(looked, alpha, now.guess, now.told, now.planes).clamp(-1, 1)
            state = sampler.step(x0, step, state).prev_sample
        return RestoredFrames(x0, len(states), states)


def noisy(clean: Tensor, alpha: Tensor, generator: Generator | None) -> Tensor:
    """sqrt(alpha) clean + sqrt(1 - alpha) n, the same noise for all."""
    return alpha.sqrt() * clean + (1 - alpha).sqrt() * torch.randn(clean[:1].shape, generator=generator)
