"""Denoising from the channel's own level, against closed forms: Gaussian states have an exact denoiser."""

from types import SimpleNamespace

import pytest
import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler

from semlink import channels
from semlink.codecs._diffusion.denoising import ChannelDenoisingPipeline, budget, raised
from semlink.codecs._diffusion.levels import alphas, step_of
from semlink.codecs._diffusion.networks import make_scheduler, make_unet
from semlink.codecs._learned.codec import from_symbols
from semlink.simulator import Link, Stream, Transmission, forms

SPREAD = 0.5  # standard deviation of x0 around the mean that the exact denoiser knows


class Exact(torch.nn.Module):
    """E[x0 | x_t] for x0 ~ N(mean, SPREAD^2): the network that training would end with."""

    def __init__(self, mean: torch.Tensor) -> None:
        super().__init__()
        self.mean = mean
        self.config = SimpleNamespace(num_class_embeds=None)
        self.dtype = torch.float32
        self.asked: list[int] = []

    def forward(self, x: torch.Tensor, steps: torch.Tensor, class_labels=None) -> SimpleNamespace:
        self.asked.append(int(steps[0]))
        alpha = alphas(DDIMScheduler())[steps].float()[:, None, None, None]
        share = alpha.sqrt() * SPREAD**2 / (alpha * SPREAD**2 + 1 - alpha)
        return SimpleNamespace(sample=self.mean + share * (x - alpha.sqrt() * self.mean))


def pipeline(mean: torch.Tensor, kind=DDIMScheduler) -> ChannelDenoisingPipeline:
    made = ChannelDenoisingPipeline(Exact(mean), kind(prediction_type="sample"))
    made.set_progress_bar_config(disable=True)
    return made


