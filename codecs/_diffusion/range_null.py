"""Range-null-space diffusion (DDNM): a picture whose block means are measured, the rest from an unconditional prior.

A = mean over pool x pool blocks, A+ = replication, A A+ = I. Of every estimate x0 of a clean picture the range part
A+ A x0 is corrected towards the measurement y: x0' = x0 - lambda A+ (A x0 - y); the null part stays the prior's.
Wang et al., "Zero-shot image restoration using denoising diffusion null-space model", 2023 (DDNM, DDNM+), as used by
Yilmaz et al., arXiv 2309.15889.

Noise on y: block means of standard deviation sigma (in the units of x0) are, along the unit vectors that span the range
(1 / pool on each pixel of a block), of standard deviation pool sigma, because replication stretches by pool; there, not
per pixel, they compare with the unit noise n of a state sqrt(alpha) x0 + sqrt(1 - alpha) n. A step to alpha' brings
sqrt(alpha') lambda pool sigma into the range part, so lambda <= 1 keeps that within sqrt(1 - alpha') and fresh noise
adds what is missing in variance to 1 - alpha'; the state's own noise, which holds the measurement's, is not used there.
"""

from __future__ import annotations

import inspect
import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import DDIMScheduler, DiffusionPipeline, SchedulerMixin, UNet2DModel
from diffusers.pipelines.pipeline_utils import ImagePipelineOutput
from diffusers.schedulers.scheduling_ddim import DDIMSchedulerOutput
from diffusers.utils.torch_utils import randn_tensor
from torch import Generator, Tensor

from semlink.codecs._diffusion.levels import alphas, predicted_sample
from semlink.simulator.errors import SemlinkError

ETA = 0.85


def pooled(pictures: Tensor, pool: int) -> Tensor:
    """A: mean over pool x pool blocks, `[batch, c, h, w]` to `[batch, c, h / pool, w / pool]`."""
    return F.avg_pool2d(pictures, pool)


def replicated(means: Tensor, pool: int) -> Tensor:
    """A+: each value on a pool x pool block."""
    return means.repeat_interleave(pool, -2).repeat_interleave(pool, -1)


def range_part(pictures: Tensor, pool: int) -> Tensor:
    """A+ A: each pixel replaced by the mean of its block."""
    return replicated(pooled(pictures, pool), pool)


def consistent(pictures: Tensor, means: Tensor, pool: int) -> Tensor:
    """The pictures in [0, 1] nearest to `pictures` whose block means are `means` (in [0, 1]), by bisection.

    Clipping alone would move the means. The nearest point of the box with a given mean is a shifted block, clipped.
    """
    low = -F.max_pool2d(pictures, pool)
    high = 1 + F.max_pool2d(-pictures, pool)
    for _ in range(30):
        middle = (low + high) / 2
        short = pooled((pictures + replicated(middle, pool)).clamp(0, 1), pool) < means
        low, high = torch.where(short, middle, low), torch.where(short, high, middle)
    return (pictures + replicated(high, pool)).clamp(0, 1)


def reduced_weight(noise: Tensor, alpha: Tensor) -> tuple[Tensor, Tensor]:
    """DDNM+: lambda, and the standard deviation of what is to be added in the range, for a step to a state of `alpha`.

    noise: standard deviation of the measurement along a unit vector of the range, that is pool sigma.
    lambda = min(1, sqrt(1 - alpha) / (sqrt(alpha) noise)).
    """
    limit, brought = (1 - alpha).sqrt(), alpha.sqrt() * noise
    weight = torch.where(brought <= limit, torch.ones_like(brought), limit / brought.clamp_min(1e-12))
    return weight, (limit**2 - (weight * brought) ** 2).clamp_min(0).sqrt()


def posterior_weight(noise: Tensor, alpha: Tensor, spread: float = 1.0) -> Tensor:
    """lambda with which x0' is the mean of x0 given state and measurement: r^2 / (r^2 + noise^2).

    r^2 = spread^2 (1 - alpha) / (spread^2 alpha + 1 - alpha) is the variance of x0 given a state of `alpha` when x0 has
    the standard deviation `spread`. Then x0' is the right answer for any solver of the reverse process, which needs no
    reduced noise (Song et al., "Pseudoinverse-guided diffusion models", 2023).
    """
    left = spread**2 * (1 - alpha) / (spread**2 * alpha + 1 - alpha)
    return left / (left + noise**2)


