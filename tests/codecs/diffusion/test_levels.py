"""Noise levels: links and schedulers agree, networks' outputs convert exactly, chains start where they should."""

import math

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler, EulerDiscreteScheduler, LCMScheduler

from semlink.codecs._diffusion.levels import (
    alphas,
    predicted_sample,
    set_timesteps,
    sigmoid_betas,
    step_of,
    wanted_output,
)
from semlink.simulator import SemlinkError

SCHEDULERS = (DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler, LCMScheduler)


@pytest.mark.parametrize("kind", SCHEDULERS)
def test_the_matching_step_is_the_nearest_of_all(kind) -> None:
    scheduler = kind()
    wanted = torch.cat([torch.tensor([0.0, 1.0]), torch.rand(200, generator=torch.Generator().manual_seed(0))])
    brute = (alphas(scheduler)[None] - wanted[:, None].double()).abs().argmin(1)
    assert torch.equal(step_of(scheduler, wanted), brute)


@pytest.mark.parametrize("snr_db", [-10.0, 0.0, 10.0, 20.0])
def test_the_matching_step_has_the_links_noise(snr_db) -> None:
    """alpha = SNR / (1 + SNR), so the step's noise variance is 1 / (1 + SNR)."""
    scheduler = DDIMScheduler()
    snr = 10 ** (snr_db / 10)
    step = step_of(scheduler, torch.tensor(snr / (1 + snr)))
    assert 1 - float(alphas(scheduler)[step]) == pytest.approx(1 / (1 + snr), abs=0.003)


@pytest.mark.parametrize("kind", SCHEDULERS)
@pytest.mark.parametrize("start, steps", [(999, 50), (342, 12), (97, 10), (5, 10), (0, 3)])
def test_chains_begin_at_their_start_and_take_no_more_steps_than_allowed(kind, start, steps) -> None:
    scheduler = kind()
    chosen = set_timesteps(scheduler, start, steps)
    assert chosen[0] == start and chosen == sorted(set(chosen), reverse=True) and chosen[-1] >= 0
    assert len(chosen) <= steps and chosen == [int(t) for t in scheduler.timesteps]
    gaps = np.diff([*chosen, -1])
    assert gaps.min() >= 1.6 * gaps.max() or len(chosen) == start + 1, "about evenly spaced"


@pytest.mark.parametrize("kind", SCHEDULERS)
@pytest.mark.parametrize("start, steps", [(342, 12), (97, 10), (30, 10)])
def test_a_network_that_knows_the_picture_gets_it(kind, start, steps) -> None:
    scheduler = kind(prediction_type="sample")
    scheduler.register_to_config(clip_sample=False)
    generator = torch.Generator().manual_seed(0)
    x0 = torch.randn(2, 3, 8, 8, generator=generator)
    alpha = alphas(scheduler)[start].float()
    x = alpha.sqrt() * x0 + (1 - alpha).sqrt() * torch.randn(x0.shape, generator=generator)
    for step in set_timesteps(scheduler, start, steps):
        x = scheduler.step(x0, step, x).prev_sample
    assert torch.allclose(x, x0, atol=0.02)


@pytest.mark.parametrize("kind", ["sample", "epsilon", "v_prediction"])
def test_outputs_convert_to_what_they_were_made_of(kind) -> None:
    x0, noise = torch.randn(2, 4, 3, 5, 5, generator=torch.Generator().manual_seed(0)).unbind(0)
    alpha = torch.tensor([0.9, 0.5, 0.2, 0.01])[:, None, None, None]
    noisy = alpha.sqrt() * x0 + (1 - alpha).sqrt() * noise
    output = wanted_output(x0, noise, alpha, kind)
    assert torch.allclose(predicted_sample(output, noisy, alpha, kind), x0, atol=1e-4)


def test_the_schedule_of_sgd_jscc_is_its_sigmoid() -> None:
    scheduler = DDIMScheduler(trained_betas=sigmoid_betas().tolist())
    for t in (0.1, 0.5, 0.9):
        expected = (1 / (1 + math.exp(-t * 3 / 0.7)) - 0.5) / (1 / (1 + math.exp(-3 / 0.7)) - 0.5)
        assert 1 - float(alphas(scheduler)[round(1000 * t) - 1]) == pytest.approx(expected, abs=1e-5)


def test_schedulers_that_cannot_start_midway_are_refused() -> None:
    from diffusers import FlowMatchEulerDiscreteScheduler, UniPCMultistepScheduler

    with pytest.raises(SemlinkError, match="has no alphas_cumprod; use a variance-preserving"):
        alphas(FlowMatchEulerDiscreteScheduler())
    for kind in (UniPCMultistepScheduler, EulerDiscreteScheduler):
        with pytest.raises(SemlinkError, match="cannot start within its schedule; use DDIM"):
            set_timesteps(kind(), 300, 10)
