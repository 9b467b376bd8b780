"""posterior: least squares against algebra, Gaussian posteriors, a data term that falls, a codec that never crashes."""

import logging
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_denoisers import Gaussian

from semlink import codecs
from semlink.codecs import posterior
from semlink.codecs._diffusion import loading, priors
from semlink.codecs._diffusion.levels import step_of
from semlink.codecs._diffusion.networks import make_scheduler, make_unet
from semlink.codecs._diffusion.posterior_sampling import Linearised, PosteriorSamplingPipeline
from semlink.simulator import SemlinkError, TxInfo, check_codec
from semlink.simulator.conformance.codec import lost, noiseless, smooth_pictures
from semlink.simulator.training.channels import Surrogate

SCHEDULERS = ("ddim", "dpm", "lcm")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def quiet(pipeline: PosteriorSamplingPipeline) -> PosteriorSamplingPipeline:
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def with_scheduler(pipeline: PosteriorSamplingPipeline, name: str) -> PosteriorSamplingPipeline:
    scheduler = loading.scheduler_of(name, pipeline.scheduler)
    return quiet(PosteriorSamplingPipeline(pipeline.unet, scheduler, pipeline.config.patch, pipeline.config.spread))


def tiny(silent: bool = False) -> PosteriorSamplingPipeline:
    """A pipeline of a small network with random weights; silent: one that always answers 0."""
    torch.manual_seed(0)
    unet = make_unet(12, (16, 32))
    if silent:
        torch.nn.init.zeros_(unet.conv_out.weight)
        torch.nn.init.zeros_(unet.conv_out.bias)
    return quiet(PosteriorSamplingPipeline(unet.eval(), make_scheduler(), 2))


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


def test_the_correction_solves_least_squares() -> None:
    """argmin |f + J d|^2 + |d|^2 / v by conjugate gradients against the normal equations, picture by picture."""
    draw = generator()
    matrix, place = torch.randn(10, 12, generator=draw), torch.randn(3, 3, 2, 2, generator=draw)
    offset = torch.randn(3, 10, generator=draw) * torch.tensor([[0.0], [1.0], [30.0]])
    problem = Linearised(place, lambda x: x.flatten(1) @ matrix.T + offset)
    for variance in (0.1, 3.0):
        wanted = torch.linalg.solve(matrix.T @ matrix + torch.eye(12) / variance, -matrix.T @ problem.value.T).T
        found = problem.correction(variance, 14).flatten(1)
        assert torch.allclose(found, wanted, rtol=1e-2, atol=2e-3)
    assert problem.correction(1.0, 0).abs().max() == 0
    solved = Linearised(place, lambda x: 0 * x.flatten(1))
    assert solved.correction(1.0, 3).abs().max() == 0  # nothing left to correct: no division by zero


def test_derivatives_of_a_curved_misfit() -> None:
    """Forth against back: the two are of one Jacobian, within the curvature over the probe."""
    draw = generator(4)
    place, step, v = (torch.randn(2, *shape, generator=draw) for shape in ((3, 4, 4), (3, 4, 4), (48,)))
    problem = Linearised(place, lambda x: torch.tanh(x).flatten(1))
    one, other = (problem.forth(step) * v).sum(1), (problem.back(v) * step).flatten(1).sum(1)
    assert torch.allclose(one, other, rtol=0.05, atol=0.05)


@pytest.mark.parametrize(("name", "steps", "eta"), [("dpm", 60, 0.0), ("ddim", 150, 0.0), ("ddim", 400, 1.0)])
def test_the_gaussian_posterior_is_sampled(name: str, steps: int, eta: float) -> None:
    """Few noisy linear measurements of N(mu, s^2) pixels: mean and variance of the samples are the posterior's."""
    mean, spread, batch, wide = 0.1, 0.3, 400, 12
    draw = generator(1)
    matrix = torch.randn(6, wide, generator=draw) / spread / 2  # misfits of unit variance
    x0 = mean + spread * torch.randn(1, wide, generator=draw)
    y = x0 @ matrix.T + torch.randn(1, 6, generator=draw)
    prior = with_scheduler(PosteriorSamplingPipeline(Gaussian(mean, spread), make_scheduler("sample"), 1, spread), name)
    found = prior(
        torch.full((batch, 3, 2, 2), 0.5),
        lambda pictures: (2 * pictures - 1).flatten(1) @ matrix.T - y,
        num_inference_steps=steps,
        iterations=6,
        eta=eta,
        generator=draw,
        output_type="pt",
    )
    samples = (2 * found.images - 1).flatten(1)
    precision = matrix.T @ matrix + torch.eye(wide) / spread**2
    covariance = torch.linalg.inv(precision)
    wanted = covariance @ (matrix.T @ y[0] + mean / spread**2 * torch.ones(wide))
    deviation = covariance.diagonal().sqrt()
    away = (samples.mean(0) - wanted) / deviation
    # 400 samples leave 0.05 by chance
    assert away.square().mean().sqrt() < 0.1, f"mean off by {away.square().mean().sqrt():.3f} deviations"
    ratio = (samples.var(0) / covariance.diagonal()).mean()
    assert abs(ratio - 1) < 0.12, f"variance {ratio:.3f} of the posterior's"
    prior_off = ((mean - wanted) / deviation).square().mean().sqrt()
    assert prior_off > 0.5, "the measurement must matter"


