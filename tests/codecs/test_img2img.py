"""img2img: noise as large as the measured error, refined by a pre-trained model; tiny ones, and exact ones."""

import logging
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from tiny_models import exact_receiver, go_offline, save_all

from semlink import codecs
from semlink.codecs import img2img
from semlink.codecs._diffusion.levels import step_of
from semlink.codecs._diffusion.pretrained import Pretrained
from semlink.simulator import SemlinkError, TxInfo, check_codec
from semlink.simulator.conformance.codec import check_pictures, lost, noiseless, smooth_pictures
from semlink.simulator.training.channels import Surrogate

IMAGES = smooth_pictures(3, 50, 61)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_all(tmp_path_factory.mktemp("models"))


def create(models: Path, **settings):
    return codecs.create("img2img", **{"model": models / "sd", "steps": 2, **settings})


def received(codec: img2img.Img2Img, snr_db: float = 5.0):
    sent = codec.encode(IMAGES, TxInfo(snr_db=snr_db))
    return Surrogate(0, 0, 0)(sent, torch.full((3,), snr_db), torch.Generator().manual_seed(0))


class Linear:
    """An autoencoder whose latents are the pixels' differences from grey, six times as large."""

    device, dtype = torch.device("cpu"), torch.float32

    def __init__(self) -> None:
        settings = {"scaling_factor": 3.0, "latent_channels": 4, "block_out_channels": (1,)}
        self.config = SimpleNamespace(**settings, get=settings.get)

    def encode(self, x: torch.Tensor) -> SimpleNamespace:
        return SimpleNamespace(latents=torch.cat([x, x[:, :1]], 1))

    def decode(self, z: torch.Tensor) -> SimpleNamespace:
        return SimpleNamespace(sample=z[:, :3])


def test_conforms(models: Path) -> None:
    check_codec(create(models, guidance=2.0, prompt="a cat"), IMAGES, floor_db=5)  # the model is random


def test_the_noise_is_as_large_as_the_error() -> None:
    """(1 - alpha) / alpha is the mean square error in latents: (6 sigma)^2 for a linear autoencoder."""
    pictures, sigma = smooth_pictures(3, 128, 128), torch.tensor([0.02, 0.1, 0.3])
    states, alpha = img2img.covered(Linear(), pictures, sigma, 2**63 + 1)
    assert torch.allclose(((1 - alpha) / alpha).flatten(), (6 * sigma) ** 2, rtol=0.02)
    z = 3 * torch.cat([2 * pictures - 1, 2 * pictures[:, :1] - 1], 1)
    noise = states - alpha.sqrt() * z
    assert torch.allclose(noise.square().mean((1, 2, 3)), (1 - alpha).flatten(), rtol=0.02)
    alone, _ = img2img.covered(Linear(), pictures[1:2], sigma[1:2], 2**63 + 1)
    assert torch.equal(alone[0], states[1])


