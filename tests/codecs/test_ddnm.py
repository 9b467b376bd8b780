"""ddnm: projection algebra, exact consistency, noise accounting, Gaussian posteriors, a codec that never crashes."""

import logging
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel
from tiny_denoisers import Gaussian

from semlink import codecs
from semlink.codecs import ddnm
from semlink.codecs._diffusion import loading, priors
from semlink.codecs._diffusion.networks import make_scheduler, make_unet
from semlink.codecs._diffusion.range_null import (
    Measured,
    RangeNullPipeline,
    RangeNullScheduler,
    consistent,
    next_state,
    pooled,
    posterior_weight,
    range_part,
    reduced_weight,
    replicated,
)
from semlink.simulator import SemlinkError, TxInfo, check_codec
from semlink.simulator.conformance.codec import lost, noiseless, smooth_pictures
from semlink.simulator.training.channels import Surrogate

SCHEDULERS = (None, "ddim", "dpm", "lcm")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def quiet(pipeline: RangeNullPipeline) -> RangeNullPipeline:
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def with_scheduler(pipeline: RangeNullPipeline, name: str | None) -> RangeNullPipeline:
    own = pipeline.scheduler
    scheduler = loading.scheduler_of(name, own) if name else RangeNullScheduler.from_config(own.config)
    return quiet(RangeNullPipeline(pipeline.unet, scheduler, pipeline.config.patch, pipeline.config.spread))


def tiny(patch: int = 2, kind: str = "v_prediction", silent: bool = False) -> RangeNullPipeline:
    """A pipeline of a small network with random weights; silent: one that always answers 0."""
    torch.manual_seed(0)
    unet = make_unet(3 * patch**2, (16, 32))
    if silent:
        torch.nn.init.zeros_(unet.conv_out.weight)
        torch.nn.init.zeros_(unet.conv_out.bias)
    return quiet(RangeNullPipeline(unet.eval(), make_scheduler(kind), patch))


