"""cddm with tiny networks: `adjscc` with its latent denoised from the measured level; bad input; its training."""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage import data
from tiny_denoisers import Wiener, asked, pipeline_of
from torch import Tensor

from semlink import codecs
from semlink.codecs import cddm
from semlink.codecs._diffusion.denoising import ChannelDenoisingPipeline
from semlink.codecs._diffusion.levels import step_of
from semlink.codecs._diffusion.networks import make_scheduler, make_unet
from semlink.codecs._diffusion.states import Denoiser, received_states
from semlink.codecs._learned.codec import from_symbols
from semlink.codecs._learned.modulated import AdaptiveNetwork
from semlink.simulator import Reception, SemlinkError, TxInfo, check_codec
from semlink.simulator.conformance.codec import check_pictures, lost, noiseless, smooth_pictures
from semlink.simulator.training.channels import Surrogate
from semlink.simulator.training.codec import Recipe, Trainer
from semlink.simulator.training.run import save_weights

AWGN = Surrogate(per_image=0.0, per_symbol=0.0, lost=0.0)
FADING = Surrogate(per_image=0.0, per_symbol=1.0, lost=0.0)
PICTURES = smooth_pictures(4, 32, 32, seed=9)

Make = Callable[..., cddm.Cddm]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny `adjscc` network, trained for seconds on smooth pictures, and a denoiser with random weights."""
    where = tmp_path_factory.mktemp("tiny")
    torch.manual_seed(0)
    codec = codecs.create("adjscc", rho=1 / 24, weights="none")
    trainer = Trainer(codec, AdaptiveNetwork(2, 24, (1, 1)), AWGN, Recipe(steps=200, batch=16, lr=5e-3), where / "run")
    pictures = [(picture * 255).to(torch.uint8) for picture in smooth_pictures(128, 40, 40, seed=1)]
    trainer.run(pictures, PICTURES)
    save_weights(trainer.average, where / "weights.safetensors", {})
    pipeline_of(make_unet(4, (32, 32), side=8)).save_pretrained(where / "denoiser")
    return where


@pytest.fixture
def make(folder: Path) -> Make:
    """Codecs of the tiny networks."""

    def made(**settings) -> cddm.Cddm:
        own = {"weights": folder / "weights.safetensors", "denoiser": folder / "denoiser"}
        return codecs.create("cddm", **{**own, **settings})

    return made


@pytest.fixture(scope="module")
def wiener(folder: Path) -> ChannelDenoisingPipeline:
    """A denoiser that is as good as a linear one can be on smooth pictures."""
    codec = codecs.create("cddm", weights=folder / "weights.safetensors")
    return pipeline_of(Wiener(codec.examples(smooth_pictures(512, 32, 32, seed=3), generator()).x0), "sample")


@pytest.fixture
def best(make: Make, wiener: ChannelDenoisingPipeline, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Codecs with that denoiser."""
    monkeypatch.setattr(Denoiser, "pipeline", lambda self, received: wiener)
    return make


def received(codec, images: Tensor, snr_db: float, channel: Surrogate = AWGN) -> Reception:
    """What arrives over the surrogate channel."""
    levels = torch.full((len(images),), float(snr_db))
    with torch.no_grad():
        return channel(codec.encode(images, TxInfo(snr_db=snr_db)), levels, generator())


def only(reception: Reception, i: int) -> Reception:
    """The reception of one image."""
    streams = tuple(replace(s, x_hat=s.x_hat[i : i + 1], a=s.a[i : i + 1]) for s in reception.streams)
    return replace(reception, streams=streams)


def states(codec, reception: Reception) -> tuple[Tensor, Tensor]:
    """The diffusion states of a reception of PICTURES, and their alpha."""
    return received_states(reception.stream("latent"), 2, 8, 8)


def error(codec, reception: Reception, snr_db: float) -> float:
    """Mean squared error of the denoised latent, whose clean one has power 1."""
    clean, _ = states(codec, noiseless(codec.encode(PICTURES, TxInfo(snr_db=snr_db))))
    return float((codec.denoised(*states(codec, reception), 0) - clean).square().mean())


def test_conformance_at_the_rate_that_is_told(make) -> None:
    images = smooth_pictures(3, 50, 61)  # a latent of odd size
    codec = make(steps=4)
    check_codec(codec, images, floor_db=14.0)
    sent = codec.encode(images)
    assert [s.name for s in sent.streams] == ["latent"] and codec.uses(50, 61) == 3 * 50 * 61 // 24
    assert make().uses(64, 64) / (3 * 64**2) == 1 / 24