def test_refined_pictures_are_as_good_as_theory_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gaussian pixels, white error e, noise as large: the exact network's error, and it starts at that level.

    In latents of spread S the state shows z + e + n with the shares of z, e and n known; its one step gives
    m + g (z + e + n - m) with g = S^2 / (S^2 + v), v = (6 sigma)^2 each of e and n.
    """
    spread, sigma, batch = 0.6, 0.05, 16
    mean = torch.zeros(4, 64, 64)
    pipeline = exact_receiver(tmp_path, mean, spread)
    monkeypatch.setattr(Pretrained, "autoencoder", lambda *_: Linear())
    monkeypatch.setattr(Pretrained, "receiver", lambda *_: pipeline)
    codec = codecs.create("img2img", sigma_y=sigma, steps=1)
    generator = torch.Generator().manual_seed(0)
    truth = 0.5 + spread / 6 * torch.randn(batch, 3, 64, 64, generator=generator)
    pictures = truth + sigma * torch.randn(truth.shape, generator=generator)
    found = codec.refine(pictures, torch.full((batch,), sigma), 0)
    variance, gain = (6 * sigma) ** 2, spread**2 / (spread**2 + (6 * sigma) ** 2)
    expected = (1 - gain) ** 2 * spread**2 + 2 * gain**2 * variance
    assert float((6 * (found - truth)).square().mean()) == pytest.approx(expected, rel=0.03)
    level = torch.tensor(1 / (1 + variance))
    assert set(pipeline.unet.asked) <= {int(step_of(pipeline.scheduler, level)) + i for i in (-2, -1, 0, 1, 2)}


def test_start_follows_the_received_quality(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline, asked = create(models).pretrained.receiver(torch.device("cpu")), []
    ask = pipeline._ask
    monkeypatch.setattr(pipeline, "_ask", lambda seen, step, *others: asked.append(step) or ask(seen, step, *others))

    def start(codec: img2img.Img2Img, snr_db: float) -> int:
        asked.clear()
        codec.decode(received(codec, snr_db))
        return asked[0]

    starts = [start(create(models), snr_db) for snr_db in (-5.0, 5.0, 15.0)]
    assert starts == sorted(starts, reverse=True) and starts[0] > starts[2]
    assert start(create(models, strength=2.0), 5.0) > starts[1] > start(create(models, strength=0.5), 5.0)
    told = [start(create(models, sigma_y=sigma), 5.0) for sigma in (0.01, 0.1)]
    assert told[0] < told[1]


def test_streams_and_rate_are_the_inner_codecs(models: Path) -> None:
    codec, inner = create(models), codecs.create("adjscc", rho=1 / 12)
    tx = TxInfo(snr_db=5.0)
    assert torch.equal(codec.encode(IMAGES, tx).streams[0].payload, inner.encode(IMAGES, tx).streams[0].payload)
    assert codec.uses(50, 61) == inner.uses(50, 61) and codec.encodes_on == inner.encodes_on
    untouched = create(models, steps=0)
    assert torch.equal(untouched.decode(received(untouched)), inner.decode(received(untouched)))
    digital = create(models, inner="digital", rho=1 / 6, sigma_y=0.05)
    check_pictures(digital.decode(noiseless(digital.encode(IMAGES, tx))), IMAGES)


def test_batch_seed_and_prompts(models: Path) -> None:
    codec = create(models, prompt="a cat", captioner=describe, guidance=2.0)
    reception = received(codec)
    stream, whole = reception.streams[0], codec.decode(reception)
    for i in range(3):
        one = replace(stream, x_hat=stream.x_hat[i : i + 1], a=stream.a[i : i + 1])
        assert torch.allclose(codec.decode(replace(reception, streams=(one,))), whole[i : i + 1], atol=1e-4)
    torch.manual_seed(9)
    assert torch.equal(codec.decode(reception), whole)
    assert not torch.allclose(codec.decode(replace(reception, public_seed=3)), whole, atol=1e-4)
    assert codec.prompts(IMAGES) == ["a cat dark" if image.mean() < 0.5 else "a cat bright" for image in IMAGES]
    assert not torch.allclose(create(models).decode(reception), whole, atol=1e-5), "prompts matter"


def describe(images: torch.Tensor) -> list[str]:
    return ["dark" if image.mean() < 0.5 else "bright" for image in images]


def test_bad_input_gives_defined_pictures(models: Path, caplog: pytest.LogCaptureFixture, monkeypatch) -> None:
    codec, inner = create(models), codecs.create("adjscc", rho=1 / 12)
    reception = received(codec)
    stream = reception.streams[0]
    x_hat, a = stream.x_hat.clone(), stream.a.clone()
    x_hat[0, :9], a[1, 5] = complex("nan"), float("inf")
    with caplog.at_level(logging.WARNING):
        broken = codec.decode(replace(reception, streams=(replace(stream, x_hat=x_hat, a=a),)))
    check_pictures(broken, IMAGES)
    assert "10 symbols that are not finite" in caplog.text
    nothing = lost(codec.encode(IMAGES, TxInfo(snr_db=5.0)))
    assert torch.allclose(codec.decode(nothing), inner.decode(nothing).clamp(0, 1), atol=1e-6)
    assert "nothing arrived of 3 of 3 pictures" in caplog.text
    pipeline = codec.pretrained.receiver(torch.device("cpu"))
    monkeypatch.setattr(pipeline, "_ask", lambda seen, *_: seen * float("nan"))
    assert torch.allclose(codec.decode(reception), inner.decode(reception), atol=1e-6)
    assert "the model failed on 3 of 3" in caplog.text


def test_wrong_settings_say_what_to_do(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for settings, message in (
        ({"strength": 0}, "give more than 0"),
        ({"sigma_y": -1}, "sigma >= 0"),
        ({"memory": "swap"}, "unknown memory option"),
        ({"steps": "few"}, "give budget or a number"),
        ({"rho": 1 / 20}, "not a multiple of 1/48"),
    ):
        with pytest.raises(SemlinkError, match=message):
            create(models, **settings)
    codec = create(models, inner="digital", rho=1 / 6)
    with pytest.raises(SemlinkError, match="measure_sigma.py|sigma_y="):
        codec.decode(noiseless(codec.encode(IMAGES, TxInfo(snr_db=5.0))))
    go_offline(monkeypatch)
    codec = codecs.create("img2img")
    with pytest.raises(SemlinkError, match="hf download stabilityai/sd-turbo --local-dir FOLDER"):
        codec.decode(received(codec))