@pytest.fixture(scope="module")
def grey_prior(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prior that takes every picture for grey; ddnm in paper mode then replicates what it received."""
    folder = tmp_path_factory.mktemp("grey")
    tiny(kind="sample", silent=True).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def wild_prior(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prior of random weights."""
    folder = tmp_path_factory.mktemp("wild")
    tiny().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def white_prior(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The exact denoiser of white pictures of unit variance: v = 0, so x0 = sqrt(alpha) x."""
    folder = tmp_path_factory.mktemp("white")
    tiny(silent=True).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("pool", [1, 2, 4])
def test_pooling_and_replication(pool: int) -> None:
    means = torch.rand(2, 3, 4, 6, generator=generator())
    pictures = torch.rand(2, 3, 4 * pool, 6 * pool, generator=generator(1))
    assert torch.allclose(pooled(replicated(means, pool), pool), means, atol=1e-6)  # A A+ = I
    once = range_part(pictures, pool)
    assert torch.allclose(range_part(once, pool), once, atol=1e-6)
    assert abs((once * (pictures - once)).sum()) < 1e-3  # the parts are orthogonal


def test_consistent_pictures_are_the_nearest_in_the_box() -> None:
    pictures = torch.randn(2, 3, 8, 8, generator=generator()) / 2 + 0.5
    means = torch.rand(2, 3, 4, 4, generator=generator(1))
    means[:, :, 0, 0], means[:, :, 0, 1] = 0, 1
    found = consistent(pictures, means, 2)
    assert found.min() >= 0 and found.max() <= 1
    assert (pooled(found, 2) - means).abs().max() < 1e-6
    other = consistent(torch.rand(2, 3, 8, 8, generator=generator(2)), means, 2)
    away = ((other - found) * (found - pictures)).sum()  # nearest: no other picture lies on the near side
    assert away > -1e-3
    assert torch.allclose(consistent(found, means, 2), found, atol=1e-5)


@pytest.mark.parametrize("pool", [1, 2, 4])
@pytest.mark.parametrize("name", SCHEDULERS)
def test_paper_mode_keeps_what_was_measured(name: str | None, pool: int) -> None:
    """Also at the ends of the range and at sizes that fit neither patch nor strides of the network."""
    pipeline = with_scheduler(tiny(), name)
    means = torch.rand(2, 3, 7, 5, generator=generator(3))
    means[0] = means[0].round()
    pictures = pipeline(means, pool, num_inference_steps=3, generator=generator(), output_type="pt").images
    assert pictures.shape == (2, 3, 7 * pool, 5 * pool) and pictures.min() >= 0 and pictures.max() <= 1
    assert (pooled(pictures, pool) - means).abs().max() < 1e-4


def test_the_step_is_the_papers() -> None:
    """x' = sqrt(a') x0 + sqrt(1 - a') (eta z + sqrt(1 - eta^2) n), written out for one step."""
    scheduler = RangeNullScheduler.from_config(make_scheduler("sample").config)
    scheduler.set_timesteps(20)
    x0, z, n = torch.randn(3, 1, 3, 4, 4, generator=generator())
    alpha, later = scheduler.alphas_cumprod[500], scheduler.alphas_cumprod[450]
    state = alpha.sqrt() * x0 + (1 - alpha).sqrt() * n
    wanted = later.sqrt() * x0 + (1 - later).sqrt() * (0.6 * z + 0.8 * n)
    assert torch.allclose(scheduler.step(x0, 500, state, eta=0.6, variance_noise=z).prev_sample, wanted, atol=1e-5)
    last = scheduler.step(x0, 0, state, generator=generator()).prev_sample
    assert torch.equal(last, x0)


def test_noisy_measurements_leave_each_state_its_own_noise() -> None:
    """With a denoiser that knows the picture, every state is sqrt(a) x0 + noise of variance 1 - a, in both parts."""
    pool, sigma, batch = 2, 0.3, 3000
    scheduler = RangeNullScheduler.from_config(make_scheduler("sample").config)
    scheduler.set_timesteps(20)
    draw = generator()
    x0 = torch.randn(1, 3, 4, 4, generator=draw).expand(batch, -1, -1, -1)
    y = pooled(x0, pool) + sigma * torch.randn(batch, 3, 2, 2, generator=draw)
    known = Measured(replicated(y, pool), torch.full((batch, 1, 1, 1), pool * sigma), pool, patch=1)
    state, within, reduced = torch.randn(x0.shape, generator=draw), 0, 0
    for t in scheduler.timesteps:
        state = next_state(scheduler, t, state, x0, known, 0.85, draw, 1.0)
        alpha = scheduler.next_alpha(t)
        noise = state - alpha.sqrt() * x0
        mine = range_part(noise, pool)
        for part, dimensions in ((mine, 1 / pool**2), (noise - mine, 1 - 1 / pool**2)):
            variance = part.square().mean() / dimensions
            assert abs(variance - (1 - alpha)) < 0.03 * (1 - alpha) + 1e-9, f"{variance} at {t}, not {1 - alpha}"
            assert part.mean().abs() < 0.05 * (1 - alpha).sqrt() + 1e-6
        weight = float(reduced_weight(known.noise, alpha)[0][0])
        within, reduced = within + (weight == 1), reduced + (weight < 1)
    assert within > 3 and reduced > 3, "both regimes of lambda must have been met"


@pytest.mark.parametrize(("name", "steps", "eta"), [("dpm", 250, 0.0), ("ddim", 500, 0.0), ("ddim", 500, 1.0)])
def test_other_schedulers_sample_the_gaussian_posterior(name: str, steps: int, eta: float) -> None:
    """Range part: given y, mean and variance of N(mu, s^2) observed through noise; null part: the prior's."""
    pool, sigma, mean, spread, batch = 2, 0.04, 0.1, 0.25, 200
    draw = generator(1)
    x0 = mean + spread * torch.randn(batch, 3, 8, 8, generator=draw)
    y = pooled(x0, pool) + 2 * sigma * torch.randn(batch, 3, 4, 4, generator=draw)
    prior = RangeNullPipeline(Gaussian(mean, spread), make_scheduler("sample"), spread=spread)
    settings = {"num_inference_steps": steps, "eta": eta, "generator": draw, "output_type": "pt"}
    found = 2 * with_scheduler(prior, name)(y / 2 + 0.5, pool, sigma, **settings).images - 1
    noise = pool * 2 * sigma  # along a unit vector of the range
    trust = spread**2 / (spread**2 + noise**2)
    coordinates = pool * (pooled(found, pool) - mean)
    observed = pool * (y - mean)
    slope = (coordinates * observed).sum() / observed.square().sum()
    left = (coordinates - trust * observed).var()
    null = (found - range_part(found, pool)).square().mean() / (1 - 1 / pool**2)
    assert abs(slope - trust) < 0.02
    assert abs(coordinates.mean()) < 0.01
    # the remaining error is that of the solver's steps, and goes with them
    assert abs(left / (trust * noise**2) - 1) < 0.12, f"variance {left}, not {trust * noise**2}"
    assert abs(null / spread**2 - 1) < 0.08, f"null variance {null}, not {spread**2}"


def test_noisy_mode_is_nearer_to_the_truth_than_the_measurement() -> None:
    """DDNM+ on a Gaussian prior: error in the range between that of the posterior mean and that of y; paper: y's."""
    pool, sigma, spread, batch = 2, 0.06, 0.25, 400
    draw = generator(2)
    x0 = spread * torch.randn(batch, 3, 8, 8, generator=draw)
    y = pooled(x0, pool) + 2 * sigma * torch.randn(batch, 3, 4, 4, generator=draw)
    prior = with_scheduler(RangeNullPipeline(Gaussian(0.0, spread), make_scheduler("sample")), None)

    def error(sigma_y: float) -> float:
        found = 2 * prior(y / 2 + 0.5, pool, sigma_y, generator=draw, output_type="pt").images - 1
        return float((pool * pooled(found - x0, pool)).square().mean())

    noise = (pool * 2 * sigma) ** 2
    best = noise * spread**2 / (noise + spread**2)
    assert abs(error(0.0) / noise - 1) < 0.05
    assert best * 0.95 < error(sigma) < 0.85 * noise


def test_weights_of_the_correction() -> None:
    noise, alpha = torch.tensor([0.0, 0.1, 1.0]), torch.tensor(0.9)
    weight, missing = reduced_weight(noise, alpha)
    assert torch.allclose(weight, torch.tensor([1.0, 1.0, 1 / 3]), atol=1e-5)
    assert torch.allclose(missing**2, torch.tensor([0.1, 0.1 - 0.009, 0.0]), atol=1e-6)
    assert reduced_weight(noise, torch.tensor(1.0))[0].tolist() == [1, 0, 0]
    assert torch.allclose(posterior_weight(noise, alpha), torch.tensor([1.0, 10 / 11, 1 / 11]), atol=1e-4)


def test_pipelines_are_saved_and_loaded(tmp_path: Path) -> None:
    means = torch.rand(1, 3, 8, 8, generator=generator())
    for name in (None, "dpm"):
        pipeline = with_scheduler(tiny(), name)
        pipeline.save_pretrained(tmp_path / str(name))
        again = quiet(loading.load_pipeline(RangeNullPipeline, tmp_path / str(name)))
        assert type(again.scheduler) is type(pipeline.scheduler) and again.config.patch == 2
        one, other = (p(means, 2, 0.1, 4, generator=generator(), output_type="pt").images for p in (pipeline, again))
        assert torch.allclose(one, other, atol=1e-4)
    assert loading.load_pipeline(RangeNullPipeline, tmp_path / "dpm", "bfloat16").unet.dtype == torch.bfloat16
    unet = loading.load_model(UNet2DModel, tmp_path / "dpm", subfolder="unet")
    assert torch.equal(unet.conv_in.weight, pipeline.unet.conv_in.weight) and not unet.training
    with pytest.raises(SemlinkError, match="did not load .*it needs config.json"):
        loading.load_model(UNet2DModel, tmp_path / "dpm", subfolder="vae")


def test_output_types_dtype_and_options() -> None:
    pipeline = with_scheduler(tiny(), None)
    means = torch.rand(2, 3, 8, 8, generator=generator())
    call = {"pool": 2, "num_inference_steps": 3}
    whole = pipeline(means, generator=generator(), output_type="pt", **call).images
    array = pipeline(means, generator=generator(), output_type="np", **call).images
    assert array.shape == (2, 16, 16, 3) and abs(array.transpose(0, 3, 1, 2) - whole.numpy()).max() < 1e-6
    (picture, _), *_ = pipeline(means, generator=generator(), return_dict=False, **call)
    assert picture.size == (16, 16)
    pipeline.enable_attention_slicing()
    sliced = pipeline(means, generator=generator(), output_type="pt", **call).images
    assert torch.allclose(sliced, whole, atol=1e-4)
    half = pipeline.to(torch.bfloat16)(means, generator=generator(), output_type="pt", **call).images
    assert half.dtype == torch.float32 and (pooled(half, 2) - means).abs().max() < 1e-4
    assert (half - whole).abs().mean() < 0.02
    with pytest.raises(SemlinkError, match="takes finite .batch, 3, h, w."):
        pipeline(means[:, :2], 2)
    with pytest.raises(SemlinkError, match="not be negative"):
        pipeline(means, 2, -0.1)


def test_any_unconditional_pipeline_is_a_prior(tmp_path: Path) -> None:
    """A DDPMPipeline on pixels with a network that also tells variances, as guided-diffusion's do."""
    unet = UNet2DModel(
        in_channels=3,
        out_channels=6,
        block_out_channels=(8, 16),
        down_block_types=("DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        norm_num_groups=4,
    )
    DDPMPipeline(unet, DDPMScheduler(variance_type="learned_range")).save_pretrained(tmp_path)
    for scheduler in SCHEDULERS:
        pipeline = priors.range_null_prior(str(tmp_path), scheduler, "float32")
        assert pipeline.scheduler.config.prediction_type == "epsilon" and pipeline.config.patch == 1
        means = torch.rand(1, 3, 8, 8, generator=generator())
        found = pipeline(means, 2, 0.05, 4, generator=generator(), output_type="pt").images
        assert found.shape == (1, 3, 16, 16) and torch.isfinite(found).all()


def test_conforms(grey_prior: Path) -> None:
    check_codec(codecs.create("ddnm", prior=grey_prior, mode="paper", steps=3), smooth_pictures(3, 50, 61))


@pytest.mark.parametrize("pool", [1, 2, 4])
def test_noisy_mode_at_every_pool_and_odd_sizes(white_prior: Path, pool: int) -> None:
    """White noise as a prior says nothing of block means: what the link tells of them stays."""
    codec = codecs.create("ddnm", prior=white_prior, rho=1 / 6 / pool**2, pool=pool, steps=20)
    images = smooth_pictures(2, 33, 43)
    sent = codec.encode(images, TxInfo(snr_db=20.0))
    assert sent.streams[0].payload.shape == (2, codec.uses(33, 43))
    found = codec.decode(noiseless(sent))
    assert found.shape == images.shape
    means = codec.received(noiseless(sent)).pictures
    whole = (slice(None), slice(None), slice(33 // pool), slice(43 // pool))
    inside = found[..., : 33 // pool * pool, : 43 // pool * pool]
    assert (pooled(inside, pool) - means[whole]).square().mean().sqrt() < 0.1


@pytest.mark.parametrize("name", ["ddnm", "img2img"])
def test_what_the_inner_codec_cannot_decode_is_left_and_marked(name: str) -> None:
    """Payloads that arrived and are no picture: grey, without diffusion, and counted as lost."""
    models = {"model": "none", "steps": 0} if name == "img2img" else {}
    codec = codecs.create(name, rho=1 / 24, inner="digital", sigma_y=0.1, **models)
    sent = codec.encode(smooth_pictures(2, 32, 32), TxInfo(snr_db=10.0))
    whole = noiseless(sent)
    wrong = replace(whole, streams=(replace(whole.streams[0], payload=(b"", bytes([255] * 20))),))
    found, marks = codec.decode_marked(wrong)
    assert marks == (True, True) and (found == 0.5).all() and torch.equal(found, codec.decode(wrong))
    assert codec.decode_marked(lost(sent))[1] == (False, False)


def received(codec: ddnm.Ddnm, snr_db: float, count: int = 3):
    sent = codec.encode(smooth_pictures(count, 32, 36), TxInfo(snr_db=snr_db))
    return Surrogate(0, 0, 0)(sent, torch.full((count,), float(snr_db)), generator())


def test_paper_mode_reproduces_the_inner_picture(wild_prior: Path) -> None:
    codec = codecs.create("ddnm", prior=wild_prior, mode="paper", steps=3)
    reception = received(codec, 0.0)
    means = codec.received(reception).pictures
    assert (pooled(codec.decode(reception), 2) - means).abs().max() < 1e-3
    noisy = codecs.create("ddnm", prior=wild_prior, steps=3)
    assert (pooled(noisy.decode(reception), 2) - means).square().mean().sqrt() > 3e-3


def test_the_rate_is_that_of_the_full_picture() -> None:
    for rho, pool in ((1 / 24, 2), (1 / 48, 2), (1 / 96, 4), (1 / 6, 1)):
        codec = codecs.create("ddnm", rho=rho, pool=pool, mode="paper")
        assert codec.uses(64, 96) == round(rho * 3 * 64 * 96)


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_batch_and_seed(wild_prior: Path, scheduler: str | None) -> None:
    """Each picture is the same alone; the public seed decides, and decides alone."""
    codec = codecs.create("ddnm", prior=wild_prior, steps=4, scheduler=scheduler, sigma_y=0.1)
    reception = replace(received(codec, 5.0), public_seed=7)
    whole = codec.decode(reception)
    stream = reception.streams[0]
    for i in range(3):
        one = replace(stream, x_hat=stream.x_hat[i : i + 1], a=stream.a[i : i + 1])
        assert torch.allclose(codec.decode(replace(reception, streams=(one,))), whole[i : i + 1], atol=1e-4)
    torch.manual_seed(123)
    assert torch.equal(codec.decode(reception), whole)
    assert (codec.decode(replace(reception, public_seed=8)) - whole).abs().mean() > 1e-3


def test_uncertainty_follows_the_received_quality(wild_prior: Path) -> None:
    codec = codecs.create("ddnm", prior=wild_prior)
    quality = 1 / (1 + 10 ** (-torch.tensor([-10.0, 0.0, 6.25, 10.0, 20.0]) / 10))
    sigma = codec.uncertainty(quality, 5, 128)
    assert (sigma.diff() < 0).all() and 0.005 < sigma.min() and sigma.max() < 0.25
    around = codec.uncertainty(1 / (1 + 10 ** (-torch.tensor([5.0, 7.5]) / 10)), 2, 128)
    assert abs(sigma[2] - around.mean()) < 1e-5  # interpolated in dB
    assert not torch.allclose(codec.uncertainty(quality, 5, 32), sigma)  # small pictures have weights of their own
    assert codecs.create("ddnm", prior=wild_prior, mode="paper").uncertainty(quality, 5, 128).tolist() == [0] * 5
    with pytest.raises(SemlinkError, match=r"measure_sigma.py --inner .deepjscc. --rho 0.1667 --pools 2"):
        codecs.create("ddnm", inner="deepjscc").uncertainty(quality, 5, 128)


def test_bad_input_gives_defined_pictures(wild_prior: Path, caplog: pytest.LogCaptureFixture) -> None:
    codec = codecs.create("ddnm", prior=wild_prior, steps=3)
    reception = received(codec, 5.0)
    stream = reception.streams[0]
    with caplog.at_level(logging.WARNING):
        x_hat, a = stream.x_hat.clone(), stream.a.clone()
        x_hat[0, :9], a[1, 5] = complex("nan"), float("inf")
        broken = codec.decode(replace(reception, streams=(replace(stream, x_hat=x_hat, a=a),)))
    assert "10 symbols that are not finite" in caplog.text
    assert torch.isfinite(broken).all() and torch.allclose(broken[2], codec.decode(reception)[2], atol=1e-4)
    sent = codec.encode(smooth_pictures(2, 32, 36), TxInfo(snr_db=5.0))
    caplog.clear()
    nothing = codec.decode(lost(sent))
    assert "nothing arrived of 2 of 2 pictures" in caplog.text
    assert torch.allclose(nothing, replicated(pooled(nothing, 2), 2), atol=1e-6)  # no prior at work
    caplog.clear()
    assert torch.isfinite(codec.decode(noiseless(sent))).all() and "beyond -10 to 20 dB" in caplog.text


def test_a_failing_prior_leaves_the_coarse_picture(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pipeline = tiny()
    torch.nn.init.constant_(pipeline.unet.conv_out.bias, float("nan"))
    pipeline.save_pretrained(tmp_path)
    codec = codecs.create("ddnm", prior=tmp_path, steps=2)
    reception = received(codec, 5.0)
    means = codec.received(reception).pictures
    assert torch.equal(codec.decode(reception), replicated(means, 2))
    assert "prior failed on 3 of 3" in caplog.text


def test_wrong_settings_say_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for settings, message in (
        ({"mode": "loud"}, "known: noisy, paper"),
        ({"pool": 3}, "known: noisy, paper, and pools"),
        ({"steps": 0}, "need steps >= 1"),
        ({"scheduler": "heun"}, "unknown scheduler 'heun'; known: ddim, dpm, lcm"),
        ({"dtype": "int4"}, "unknown dtype 'int4'; known: float32"),
        ({"inner": "ddnm"}, "cannot carry itself"),
        ({"rho": 1 / 20}, "not a multiple of 1/48"),
    ):
        with pytest.raises(SemlinkError, match=message):
            codecs.create("ddnm", **settings)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("diffusers.utils.constants.HF_HUB_OFFLINE", True, raising=False)
    with pytest.raises(SemlinkError, match="hf download some/prior --local-dir FOLDER.*model_index.json"):
        priors.range_null_prior("some/prior", None, "float32")
    with pytest.raises(SemlinkError, match="did not load .*it needs model_index.json"):
        priors.range_null_prior(str(tmp_path), None, "float32")


def test_pickled_weights_are_not_read(tmp_path: Path) -> None:
    tiny().save_pretrained(tmp_path, safe_serialization=False)
    with pytest.raises(SemlinkError, match="did not load .*safetensors"):
        loading.load_pipeline(RangeNullPipeline, tmp_path)


@pytest.mark.parametrize("name", ["ddnm", "posterior"])
def test_a_prior_that_the_wheel_left_out_is_told_with_where_it_is(name, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(priors, "SHIPPED", (tmp_path / "prior-small", tmp_path / "prior-natural"))
    codec = codecs.create(name, rho=1 / 24)
    with pytest.raises(SemlinkError, match="prior-natural is not in the wheel.*from a checkout"):
        codec.decode(noiseless(codec.encode(torch.rand(1, 3, 64, 64), TxInfo(snr_db=10.0))))