def noisy_reception(codec: posterior.Posterior, snr_db: float, count: int = 3, side: int = 32):
    sent = codec.encode(smooth_pictures(count, side, side + 4), TxInfo(snr_db=snr_db))
    return Surrogate(0, 0, 0)(sent, torch.full((count,), float(snr_db)), generator())


def reencoding(codec: posterior.Posterior, reception) -> posterior.Reencoding:
    stream, size = reception.streams[0], (reception.session.height, reception.session.width)
    return posterior.Reencoding(codec.inner.network(*size), codec.inner, stream.x_hat, stream.a)


def data_term(codec: posterior.Posterior, reception, pictures: torch.Tensor) -> torch.Tensor:
    again = reencoding(codec, reception)
    with torch.no_grad():
        return again.residual(again.symbols(pictures)).square().mean(1)


@pytest.mark.parametrize("snr_db", [0.0, 10.0])
def test_true_pictures_have_a_unit_misfit(snr_db: float) -> None:
    """Whitened by the contract, also under fading, and by both terms; the SNR of the encoder is told by `a`."""
    codec = codecs.create("posterior", rho=1 / 12)
    images = smooth_pictures(8, 48, 64)
    sent = codec.encode(images, TxInfo(snr_db=snr_db))
    reception = Surrogate(0, 0, 0)(sent, torch.full((8,), snr_db), generator(2))
    again = reencoding(codec, reception)
    with torch.no_grad():
        sent_again = again.symbols(images)
        assert (sent_again - sent.streams[0].payload).abs().max() < 1e-3
        assert abs(again.residual(sent_again).square().mean() - 1) < 0.03
        confirm = again.confirming(images, generator())
        ratio = confirm(sent_again).square().sum() / again.residual(sent_again).square().sum()
    assert 0.7 < ratio < 1.4
    faded = Surrogate(0, 1, 0)(sent, torch.full((8,), snr_db), generator(3))
    assert abs(reencoding(codec, faded).residual(sent.streams[0].payload).square().mean() - 1) < 0.03


@pytest.mark.parametrize("mode", posterior.MODES)
def test_the_data_term_falls_along_the_chain(white_prior: Path, mode: str) -> None:
    """From a start far off, and below that of the inner codec's picture."""
    codec = codecs.create("posterior", rho=1 / 12, mode=mode, prior=white_prior, steps=6)
    reception = noisy_reception(codec, 10.0)
    inner = codec.inner.decode(reception)
    blurred = torch.nn.functional.avg_pool2d(inner, 5, 1, 2)
    pipeline = priors.posterior_prior(str(white_prior), "ddim", "float32")
    again = reencoding(codec, reception)
    chain = pipeline(
        blurred, lambda x: again.residual(again.symbols(x)), 60, 6, output_type="pt", generator=generator()
    )
    assert (chain.misfit.diff(dim=0) < 0).all(), f"{chain.misfit}"
    assert (chain.misfit[-1] < 0.6 * chain.misfit[0]).all(), f"{chain.misfit}"
    assert (data_term(codec, reception, codec.decode(reception)) < data_term(codec, reception, inner)).all()


def test_hifi_confirms_the_inner_picture(white_prior: Path) -> None:
    """The second term draws the decoded picture of the answer's symbols to that of x_hat."""

    def off(gamma: float) -> float:
        codec = codecs.create("posterior", rho=1 / 12, prior=white_prior, steps=6, zeta=1.0, gamma=gamma)
        reception = noisy_reception(codec, 0.0)
        again, inner = reencoding(codec, reception), codec.inner.decode(reception)
        with torch.no_grad():
            decoded = again.decoded(again.a * again.symbols(codec.decode(reception)), *inner.shape[-2:])
        return float((decoded - inner).square().mean())

    assert off(30.0) < 0.9 * off(0.0)