def test_no_steps_are_adjscc(make, folder) -> None:
    """The decoder alone, and it gets what that of `adjscc` gets: the same pictures from the same symbols."""
    codec, other = make(steps=0), codecs.create("adjscc", rho=1 / 24, weights=folder / "weights.safetensors")
    reception = received(codec, PICTURES, 3.0)
    assert torch.allclose(codec.decode(reception), other.decode(reception), atol=1e-4)


@pytest.mark.parametrize("snr_db", [-3.0, 10.0])
def test_the_chain_starts_at_the_step_of_the_measured_level(make, snr_db) -> None:
    codec = make(steps=6)
    reception = only(received(codec, PICTURES, snr_db), 0)
    steps = asked(codec, reception)
    start = int(step_of(make_scheduler(), reception.stream("latent").a.min()))
    assert steps[0] == start and len(steps) <= 6
    limited = asked(make(steps=6, limit_db=10.0), reception)
    ten = int(step_of(make_scheduler(), torch.tensor(10 / 11)))
    assert abs(ten - 92) <= 1, "the paper counts about 93 steps at 10 dB"
    assert abs(limited[0] - ten) <= 1, "never noisier than the limit"


def test_denoising_takes_away_most_of_the_noise(best) -> None:
    reception = received(best(), PICTURES, 0.0)
    linear = 0.5  # error of x_hat against latents of power 1
    assert error(best(), reception, 0.0) < 0.6 * linear


def test_a_wrong_limit_costs_at_low_snr_and_nothing_above_it(best) -> None:
    low, high = received(best(), PICTURES, -3.0), received(best(), PICTURES, 14.0)
    assert error(best(), low, -3.0) < 0.95 * error(best(limit_db=16.0), low, -3.0)
    assert error(best(), high, 14.0) == pytest.approx(error(best(limit_db=10.0), high, 14.0), rel=1e-6)


def test_levels_symbol_by_symbol_beat_one_for_all_under_fading(best) -> None:
    codec = best(steps=20)
    noisy, alpha = states(codec, received(codec, PICTURES, 15.0, FADING))
    clean, _ = states(codec, noiseless(codec.encode(PICTURES, TxInfo(snr_db=15.0))))
    assert alpha.std() > 0.1 and torch.equal(alpha[:, :2], alpha[:, 2:]), "a symbol has one level for both parts"
    own, one = (codec.denoised(noisy, a, 0) for a in (alpha, torch.full_like(alpha, float(alpha.mean()))))
    assert (own - clean).square().mean() < 0.8 * (one - clean).square().mean()


def test_the_batch_does_not_matter_and_the_public_seed_does(make) -> None:
    codec = make(steps=5)
    reception = received(codec, PICTURES, 5.0, FADING)
    whole = codec.decode(reception)
    assert torch.equal(whole, codec.decode(reception))
    alone = torch.cat([codec.decode(only(reception, i)) for i in range(4)])
    assert torch.allclose(whole, alone, atol=1e-5)
    assert not torch.allclose(whole, codec.decode(replace(reception, public_seed=7)), atol=1e-4)


def test_bad_symbols_give_defined_pictures_and_a_log(make, caplog) -> None:
    codec = make(steps=4)
    reception = received(codec, PICTURES, 5.0)
    stream = reception.stream("latent")
    bad = torch.arange(stream.a.shape[1]) % 9 == 0
    nan = replace(reception, streams=(replace(stream, x_hat=torch.where(bad, complex("nan"), stream.x_hat)),))
    zeros = replace(stream, x_hat=torch.where(bad, 0, stream.x_hat), a=torch.where(bad, 0.0, stream.a))
    with caplog.at_level(logging.WARNING):
        pictures = codec.decode(nan)
        assert "symbols that are not finite" in caplog.text
        check_pictures(pictures, PICTURES)
        assert torch.allclose(pictures, codec.decode(replace(reception, streams=(zeros,))), atol=1e-5)
        assert torch.equal(codec.decode(lost(codec.encode(PICTURES))), torch.full_like(PICTURES, 0.5))
        assert "nothing arrived of 4 of 4 pictures" in caplog.text
        for a in (1e-5, 0.9999999):
            caplog.clear()
            check_pictures(codec.decode(noiseless(codec.encode(PICTURES), a)), PICTURES)
            assert "SNR of 4 of 4 pictures beyond the schedule's" in caplog.text


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": "many"}, "steps is 'many'"),
        ({"limit_db": "ten"}, "limit_db is 'ten'"),
        ({"scheduler": "magic"}, "unknown scheduler"),
        ({"dtype": "int8"}, "unknown dtype"),
        ({"device": "abacus"}, "unknown device"),
        ({"memory": "sponge"}, "unknown memory option"),
        ({"rho": 0.05}, "not a multiple of 1/48"),
    ],
    ids=str,
)
def test_wrong_settings_are_refused(make, settings, message) -> None:
    with pytest.raises(SemlinkError, match=message):
        make(**settings)