def states(alpha: torch.Tensor, mean: torch.Tensor, batch: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    x0 = mean + SPREAD * torch.randn(batch, *mean.shape, generator=generator)
    return x0, alpha.sqrt() * x0 + (1 - alpha).sqrt() * torch.randn(x0.shape, generator=generator)


MEAN = torch.linspace(-1, 1, 2 * 8 * 8).reshape(2, 8, 8)


@pytest.mark.parametrize("kind", [DDIMScheduler, DPMSolverMultistepScheduler])
@pytest.mark.parametrize("level", [0.9, 0.5, 0.2])
def test_denoised_states_have_the_distribution_of_clean_ones(kind, level) -> None:
    """The exact chain transports the law of noisy states to that of clean ones: same mean, same variance."""
    x0, noisy = states(torch.tensor(level), MEAN)
    clean = pipeline(MEAN, kind)(noisy, torch.full((64, 1, 1, 1), level), num_inference_steps=50).states
    assert float((clean - MEAN).mean()) == pytest.approx(0, abs=0.02)
    assert float((clean - MEAN).std()) == pytest.approx(SPREAD, rel=0.05)
    received = noisy / level**0.5
    assert (clean - x0).square().mean() < 0.9 * (received - x0).square().mean()


def test_levels_of_their_own_beat_the_worst_ones_level_for_all() -> None:
    """Half of the elements are nearly clean: they stay so, and do not pay for the others."""
    alpha = torch.where(torch.arange(64).reshape(8, 8) % 2 == 0, 0.99, 0.3).expand(64, 2, 8, 8)
    x0, noisy = states(alpha, MEAN)
    own = pipeline(MEAN)(noisy, alpha, num_inference_steps=50, generator=torch.Generator().manual_seed(0)).states
    same = pipeline(MEAN)(noisy, torch.full_like(alpha, 0.3), num_inference_steps=50).states
    good = alpha > 0.9
    errors = [float((clean - x0)[good].square().mean()) for clean in (own, same)]
    assert errors[0] < 0.02 and errors[0] < 0.2 * errors[1], errors
    assert float((own - MEAN)[~good].std()) == pytest.approx(SPREAD, rel=0.1)


def test_a_wrong_start_misses_the_law_of_clean_states() -> None:
    """By ten times, in squared 2-Wasserstein distance."""
    _, noisy = states(torch.tensor(0.5), MEAN, batch=1000)
    distances = {
        claimed: distance(pipeline(MEAN)(noisy, torch.full((1000, 1, 1, 1), claimed), num_inference_steps=50).states)
        for claimed in (0.2, 0.5, 0.9)
    }
    assert distances[0.5] < 0.1 * min(distances[0.2], distances[0.9]), distances


def distance(clean: torch.Tensor) -> float:
    """Squared 2-Wasserstein distance of Gaussians: states and what they should be, averaged over elements."""
    return float((clean.mean(0) - MEAN).square().mean() + (clean.std(0) - SPREAD).square().mean())


def test_raising_makes_all_elements_of_one_level() -> None:
    """Variance and signal share after raising are those of the common level."""
    alpha = torch.tensor([0.95, 0.7, 0.4]).repeat(4).reshape(1, 12, 1, 1).expand(4000, 12, 1, 1)
    x0 = torch.randn(alpha.shape, generator=torch.Generator().manual_seed(0))
    noisy = alpha.sqrt() * x0 + (1 - alpha).sqrt() * torch.randn(alpha.shape)
    parts = [raised(noisy[i : i + 1], alpha[i : i + 1], torch.tensor(0.4), None) for i in range(4000)]
    seen = torch.cat(parts)
    assert float(seen.var()) == pytest.approx(1, rel=0.02)
    shares = (seen * x0).mean(0).flatten()
    assert torch.allclose(shares, torch.full((12,), 0.4**0.5), atol=0.05)


@pytest.mark.parametrize("name", ["awgn", "rayleigh"])
@pytest.mark.parametrize("snr_db", [0.0, 10.0])
def test_the_latent_at_the_start_has_unit_variance(name, snr_db) -> None:
    """What the link hands over is a diffusion state of level 1 - a: variance 1 within 2 %, per real dimension."""
    symbols = torch.randn(96, 864, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    symbols = symbols / symbols.abs().square().mean(1, keepdim=True).sqrt()
    sent = Transmission((Stream("latent", "analog", symbols),))
    stream = Link(channels.create(name), csi="perfect")(sent, snr_db=snr_db, seed=3).streams[0]
    state = 2**0.5 * forms.variance_preserving(stream.x_hat, stream.a)
    assert float(from_symbols(state, 1, 1, 864).square().mean()) == pytest.approx(1, rel=0.02)


def test_nothing_received_is_pure_noise_at_the_start() -> None:
    network = pipeline(MEAN)
    clean = network(torch.zeros(3, 2, 8, 8), torch.zeros(3, 1, 1, 1), generator=torch.Generator().manual_seed(0)).states
    assert network.unet.asked[0] == 999 and bool(torch.isfinite(clean).all())
    assert torch.equal(clean[0], clean[2]), "an image does not depend on its place in the batch"


def test_steps_follow_the_level() -> None:
    scheduler = DDIMScheduler()
    counts = [budget(int(step_of(scheduler, torch.tensor(a))), 1000) for a in (0.999, 0.9, 0.5, 0.01)]
    assert counts == sorted(counts) and counts[0] == 4 and counts[-1] >= 30
    assert counts[1] <= 12, "10 dB"


def test_it_is_a_diffusers_pipeline(tmp_path) -> None:
    torch.manual_seed(0)
    made = ChannelDenoisingPipeline(make_unet(4, (32, 32), hints=2, classes=8, side=8), make_scheduler())
    made.set_progress_bar_config(disable=True)
    made.save_pretrained(tmp_path)
    again = ChannelDenoisingPipeline.from_pretrained(tmp_path)
    again.set_progress_bar_config(disable=True)
    noisy, hints = torch.randn(2, 4, 8, 8), torch.randn(2, 2, 8, 8)
    given = {"hints": hints, "labels": torch.tensor([1, 8]), "num_inference_steps": 3}
    seeded = [torch.Generator().manual_seed(0) for _ in range(4)]
    alpha = torch.full((2, 1, 1, 1), 0.7)
    one, other = (p(noisy, alpha, **given, generator=seeded.pop()).states for p in (made, again))
    assert torch.allclose(one, other, atol=1e-4) and bool(torch.isfinite(one).all())
    again.scheduler = DPMSolverMultistepScheduler.from_config(again.scheduler.config)
    swapped = again(noisy, alpha, **given, generator=seeded.pop())
    assert swapped.steps == 3 and not torch.equal(swapped.states, one)
    half = made.to(torch.bfloat16)(noisy, alpha, **given, generator=seeded.pop()).states
    assert torch.allclose(half, one, atol=0.3)