def test_streams_are_the_inner_codecs() -> None:
    images = smooth_pictures(2, 41, 45)
    for word, rho in (("adjscc", 1 / 12), ("deepjscc", 1 / 12)):
        codec = codecs.create("posterior", inner=word, rho=rho, start=0.05, steps=1)
        inner = codecs.create(word, rho=rho)
        one, other = codec.encode(images, TxInfo(snr_db=3.0)), inner.encode(images, TxInfo(snr_db=3.0))
        assert torch.equal(one.streams[0].payload, other.streams[0].payload) and one.session == other.session
        assert codec.uses(41, 45) == inner.uses(41, 45) and codec.encodes_on == inner.encodes_on
        assert codec.decode(noiseless(one, 0.9)).shape == images.shape


def test_conforms() -> None:
    """With the shipped prior, also in a process that has loaded nothing yet."""
    check_codec(codecs.create("posterior", rho=1 / 12, steps=2), smooth_pictures(3, 41, 45))


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_batch_and_seed(wild_prior: Path, scheduler: str) -> None:
    """Each picture is the same alone; the public seed decides, and decides alone."""
    mode = "hifi" if scheduler == "ddim" else "plain"  # cheaper
    settings = {"prior": wild_prior, "steps": 2, "scheduler": scheduler, "eta": 0.5, "mode": mode}
    codec = codecs.create("posterior", rho=1 / 12, **settings)
    reception = replace(noisy_reception(codec, 5.0, 2), public_seed=7)
    stream = reception.streams[0]
    stream = replace(stream, a=stream.a * torch.tensor([[1.0], [0.5]]))  # starts differ
    reception = replace(reception, streams=(stream,))
    whole = codec.decode(reception)
    for i in range(2):
        one = replace(stream, x_hat=stream.x_hat[i : i + 1], a=stream.a[i : i + 1])
        assert torch.allclose(codec.decode(replace(reception, streams=(one,))), whole[i : i + 1], atol=1e-3)
    torch.manual_seed(123)
    assert torch.equal(codec.decode(reception), whole)
    assert (codec.decode(replace(reception, public_seed=8)) - whole).abs().mean() > 1e-3
    with torch.inference_mode():
        assert torch.allclose(codec.decode(reception), whole, atol=1e-3)


def test_the_start_follows_error_and_rate(white_prior: Path) -> None:
    snr_db = torch.tensor([-10.0, 0.0, 6.25, 20.0])
    codec = codecs.create("posterior", rho=1 / 12, prior=white_prior)
    steps, alphas = codec.first_steps(snr_db, 64), make_scheduler().alphas_cumprod
    assert (steps.diff() < 0).all()
    noise = 2 * codec.reach * codec.error(snr_db, 64)
    assert (steps - step_of(make_scheduler(), 1 / (1 + noise**2))).abs().max() <= 1
    paper = codecs.create("posterior", rho=1 / 12, prior=white_prior, start="paper").first_steps(snr_db, 64)
    level = (alphas[paper] / (1 - alphas[paper])).log10()
    assert torch.allclose(level, 5 * ((1 + 10 ** (snr_db / 10)) ** (1 / 12)).log10(), atol=0.01)
    own = codecs.create("posterior", rho=1 / 12, prior=white_prior, start=0.1, memory="attention_slicing")
    assert own.error(snr_db, 64).tolist() == [0.1] * 4


def test_bad_input_gives_defined_pictures(wild_prior: Path, caplog: pytest.LogCaptureFixture) -> None:
    codec = codecs.create("posterior", rho=1 / 12, prior=wild_prior, steps=1)
    reception = noisy_reception(codec, 5.0)
    stream = reception.streams[0]
    whole = codec.decode(reception)
    with caplog.at_level(logging.WARNING):
        x_hat, a = stream.x_hat.clone(), stream.a.clone()
        x_hat[0, :9], a[1, 5] = complex("nan"), float("inf")
        broken = codec.decode(replace(reception, streams=(replace(stream, x_hat=x_hat, a=a),)))
    assert "10 symbols that are not finite" in caplog.text
    assert torch.isfinite(broken).all() and torch.allclose(broken[2], whole[2], atol=1e-3)
    caplog.clear()
    none = replace(
        stream, x_hat=stream.x_hat * torch.tensor([[0.0], [1], [1]]), a=stream.a * torch.tensor([[0.0], [1], [1]])
    )
    partly = replace(reception, streams=(none,))
    found = codec.decode(partly)
    assert "nothing arrived of 1 of 3 pictures" in caplog.text
    assert torch.equal(found[0], codec.inner.decode(partly)[0]) and torch.allclose(found[1:], whole[1:], atol=1e-3)
    sent = codec.encode(smooth_pictures(2, 32, 36), TxInfo(snr_db=5.0))
    assert torch.equal(codec.decode(lost(sent)), codec.inner.decode(lost(sent)))
    for a_of_all in (1.0, 1e-5):
        caplog.clear()
        assert torch.isfinite(codec.decode(noiseless(sent, a_of_all))).all() and "beyond -10 to 20 dB" in caplog.text


