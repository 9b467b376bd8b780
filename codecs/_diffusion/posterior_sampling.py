"""Posterior sampling: a picture drawn from an unconditional prior under data that a differentiable model explains.

Every estimate x0 of a clean picture becomes x0' = argmin |x - x0|^2 / r^2 + |misfit(x)|^2, where r^2 is the variance
that the state leaves to x0 and a misfit has unit variance in each place at the true picture. A scheduler's step then
takes x0'. Where prior and misfit are Gaussian and linear, x0' is the mean of x0 given state and data, so that the chain
draws from the posterior. One Gauss-Newton step solves it: the misfit is linearised at x0, and a few conjugate gradients
follow, each a gradient through the misfit and a difference quotient.

DiffCom (arXiv 2406.07390) goes down the gradient of the norm of the misfit with respect to the state instead, with a
weight to be tuned and through the network of the prior as well.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import DiffusionPipeline, SchedulerMixin, UNet2DModel
from diffusers.utils import BaseOutput
from diffusers.utils.torch_utils import randn_tensor
from torch import Generator, Tensor

from semlink.codecs._diffusion.levels import alphas, as_sampler, predicted_sample, set_timesteps
from semlink.simulator.errors import SemlinkError

Misfit = Callable[[Tensor], Tensor]  # pictures [batch, c, h, w] to [batch, n], differentiable, picture by picture

ITERATIONS = 3
PROBE = 0.02  # RMS of the step of a difference quotient; states are of the order of 1
TINY = 1e-20


@dataclass
class PosteriorPictures(BaseOutput):
    """images: `[batch, c, h, w]`, or as asked; misfit: mean square of it at every estimate x0, `[steps, batch]`."""

    images: Any
    misfit: Tensor


class PosteriorSamplingPipeline(DiffusionPipeline):
    """Pictures that both a `UNet2DModel` trained without conditions and the given data hold for likely.

    patch: the network works on pixel_unshuffle(2 x - 1, patch). spread: standard deviation of x0 under the prior, for
    r^2 = spread^2 (1 - alpha) / (spread^2 alpha + 1 - alpha). The scheduler gives noise levels, prediction type and the
    step; any that `levels.set_timesteps` knows will do.
    """

    model_cpu_offload_seq = "unet"

    def __init__(self, unet: UNet2DModel, scheduler: SchedulerMixin, patch: int = 1, spread: float = 1.0) -> None:
        super().__init__()
        self.register_modules(unet=unet, scheduler=scheduler)
        self.register_to_config(patch=patch, spread=spread)

    @torch.no_grad()
    def __call__(
        self,
        pictures: Tensor,
        misfit: Misfit,
        start: int | None = None,
        num_inference_steps: int = 20,
        iterations: int = ITERATIONS,
        eta: float = 0.0,
        generator: Generator | list[Generator] | None = None,
        output_type: str = "pil",
        return_dict: bool = True,
    ) -> PosteriorPictures | tuple[Any, Tensor]:
        """Sample from pictures `[batch, c, h, w]` in [0, 1], noised to training step `start` (None: the last one).

        misfit: of pictures near [0, 1] of that size, to `[batch, n]` of unit variance at the true ones; called with and
        without gradients. iterations: conjugate gradients a step, 0: the data is not asked. eta: share of fresh noise
        in a step (of schedulers that have one). generator: one, or a list with one per picture. output_type: "pt"
        (float32 in [0, 1]), "np" or "pil". Everything but the network is float32.
        """
        self._check(pictures, output_type, iterations)
        pictures = pictures.to(self._execution_device, torch.float32)
        scheduler, table = as_sampler(self.scheduler), alphas(self.scheduler).float()
        start = len(table) - 1 if start is None else start
        state, size = self._state(pictures), pictures.shape[-2:]
        noise = randn_tensor(state.shape, generator=generator, device=state.device)
        state = table[start].sqrt() * state + (1 - table[start]).sqrt() * noise
        fits = []
        for t in self.progress_bar(set_timesteps(scheduler, start, num_inference_steps)):
            x0 = self._estimate(state, t, table[t])
            problem = Linearised(x0, lambda x: misfit(self._pictures(x, size)).to(x.device))
            fits.append(problem.value.square().mean(1))
            x0 = x0 + problem.correction(self._left(table[t]), iterations)
            state = scheduler.step(x0, t, state, **_chance(scheduler, eta, generator)).prev_sample
        self.maybe_free_model_hooks()
        images = self._as(output_type, self._pictures(state, size).clamp(0, 1))
        return PosteriorPictures(images, torch.stack(fits)) if return_dict else (images, torch.stack(fits))

    def _check(self, pictures: Tensor, output_type: str, iterations: int) -> None:
        """SemlinkError for what the pipeline cannot do."""
        channels = self.unet.config.in_channels / self.config.patch**2
        if iterations < 0 or output_type not in ("pt", "np", "pil"):
            raise SemlinkError(f"{iterations} iterations, output_type {output_type!r}: need 0 or more; pt, np or pil")
        if pictures.ndim != 4 or pictures.shape[1] != channels or not torch.isfinite(pictures).all():
            raise SemlinkError(
                f"the pictures are {list(pictures.shape)}; this prior takes finite [batch, {channels:g}, h, w] "
                f"(patch {self.config.patch}, {self.unet.config.in_channels} planes)"
            )

    def _state(self, pictures: Tensor) -> Tensor:
        """Pictures as a clean state, padded by replication to the strides of the network."""
        stride = self.config.patch * 2 ** (len(self.unet.config.block_out_channels) - 1)
        height, width = pictures.shape[-2:]
        wide = F.pad(pictures, (0, -width % stride, 0, -height % stride), mode="replicate")
        return F.pixel_unshuffle(2 * wide - 1, self.config.patch)

    def _pictures(self, state: Tensor, size: torch.Size) -> Tensor:
        """Inverse of `_state`, not clipped."""
        return F.pixel_shuffle(state, self.config.patch)[..., : size[0], : size[1]] / 2 + 0.5

    def _estimate(self, state: Tensor, t: int, alpha: Tensor) -> Tensor:
        """x0 of a state as the network sees it, within the range to which its scheduler clips."""
        config = self.scheduler.config
        output = self.unet(state.to(self.unet.dtype), t).sample[:, : state.shape[1]].float()  # further planes: variance
        x0 = predicted_sample(output, state, alpha, config.prediction_type)
        limit = config.get("clip_sample_range", 1.0)
        return x0.clamp(-limit, limit) if config.get("clip_sample", False) else x0

    def _left(self, alpha: Tensor) -> float:
        """r^2: what a state of `alpha` leaves open of x0."""
        own = self.config.spread**2
        return float(own * (1 - alpha) / (own * alpha + 1 - alpha))

    def _as(self, output_type: str, pictures: Tensor) -> Any:
        if output_type == "pt":
            return pictures
        arrays = pictures.permute(0, 2, 3, 1).cpu().numpy()
        return self.numpy_to_pil(arrays) if output_type == "pil" else arrays


class Linearised:
    """A misfit `[batch, ...] -> [batch, n]` around a place: `value` there, and the best step away from there."""

    def __init__(self, place: Tensor, misfit: Misfit) -> None:
        self._place, self._misfit = place.detach(), misfit
        with torch.enable_grad():
            self._leaf = self._place.clone().requires_grad_()
            self._output = misfit(self._leaf)
        self.value = self._output.detach()

    def back(self, v: Tensor) -> Tensor:
        """J^T v of v `[batch, n]`."""
        return torch.autograd.grad(self._output, self._leaf, v, retain_graph=True)[0]

    def forth(self, step: Tensor) -> Tensor:
        """J times a step, by a difference of RMS `PROBE`: exact for linear misfits, a secant for others."""
        scale = PROBE / _inner(step, step).div(step[0].numel()).sqrt().clamp_min(TINY)
        with torch.no_grad():
            return (self._misfit(self._place + _wide(scale, step) * step) - self.value) / scale[:, None]

    def correction(self, variance: float, iterations: int) -> Tensor:
        """d of least |misfit + J d|^2 + |d|^2 / variance by conjugate gradients (CGLS), each picture on its own."""
        root = variance**0.5
        found, residual = torch.zeros_like(self._place), -self.value
        direction, before = found, torch.ones_like(residual[:, 0])
        for _ in range(iterations):
            slope = root * self.back(residual) - found
            steepness = _inner(slope, slope)
            direction = slope + _wide(steepness / before.clamp_min(TINY), slope) * direction
            moved = root * self.forth(direction)
            length = steepness / (_inner(moved, moved) + _inner(direction, direction)).clamp_min(TINY)
            found = found + _wide(length, found) * direction
            residual = residual - length[:, None] * moved
            before = steepness
        return root * found


def _inner(x: Tensor, y: Tensor) -> Tensor:
    """Inner product of each picture, `[batch]`."""
    return (x * y).flatten(1).sum(1)


def _wide(factors: Tensor, like: Tensor) -> Tensor:
    """`[batch]` as `[batch, 1, ...]`."""
    return factors.reshape(-1, *[1] * (like.ndim - 1))


def _chance(scheduler: Any, eta: float, generator: Generator | list[Generator] | None) -> dict[str, Any]:
    """What the step of this scheduler takes of eta and generator."""
    taken = inspect.signature(scheduler.step).parameters
    return {key: value for key, value in (("eta", eta), ("generator", generator)) if key in taken}
