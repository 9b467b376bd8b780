"""Schedulers as strangers configure them: sigma tricks, spacings and thresholds neither fail nor bend the levels."""

import shutil
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from tiny_models import NOISE, save_all

from semlink import codecs
from semlink.codecs._diffusion import loading
from semlink.codecs._diffusion.levels import alphas, as_sampler, over_levels_of, set_timesteps
from semlink.codecs._diffusion.range_null import RangeNullScheduler
from semlink.simulator.conformance.codec import check_pictures, noiseless, smooth_pictures
from semlink.simulator.errors import SemlinkError
from semlink.simulator.values import TxInfo

SPACINGS = [{"timestep_spacing": spacing} for spacing in ("leading", "linspace", "trailing")]
CLIPS = [{"thresholding": True}, {"rescale_betas_zero_snr": True}]
SIGMAS = [
    {"use_karras_sigmas": True, "timestep_spacing": "trailing"},
    {"use_exponential_sigmas": True},
    {"use_beta_sigmas": True},
    {"use_lu_lambdas": True},
    {"use_flow_sigmas": True, "flow_shift": 3.0},
    {"use_dynamic_shifting": True, "use_flow_sigmas": True},
    {"lambda_min_clipped": -5.1},
    {"algorithm_type": "sde-dpmsolver++", "use_karras_sigmas": True},
    {"algorithm_type": "dpmsolver", "final_sigmas_type": "sigma_min", "use_karras_sigmas": True},
]
LEARNED = [{"variance_type": "learned"}, {"variance_type": "learned_range"}]
OWN = {"DPMSolverMultistepScheduler": SIGMAS, "DDPMScheduler": LEARNED}
CONFIGURED = [(kind, settings) for kind in loading.STARTABLE for settings in (*SPACINGS, *CLIPS, *OWN.get(kind, []))]
EULERS = [
    ("EulerDiscreteScheduler", {"use_karras_sigmas": True, "timestep_spacing": "leading", "steps_offset": 1}),
    ("EulerDiscreteScheduler", {"use_beta_sigmas": True, "timestep_type": "continuous"}),
    ("EulerAncestralDiscreteScheduler", {"timestep_spacing": "trailing"}),
    ("UniPCMultistepScheduler", {"use_exponential_sigmas": True}),
    ("PNDMScheduler", {"skip_prk_steps": True}),
]


def configured(kind: str, settings: dict[str, Any]) -> Any:
    return getattr(diffusers, kind)(**NOISE, prediction_type="v_prediction", **settings)


@pytest.mark.parametrize("kind, settings", CONFIGURED)
def test_a_network_that_knows_the_picture_gets_it(kind: str, settings: dict[str, Any]) -> None:
    scheduler = configured(kind, settings)
    sampler, table = as_sampler(scheduler), alphas(scheduler)
    assert type(sampler) is type(scheduler) and torch.equal(alphas(sampler), table)
    generator = torch.Generator().manual_seed(0)
    x0 = 3 * torch.randn(2, 4, 8, 8, generator=generator)  # beyond 1: nothing may clip it
    alpha = table[342].float()
    x = alpha.sqrt() * x0 + (1 - alpha).sqrt() * torch.randn(x0.shape, generator=generator)
    for step in set_timesteps(sampler, 342, 12):
        x = sampler.step(x0, step, x).prev_sample
    left = (1 - float(table[0])) ** 0.5 if settings.get("final_sigmas_type") == "sigma_min" else 0
    assert torch.allclose(x, x0, atol=0.02 + 5 * left)


@pytest.mark.parametrize("kind, settings", [*CONFIGURED, *EULERS])
@pytest.mark.parametrize("name", loading.SCHEDULERS)
def test_another_solver_has_the_same_levels_and_its_own_manner(name: str, kind: str, settings: dict[str, Any]) -> None:
    scheduler = configured(kind, settings)
    other = loading.scheduler_of(name, scheduler)
    assert type(other).__name__ == loading.SCHEDULERS[name] and other.config.prediction_type == "v_prediction"
    assert torch.allclose(alphas(other), alphas(scheduler), atol=1e-6)
    fresh = type(other)()
    for field in ("timestep_spacing", "thresholding", "use_karras_sigmas", "use_beta_sigmas", "use_flow_sigmas"):
        assert other.config.get(field) == fresh.config.get(field)
    assert set_timesteps(as_sampler(other), 342, 12)[0] == 342


def test_defaults_of_one_class_are_not_those_of_another() -> None:
    """LCM's schedule is scaled_linear unless it is told, DDIM's is linear."""
    made = loading.scheduler_of("lcm", diffusers.DDIMScheduler())
    assert torch.equal(alphas(made), alphas(diffusers.DDIMScheduler()))


def test_clipping_is_still_known_behind_a_solver_that_has_none() -> None:
    made = loading.scheduler_of("dpm", diffusers.DDPMScheduler(clip_sample=True, clip_sample_range=2.0))
    assert made.config.clip_sample and made.config.clip_sample_range == 2.0


def test_ddnms_step_keeps_to_its_own_spacing() -> None:
    made = over_levels_of(configured("DDPMScheduler", {"timestep_spacing": "linspace"}), RangeNullScheduler)
    made.set_timesteps(10)
    for step, following in zip(made.timesteps[:-1], made.timesteps[1:], strict=True):
        assert made.next_alpha(step) == made.alphas_cumprod[following]


def test_levels_that_a_class_cannot_have_are_told() -> None:
    with pytest.raises(SemlinkError, match=r"DDIMScheduler cannot stand in for DDPMScheduler \(sigmoid"):
        loading.scheduler_of("ddim", diffusers.DDPMScheduler(beta_schedule="sigmoid"))


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_all(tmp_path_factory.mktemp("models")) / "sd"


@pytest.mark.parametrize(
    "kind, settings",
    [("DPMSolverMultistepScheduler", SIGMAS[0]), ("DDPMScheduler", LEARNED[1]), EULERS[0], EULERS[3]],
)
def test_whole_codecs_take_them(kind: str, settings: dict[str, Any], saved: Path, tmp_path: Path) -> None:
    model = shutil.copytree(saved, tmp_path / "sd")
    shutil.rmtree(model / "scheduler")
    getattr(diffusers, kind)(**NOISE, **settings).save_pretrained(model / "scheduler")
    index = (model / "model_index.json").read_text()
    (model / "model_index.json").write_text(index.replace("EulerDiscreteScheduler", kind))
    images = smooth_pictures(1, 32, 40)
    for name in ("latent_diffusion", "img2img"):
        codec = codecs.create(name, model=model, steps=2)
        check_pictures(codec.decode(noiseless(codec.encode(images, TxInfo(snr_db=5.0)))), images)