def test_a_failing_prior_leaves_the_inner_picture(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pipeline = tiny()
    torch.nn.init.constant_(pipeline.unet.conv_out.bias, float("nan"))
    pipeline.save_pretrained(tmp_path)
    codec = codecs.create("posterior", rho=1 / 12, prior=tmp_path, steps=2)
    reception = noisy_reception(codec, 5.0)
    assert torch.equal(codec.decode(reception), codec.inner.decode(reception))
    assert "prior failed on 3 of 3" in caplog.text


def test_pipelines_are_saved_and_loaded(tmp_path: Path) -> None:
    pictures = torch.rand(2, 3, 11, 9, generator=generator())
    misfit = lambda x: 3 * (x - 0.4).flatten(1)  # noqa: E731
    for name in SCHEDULERS:
        pipeline = with_scheduler(tiny(), name)
        pipeline.save_pretrained(tmp_path / name)
        again = quiet(loading.load_pipeline(PosteriorSamplingPipeline, tmp_path / name))
        assert type(again.scheduler) is type(pipeline.scheduler) and again.config.patch == 2
        one, other = (p(pictures, misfit, 300, 4, generator=generator(), output_type="pt") for p in (pipeline, again))
        assert one.images.shape == pictures.shape and one.misfit.shape[1] == 2
        assert torch.allclose(one.images, other.images, atol=1e-4)
    array, _ = again(pictures, misfit, 300, 4, generator=generator(), output_type="np", return_dict=False)
    assert array.shape == (2, 11, 9, 3) and abs(array.transpose(0, 3, 1, 2) - one.images.numpy()).max() < 1e-4
    assert again(pictures, misfit, 300, 2, generator=generator()).images[0].size == (9, 11)
    half = again.to(torch.bfloat16)(pictures, misfit, 300, 4, generator=generator(), output_type="pt").images
    assert half.dtype == torch.float32 and (half - one.images).abs().mean() < 0.02
    with pytest.raises(SemlinkError, match="takes finite .batch, 3, h, w."):
        again(pictures[:, :2], misfit)
    with pytest.raises(SemlinkError, match="pt, np or pil"):
        again(pictures, misfit, output_type="jpeg")


def test_wrong_settings_say_what_to_do(tmp_path: Path) -> None:
    for settings, message in (
        ({"mode": "loud"}, "known: hifi, plain"),
        ({"start": "late"}, "known: .*paper, a number"),
        ({"steps": 0}, "need steps >= 1"),
        ({"zeta": -1.0}, "weights >= 0"),
        ({"reach": 0.0}, "reach > 0"),
        ({"scheduler": "heun"}, "unknown scheduler 'heun'; known: ddim, dpm, lcm"),
        ({"dtype": "int4"}, "unknown dtype 'int4'; known: float32"),
        ({"device": "abacus"}, "unknown device 'abacus'"),
        ({"memory": "notebook"}, "unknown memory option 'notebook'; known: none, attention_slicing"),
        ({"inner": "digital"}, "one network at each end, not digital; try adjscc"),
        ({"inner": "roi_jscc", "rho": 1 / 12}, "one network at each end, not roi_jscc"),
        (
            {"inner": "deepjscc", "rho": 1 / 6},
            r"measure_sigma.py --inner .deepjscc. --rho 0.1667 --pools 1, or give start=",
        ),
        ({"rho": 1 / 20}, "not a multiple of 1/48"),
    ):
        with pytest.raises(SemlinkError, match=message):
            codecs.create("posterior", **settings)
    with pytest.raises(SemlinkError, match="did not load .*it needs model_index.json"):
        priors.posterior_prior(str(tmp_path), "ddim", "float32")