class RangeNullScheduler(DDIMScheduler):
    """DDNM's step: x' = sqrt(alpha') x0 + sqrt(1 - alpha') (eta z + sqrt(1 - eta^2) n), z fresh, n the state's noise.

    n = (x - sqrt(alpha) x0) / sqrt(1 - alpha) of the corrected x0, as for any scheduler that is given samples (the
    published code takes the network's n, which differs in the range part). Configured like DDIM.
    """

    def next_alpha(self, timestep: int | Tensor) -> Tensor:
        """alpha of the state that `step` answers."""
        later = int(timestep) - self.config.num_train_timesteps // self.num_inference_steps
        return self.alphas_cumprod[later] if later >= 0 else self.final_alpha_cumprod

    def step(
        self,
        model_output: Tensor,
        timestep: int | Tensor,
        sample: Tensor,
        eta: float = ETA,
        generator: Generator | list[Generator] | None = None,
        variance_noise: Tensor | None = None,
        return_dict: bool = True,
    ) -> DDIMSchedulerOutput | tuple[Tensor, Tensor]:
        """The next state. variance_noise: z of your own instead of one from the generator."""
        alpha, later = self.alphas_cumprod[int(timestep)], self.next_alpha(timestep)
        x0 = predicted_sample(model_output, sample, alpha, self.config.prediction_type)
        z = variance_noise
        if z is None:
            z = randn_tensor(sample.shape, generator=generator, device=sample.device, dtype=sample.dtype)
        own = (sample - alpha.sqrt() * x0) / (1 - alpha).sqrt()
        state = later.sqrt() * x0 + (1 - later).sqrt() * (eta * z + math.sqrt(1 - eta**2) * own)
        return DDIMSchedulerOutput(prev_sample=state, pred_original_sample=x0) if return_dict else (state, x0)


@dataclass(frozen=True)
class Measured:
    """What is known of the states of a batch, which are pictures 2 x - 1 with patch x patch pixels traded for channels.

    values: A+ y as a state. noise: pool sigma in the state's units, `[batch, 1, 1, 1]`.
    """

    values: Tensor
    noise: Tensor
    pool: int
    patch: int

    def range_part(self, state: Tensor) -> Tensor:
        """A+ A of a state."""
        return F.pixel_unshuffle(range_part(F.pixel_shuffle(state, self.patch), self.pool), self.patch)

    def correct(self, x0: Tensor, weight: Tensor) -> Tensor:
        """x0 - weight A+ (A x0 - y)."""
        return x0 - weight * (self.range_part(x0) - self.values)

    def shaped(self, z: Tensor, own: Tensor, eta: float, share: Tensor) -> Tensor:
        """Noise eta z + sqrt(1 - eta^2) own in the null part and share z in the range part; z, own: unit variance.

        Where the measurement is exact, in the range part as in the null part.
        """
        mixed = eta * z + math.sqrt(1 - eta**2) * own
        return torch.where(self.noise > 0, mixed + self.range_part(share * z - mixed), mixed)


