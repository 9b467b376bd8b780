"""Noise levels: between what a link leaves on a symbol and the steps of a diffusers scheduler.

A diffusion state is sqrt(alpha) x0 + sqrt(1 - alpha) n with x0 and n of unit variance per real dimension; `alpha` of
step t is the scheduler's `alphas_cumprod[t]`. The variance-preserving form of an equalised symbol is such a state with
alpha = a (definitions.md), so the step that matches it is the one whose alpha is nearest (SGD-JSCC, arXiv 2501.01138).
"""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import torch
from torch import Tensor

from semlink.simulator.errors import SemlinkError

# fields of a scheduler's configuration that mean the same for all of them
SHARED = frozenset(
    ("num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "trained_betas", "rescale_betas_zero_snr")
    + ("prediction_type", "set_alpha_to_one", "steps_offset", "clip_sample", "clip_sample_range")
)
# those by which a solver chooses its own steps and sigmas, or changes x0
CHOOSING = frozenset(
    ("use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas", "use_lu_lambdas", "use_flow_sigmas")
    + ("use_dynamic_shifting", "flow_shift", "lambda_min_clipped", "timestep_spacing", "thresholding")
)


def alphas(scheduler: Any) -> Tensor:
    """alpha of every training step of a scheduler, float64 `[steps]`, falling. SemlinkError when it has none."""
    found = getattr(scheduler, "alphas_cumprod", None)
    if found is None:
        raise SemlinkError(
            f"{type(scheduler).__name__} has no alphas_cumprod; use a variance-preserving scheduler such as "
            f"DDIMScheduler, DPMSolverMultistepScheduler or LCMScheduler"
        )
    return torch.as_tensor(found, dtype=torch.float64)


def step_of(scheduler: Any, alpha: Tensor) -> Tensor:
    """The step whose alpha is nearest, int64 of the shape of `alpha`; what lies beyond the schedule gets its end."""
    table = alphas(scheduler).flip(0).to(alpha.device)  # rising
    wanted = alpha.double().contiguous()
    above = torch.searchsorted(table, wanted).clamp(1, len(table) - 1)
    nearer = above - (wanted - table[above - 1] <= table[above] - wanted).long()
    return len(table) - 1 - nearer


def set_timesteps(scheduler: Any, start: int, steps: int) -> list[int]:
    """Make the scheduler go from step `start` down to a clean sample in at most `steps` steps; the steps it takes.

    Evenly spaced, `start` first. Schedulers that take a list get one; those of DDIM's kind count down by
    `num_train_timesteps // num_inference_steps`, so their stride is the next that divides so. SemlinkError for a
    scheduler that cannot begin within its schedule or whose states are not of unit variance.
    """
    steps = max(1, min(steps, start + 1))
    by_list = "timesteps" in inspect.signature(scheduler.set_timesteps).parameters
    if float(scheduler.init_noise_sigma) != 1 or (hasattr(scheduler, "sigmas") and not by_list):
        raise SemlinkError(
            f"{type(scheduler).__name__} cannot start within its schedule; use DDIMScheduler, DDPMScheduler, "
            f"DPMSolverMultistepScheduler or LCMScheduler"
        )
    if by_list:
        chosen = np.unique(np.linspace(0, start + 1, steps + 1).round().astype(int)[1:] - 1)[::-1]
        scheduler.set_timesteps(timesteps=chosen.tolist())
        return chosen.tolist()
    total = scheduler.config.num_train_timesteps
    stride = -(-(start + 1) // steps)
    scheduler.set_timesteps(max(1, total // stride))
    stride = total // max(1, total // stride)
    scheduler.timesteps = torch.arange(start, -1, -stride)
    return scheduler.timesteps.tolist()


def over_levels_of(like: Any, kind: type) -> Any:
    """A scheduler of the class `kind` over the noise levels, and with the prediction type, of another one.

    Its other settings are defaults: those of `like` choose steps and sigmas for another solver, and may not fit.
    SemlinkError when that class cannot have such levels.
    """
    kept = {name: value for name, value in like.config.items() if name in SHARED}
    known = inspect.signature(kind.__init__).parameters  # type: ignore[misc]
    try:
        made = kind(**{name: value for name, value in kept.items() if name in known})
    except (NotImplementedError, ValueError) as error:
        raise SemlinkError(f"{kind.__name__} cannot stand in for {type(like).__name__} ({error})") from error
    made.register_to_config(**kept)  # pipelines look up how to clip, whatever the solver
    return made


def as_sampler(scheduler: Any) -> Any:
    """A fresh scheduler of that kind and schedule whose `step` takes x0 itself, unclipped: latents know no limits.

    Settings that choose steps and sigmas are left out: `set_timesteps` chooses the steps, by the noise that is there.
    """
    kept = {name: value for name, value in scheduler.config.items() if name not in CHOOSING}
    if str(kept.get("variance_type")).startswith("learned"):
        del kept["variance_type"]  # x0 comes without the variance that the network may have learned
    unclipped = {"clip_sample": False} if "clip_sample" in kept else {}
    return type(scheduler).from_config(kept, prediction_type="sample", **unclipped)


def predicted_sample(output: Tensor, noisy: Tensor, alpha: Tensor, kind: str) -> Tensor:
    """x0 from a network's output. alpha: broadcastable to `noisy`; kind: a scheduler's `prediction_type`."""
    if kind == "sample":
        return output
    signal, noise = alpha.sqrt().to(noisy), (1 - alpha).sqrt().to(noisy)
    if kind == "v_prediction":
        return signal * noisy - noise * output
    if kind == "epsilon":
        return (noisy - noise * output) / signal
    raise SemlinkError(f"unknown prediction type {kind!r}; known: epsilon, sample, v_prediction")


def wanted_output(x0: Tensor, noise: Tensor, alpha: Tensor, kind: str) -> Tensor:
    """What a network of that prediction type should answer for sqrt(alpha) x0 + sqrt(1 - alpha) noise."""
    if kind == "v_prediction":
        return alpha.sqrt().to(x0) * noise - (1 - alpha).sqrt().to(x0) * x0
    return x0 if kind == "sample" else noise


def sigmoid_betas(steps: int = 1000, end: float = 3.0, tau: float = 0.7, floor: float = 1e-6) -> np.ndarray:
    """`trained_betas` of SGD-JSCC's schedule, float64 `[steps]`: noise variance S(t) at t = 1/steps ... 1.

    S(t) = [sig(t end / tau) - 1/2] / [sig(end / tau) - 1/2], kept within floor and 1 - floor.
    """
    t = np.arange(1, steps + 1) / steps
    noise = (1 / (1 + np.exp(-t * end / tau)) - 0.5) / (1 / (1 + np.exp(-end / tau)) - 0.5)
    alpha = np.concatenate([[1.0], 1 - noise.clip(floor, 1 - floor)])
    return 1 - alpha[1:] / alpha[:-1]