def test_memory_options_reach_diffusers_and_change_nothing(make) -> None:
    images = smooth_pictures(2, 32, 32, seed=5)
    plain, sliced = make(steps=4), make(steps=4, memory="attention_slicing", device="cpu")
    reception = received(plain, images, 5.0)
    torch.testing.assert_close(sliced.decode(reception), plain.decode(reception), atol=1e-4, rtol=0)


def test_a_denoiser_of_another_rate_is_refused(make, folder) -> None:
    save_weights(AdaptiveNetwork(4, 24, (1, 1)), folder / "wide.safetensors", {})
    codec = make(rho=1 / 12, weights=folder / "wide.safetensors")
    with pytest.raises(SemlinkError, match="a denoiser for 4 planes.*needed is a denoiser for 8 planes"):
        codec.decode(received(codec, PICTURES, 5.0))


def test_the_third_stage_trains_the_decoder_alone(make, folder, tmp_path) -> None:
    """No gradient passes the denoiser."""
    codec = make(steps=2)
    network = codec.load(folder / "weights.safetensors")
    before = {key: value.clone() for key, value in network.state_dict().items()}
    trainer = Trainer(codec, network, AWGN, Recipe(steps=2, batch=2, crop=32), tmp_path)
    trainer.run([(picture * 255).to(torch.uint8) for picture in PICTURES], PICTURES)
    moved = {key for key, value in network.state_dict().items() if not torch.equal(value, before[key])}
    assert moved and all(key.startswith("decoder.") for key in moved)


def test_examples_have_unit_power(make) -> None:
    x0 = make().examples(PICTURES, generator()).x0
    assert x0.shape == (4, 4, 8, 8)
    assert x0.square().mean((1, 2, 3)).numpy() == pytest.approx(np.ones(4), abs=1e-4)


# Shipped weights


def test_the_shipped_codec_denoises_photographs() -> None:
    """At 0 dB the latent is 3 dB nearer to the one sent than zero forcing is (whose error is 0 dB), PSNR above 22 dB.

    Linear denoising of a white latent would bring 3 dB; PSNR is not that of `adjscc`, which knows the noise (README).
    """
    codec = codecs.create("cddm")
    for path in (codec.shipped(""), codec.denoiser.folder / "model_index.json"):
        assert path.exists(), path
    crops = [picture[20:276, 80:336] for picture in (data.astronaut(), data.coffee(), data.chelsea())]
    images = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        symbols = codec.encode(images, TxInfo(snr_db=0.0)).streams[0].payload
    sent = from_symbols(2**0.5 * symbols, codec.planes, 64, 64)
    reception = received(codec, images, 0.0)
    states, alpha = received_states(reception.streams[0], codec.planes, 64, 64)
    error = (codec.denoised(states, alpha, 0) - sent).square().mean().item()
    assert 10 * np.log10(error) < -3.0
    psnr = -10 * (codec.decode(reception) - images).square().mean((1, 2, 3)).log10().mean()
    assert psnr > 22.0, psnr


def test_a_file_of_the_decoder_alone_goes_with_the_encoder_of_adjscc() -> None:
    images = smooth_pictures(2, 32, 32)
    sent = codecs.create("cddm", rho=1 / 24).encode(images, TxInfo(snr_db=5.0)).streams[0].payload
    adjscc = codecs.create("adjscc", rho=1 / 24, weights=cddm.WEIGHTS / "adjscc-natural-m2.safetensors")
    assert torch.equal(sent, adjscc.encode(images, TxInfo(snr_db=5.0)).streams[0].payload)