class RangeNullPipeline(DiffusionPipeline):
    """Pictures from their measured block means with a `UNet2DModel` trained without conditions.

    patch: the network works on pixel_unshuffle(2 x - 1, patch). spread: standard deviation that `posterior_weight` is
    to assume. The scheduler gives noise levels and prediction type; RangeNullScheduler makes DDNM (and DDNM+ where the
    measurement is noisy), any other of diffusers solves the reverse process given the measurement.
    """

    model_cpu_offload_seq = "unet"

    def __init__(self, unet: UNet2DModel, scheduler: SchedulerMixin, patch: int = 1, spread: float = 1.0) -> None:
        super().__init__()
        self.register_modules(unet=unet, scheduler=scheduler)
        self.register_to_config(patch=patch, spread=spread)

    @torch.no_grad()
    def __call__(
        self,
        measurement: Tensor,
        pool: int,
        sigma_y: float | Tensor = 0.0,
        num_inference_steps: int = 20,
        eta: float = ETA,
        generator: Generator | list[Generator] | None = None,
        output_type: str = "pil",
        return_dict: bool = True,
    ) -> ImagePipelineOutput | tuple[Any]:
        """Pictures `[batch, 3, pool h, pool w]` from block means `[batch, 3, h, w]` in [0, 1].

        sigma_y: standard deviation of the error of a block mean, a float or `[batch]`; 0: exact, and A of the answer is
        then the measurement. eta: share of fresh noise in a step (of schedulers that have one, with their meaning).
        generator: one, or a list with one per picture. output_type: "pt" (float32 in [0, 1]), "np" or "pil".
        The state stays float32 whatever the network's dtype.
        """
        self._check(measurement, pool, output_type)
        measurement = measurement.to(self._execution_device, torch.float32).clamp(0, 1)
        known, wide = self._measured(measurement, pool, sigma_y)
        scheduler = type(self.scheduler).from_config(
            self.scheduler.config, prediction_type="sample", clip_sample=False, thresholding=False
        )
        scheduler.set_timesteps(num_inference_steps, device=known.values.device)
        state = randn_tensor(known.values.shape, generator=generator, device=known.values.device)
        for t in self.progress_bar(scheduler.timesteps):
            x0 = self._estimate(scheduler.scale_model_input(state, t), t)
            state = next_state(scheduler, t, state, x0, known, eta, generator, self.config.spread)
        pictures = F.pixel_shuffle(state, self.config.patch) / 2 + 0.5
        pictures = torch.where(known.noise > 0, pictures.clamp(0, 1), consistent(pictures, wide, pool))
        pictures = pictures[..., : measurement.shape[-2] * pool, : measurement.shape[-1] * pool]
        self.maybe_free_model_hooks()
        images = self._as(output_type, pictures)
        return ImagePipelineOutput(images=images) if return_dict else (images,)

    def _check(self, measurement: Tensor, pool: int, output_type: str) -> None:
        """SemlinkError for what the pipeline cannot do."""
        channels = self.unet.config.in_channels / self.config.patch**2
        if pool < 1 or output_type not in ("pt", "np", "pil"):
            raise SemlinkError(f"pool {pool}, output_type {output_type!r}: need pool >= 1, and one of pt, np, pil")
        if measurement.ndim != 4 or measurement.shape[1] != channels or not torch.isfinite(measurement).all():
            raise SemlinkError(
                f"the measurement is {list(measurement.shape)}; this prior takes finite [batch, {channels:g}, h, w] "
                f"(patch {self.config.patch}, {self.unet.config.in_channels} planes)"
            )

    def _measured(self, measurement: Tensor, pool: int, sigma_y: float | Tensor) -> tuple[Measured, Tensor]:
        """The measurement for the network's strides, and itself padded to them by replication."""
        stride = self.config.patch * 2 ** (len(self.unet.config.block_out_channels) - 1)
        unit = math.lcm(stride, pool) // pool
        height, width = measurement.shape[-2:]
        wide = F.pad(measurement, (0, -width % unit, 0, -height % unit), mode="replicate")
        values = F.pixel_unshuffle(replicated(2 * wide - 1, pool), self.config.patch)
        sigma = torch.as_tensor(sigma_y, dtype=torch.float32, device=values.device).expand(len(values))
        if not bool((sigma >= 0).all()):
            raise SemlinkError(f"sigma_y must not be negative, got {sigma.tolist()}")
        return Measured(values, 2 * pool * sigma[:, None, None, None], pool, self.config.patch), wide

    def _estimate(self, state: Tensor, t: Tensor) -> Tensor:
        """x0 of a state as the network sees it, within the range to which its scheduler clips."""
        config = self.scheduler.config
        output = self.unet(state.to(self.unet.dtype), t).sample[:, : state.shape[1]].float()  # further planes: variance
        alpha = alphas(self.scheduler)[int(t)]
        x0 = predicted_sample(output, state, alpha, config.prediction_type)
        limit = config.get("clip_sample_range", 1.0)
        return x0.clamp(-limit, limit) if config.get("clip_sample", False) else x0

    def _as(self, output_type: str, pictures: Tensor) -> Any:
        if output_type == "pt":
            return pictures
        arrays = pictures.permute(0, 2, 3, 1).cpu().numpy()
        return self.numpy_to_pil(arrays) if output_type == "pil" else arrays


def next_state(
    scheduler: Any,
    t: Tensor,
    state: Tensor,
    x0: Tensor,
    known: Measured,
    eta: float,
    generator: Generator | list[Generator] | None,
    spread: float,
) -> Tensor:
    """The scheduler's next state from the network's estimate x0, corrected by what is measured."""
    alpha = alphas(scheduler)[int(t)].to(state)
    if not isinstance(scheduler, RangeNullScheduler):
        x0 = known.correct(x0, posterior_weight(known.noise, alpha, spread))
        taken = inspect.signature(scheduler.step).parameters
        extra = {key: value for key, value in (("eta", eta), ("generator", generator)) if key in taken}
        return scheduler.step(x0, t, state, **extra).prev_sample
    later = scheduler.next_alpha(t).to(state)
    weight, missing = reduced_weight(known.noise, later)
    x0 = known.correct(x0, weight)
    z = randn_tensor(state.shape, generator=generator, device=state.device)
    own = (state - alpha.sqrt() * x0) / (1 - alpha).sqrt()
    noise = known.shaped(z, own, eta, missing / (1 - later).sqrt().clamp_min(1e-12))
    return scheduler.step(x0, t, state, eta=1.0, variance_noise=noise).prev_sample
