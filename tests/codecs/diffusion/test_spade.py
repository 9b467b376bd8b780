"""The network and its pipeline: preconditioning, independence of padding, saving, schedulers, states of loss."""

import pytest
import torch

from semlink.codecs._diffusion import loading
from semlink.codecs._diffusion.networks import make_scheduler
from semlink.codecs._diffusion.spade import NO_COARSE, SPREAD, SpadeUNet, about
from semlink.codecs.spic.pipeline import SpicPipeline
from semlink.simulator.errors import SemlinkError

CLASSES = 5


def network(seed: int = 0) -> SpadeUNet:
    torch.manual_seed(seed)
    made = SpadeUNet(CLASSES, widths=(16, 16, 32), map_width=8).eval()
    for parameter in made.parameters():  # what begins with zeros would hide what it depends on
        if parameter.abs().max() == 0:
            torch.nn.init.normal_(parameter, std=0.05)
    return made


def pipeline(scheduler: str | None = None) -> SpicPipeline:
    made = SpicPipeline(network(), make_scheduler("sample"))
    if scheduler:
        made.scheduler = loading.scheduler_of(scheduler, made.scheduler)
    made.set_progress_bar_config(disable=True)
    return made


def known(height: int = 32, width: int = 48, batch: int = 1) -> dict[str, torch.Tensor]:
    draws = torch.Generator().manual_seed(1)
    shares = torch.nn.functional.one_hot(torch.randint(CLASSES, (batch, height, width), generator=draws), CLASSES)
    told = torch.tensor([about(4, 800, height, width)] * batch)
    return {
        "coarse": torch.rand(batch, 3, height, width, generator=draws),
        "told": told,
        "shares": shares.permute(0, 3, 1, 2).float(),
    }


def made(of: SpicPipeline, **inputs: object) -> torch.Tensor:
    return of(**inputs, generator=torch.Generator().manual_seed(3), output_type="pt").images


@pytest.mark.parametrize(("told", "spread"), [(NO_COARSE, SPREAD[0]), (about(4, 800, 16, 16), SPREAD[1])])
def test_an_untrained_network_is_the_linear_estimate(told, spread):
    """Its last layer begins with zeros, so x0 is Wiener's estimate of x ~ N(coarse, spread^2) from the state."""
    torch.manual_seed(0)
    fresh, alpha = SpadeUNet(CLASSES, widths=(16, 16, 32)).eval(), 0.7
    coarse = torch.full((512, 3, 16, 16), 0.1 if told[0] else 0.0)
    x = coarse + spread * torch.randn(coarse.shape)
    state = alpha**0.5 * x + (1 - alpha) ** 0.5 * torch.randn(coarse.shape)
    with torch.no_grad():
        shares = torch.zeros(512, CLASSES, 16, 16)
        found = fresh(state, torch.full((512,), alpha), coarse, torch.tensor([told] * 512), shares)
    noise = (1 - alpha) / alpha
    assert (found - x).square().mean() == pytest.approx(spread**2 * noise / (spread**2 + noise), rel=0.01)


def test_every_input_matters():
    of, inputs = pipeline(), known()
    whole = made(of, **inputs)
    assert not torch.allclose(whole, made(of, **{**inputs, "shares": None}), atol=1e-4)
    assert not torch.allclose(whole, made(of, **{**inputs, "shares": inputs["shares"].roll(1, 1)}), atol=1e-4)
    assert not torch.allclose(whole, made(of, **{**inputs, "told": inputs["told"] * 2}), atol=1e-4)
    assert not torch.allclose(whole, made(of, shares=inputs["shares"]), atol=1e-4)


def test_guidance_of_one_is_the_map_and_zero_is_none():
    of, inputs = pipeline(), known()
    bare = made(of, coarse=inputs["coarse"], told=inputs["told"])
    assert torch.allclose(made(of, **inputs, guidance_scale=0.0), bare, atol=1e-5)
    assert not torch.allclose(made(of, **inputs, guidance_scale=1.0), bare, atol=1e-4)


@pytest.mark.parametrize("size", [(32, 48), (33, 50), (7, 9)])
def test_any_size_comes_back(size):
    found = made(pipeline(), **known(*size))
    assert found.shape == (1, 3, *size) and found.min() >= 0 and found.max() <= 1


def test_a_picture_does_not_depend_on_those_beside_it():
    inputs = known(batch=3)
    together = made(pipeline(), **inputs)
    alone = made(pipeline(), **{name: value[1:2] for name, value in inputs.items()})
    assert torch.allclose(together[1:2], alone, atol=1e-5)


@pytest.mark.parametrize("scheduler", ["ddim", "dpm", "lcm"])
def test_schedulers_can_be_swapped(scheduler):
    found = made(pipeline(scheduler), **known(), num_inference_steps=4)
    assert torch.isfinite(found).all()


def test_a_saved_pipeline_gives_the_same_picture(tmp_path):
    of = pipeline()
    of.save_pretrained(tmp_path / "p")
    again = loading.load_pipeline(SpicPipeline, tmp_path / "p")
    again.set_progress_bar_config(disable=True)
    assert torch.allclose(made(of, **known()), made(again, **known()), atol=1e-5)


def test_what_cannot_be_made_is_said():
    with pytest.raises(SemlinkError, match="not even its size"):
        made(pipeline())
    with pytest.raises(SemlinkError, match="told"):
        made(pipeline(), coarse=torch.rand(1, 3, 32, 32))
