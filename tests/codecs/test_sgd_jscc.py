"""sgd_jscc with tiny networks: streams and uses, start levels, guides that get lost, blind levels, bad input."""

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

from semlink import channels, codecs
from semlink.codecs._diffusion import guides
from semlink.codecs._diffusion.denoising import ChannelDenoisingPipeline
from semlink.codecs._diffusion.levels import step_of
from semlink.codecs._diffusion.networks import make_scheduler, make_unet
from semlink.codecs._diffusion.states import Denoiser
from semlink.codecs.sgd_jscc import codec as sgd_jscc
from semlink.codecs.sgd_jscc import guidance
from semlink.codecs.sgd_jscc.blind import LevelNetwork, alpha_of, blind_states, level_loss, noisy, unit_power
from semlink.codecs.sgd_jscc.latent import LatentNetwork
from semlink.simulator import Link, Reception, SemlinkError, check_codec
from semlink.simulator.conformance.codec import check_pictures, lost, noiseless, smooth_pictures
from semlink.simulator.plugins import make_trainable
from semlink.simulator.training.channels import Surrogate
from semlink.simulator.training.run import save_weights
from semlink.simulator.values import ReceivedStream

AWGN = Surrogate(per_image=0.0, per_symbol=0.0, lost=0.0)
FADING = Surrogate(per_image=0.0, per_symbol=1.0, lost=0.0)
PICTURES = smooth_pictures(4, 64, 64, seed=9)

Make = Callable[..., sgd_jscc.SgdJscc]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def mean_colours(images: Tensor) -> Tensor:
    """In place of AlexNet's features: 12 numbers, of unit length."""
    return torch.nn.functional.normalize(torch.nn.functional.adaptive_avg_pool2d(images, 2).flatten(1), dim=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny autoencoder, trained for seconds on smooth pictures, and a denoiser with random weights."""
    where = tmp_path_factory.mktemp("tiny")
    torch.manual_seed(0)
    pictures = smooth_pictures(128, 64, 64, seed=1)
    network = LatentNetwork(7, (16, 32), (1, 1))
    optimizer = torch.optim.Adam(network.parameters(), 4e-3)
    for step in range(80):
        images = pictures[torch.randint(128, (8,), generator=generator(step))]
        states = network.encode(images)
        received = 0.95**0.5 * states + 0.05**0.5 * torch.randn(states.shape, generator=generator(step))
        optimizer.zero_grad()
        (network.decode(received) - images).square().mean().backward()
        optimizer.step()
    save_weights(network, where / "weights.safetensors", {})
    pipeline_of(make_unet(14, (32, 32), hints=2, classes=guides.TAGS, side=8)).save_pretrained(where / "denoiser")
    return where


@pytest.fixture
def make(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Codecs of the tiny networks, whose tags come from mean colours."""
    centres = mean_colours(smooth_pictures(guides.TAGS, 32, 32, seed=2))
    monkeypatch.setattr(guides, "features", mean_colours)
    monkeypatch.setattr(guides, "centres", lambda path: centres)

    def made(**settings) -> sgd_jscc.SgdJscc:
        own = {"weights": folder / "weights.safetensors", "denoiser": folder / "denoiser", "mcs": "qpsk-0.25"}
        return codecs.create("sgd_jscc", **{**own, **settings})

    return made


@pytest.fixture(scope="module")
def wiener(folder: Path) -> ChannelDenoisingPipeline:
    """A denoiser that is as good as a linear one can be on smooth pictures."""
    codec = codecs.create("sgd_jscc", weights=folder / "weights.safetensors")
    return pipeline_of(Wiener(codec.states_of(smooth_pictures(512, 64, 64, seed=3)), 2, guides.TAGS + 1), "sample")


@pytest.fixture
def best(make: Make, wiener: ChannelDenoisingPipeline, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Codecs with that denoiser."""
    monkeypatch.setattr(Denoiser, "pipeline", lambda self, received: wiener)
    return make


def received(codec, images: Tensor, snr_db: float, channel: Surrogate = AWGN, seed: int = 0) -> Reception:
    """What arrives over the surrogate channel."""
    levels = torch.full((len(images),), float(snr_db))
    with torch.no_grad():
        return channel(codec.encode(images), levels, generator(seed))


def changed(reception: Reception, name: str, **changes) -> Reception:
    """The reception with one stream changed."""
    streams = tuple(replace(s, **changes) if s.name == name else s for s in reception.streams)
    return replace(reception, streams=streams)


def only(reception: Reception, i: int) -> Reception:
    """The reception of one image."""
    streams = tuple(
        replace(s, x_hat=s.x_hat[i : i + 1], a=s.a[i : i + 1])
        if s.kind == "analog"
        else replace(s, payload=s.payload[i : i + 1], ok=s.ok[i : i + 1], blocks_ok=s.blocks_ok[i : i + 1])
        for s in reception.streams
    )
    return replace(reception, streams=streams)


def error(codec, reception: Reception, images: Tensor) -> float:
    """Mean squared error of the denoised latent, whose clean one has power 1."""
    states, alpha = codec.received(reception)
    given = codec.hints(reception), codec.labels(reception)
    clean = codec.denoised(states, alpha, given, reception.public_seed)
    return float((clean - codec.states_of(images)).square().mean())


def test_conformance(make) -> None:
    images = smooth_pictures(3, 128, 128)
    codec = make(steps=4)
    assert [s.name for s in codec.encode(images).streams] == ["latent", "edges", "tag"]
    check_codec(codec, images, floor_db=15.0)


@pytest.mark.parametrize(
    ("size", "mcs", "uses"),
    [
        ((32, 32), "qpsk-0.25", {}),
        ((64, 64), "qpsk-0.25", {"tag": 64}),
        ((96, 96), "qpsk-0.25", {"tag": 128}),
        ((128, 128), "qpsk-0.25", {"edges": 128, "tag": 128}),
        ((256, 256), "qpsk-0.25", {"edges": 896, "tag": 128}),
        ((512, 768), "qpsk-0.25", {"edges": 6016, "tag": 128}),
        ((64, 64), "qpsk-0.25x2", {}),
        ((96, 96), "qpsk-0.25x2", {"tag": 128}),
        ((128, 128), "qpsk-0.25x2", {"tag": 128}),
        ((256, 256), "qpsk-0.25x2", {"edges": 896, "tag": 128}),
    ],
    ids=str,
)
def test_uses_stay_within_the_rate(make, size, mcs, uses) -> None:
    """One plane in eight is for guides; they fill it where the picture is large enough, and never more."""
    codec, places = make(mcs=mcs), size[0] * size[1] // 64
    assert codec.guide_uses(*size) == uses
    assert codec.uses(*size) == 7 * places and codec.uses(*size) + sum(uses.values()) <= 8 * places
    full = {"edges", "tag"} <= set(uses)
    assert not full or codec.uses(*size) + sum(uses.values()) == size[0] * size[1] / 8, "rho_total = 1/24"
    alone = make(mcs=mcs, guidance="tag").guide_uses(*size)
    assert alone == {name: count for name, count in uses.items() if name == "tag"}


@pytest.mark.slow
def test_the_link_charges_what_is_told_and_the_guides_arrive(make) -> None:
    images = smooth_pictures(3, 128, 128)
    codec = make(steps=4)
    result = Link(channels.create("awgn"), csi="perfect").run(codec.encode(images), 3.0, seed=1)
    assert result.report.uses == {"latent": (7 * 256,) * 3, "edges": (128,) * 3, "tag": (128,) * 3}
    hints, labels = codec.hints(result.reception), codec.labels(result.reception)
    sent = guides.edges(images, 5)
    assert torch.equal(hints, torch.stack([sent.float(), torch.ones(3, 16, 16)], 1)) and sent.any()
    assert torch.equal(labels, guides.tags(images, guides.centres(sgd_jscc.TAGS)))
    assert len(set(labels.tolist())) == 3
    check_pictures(codec.decode(result.reception), images)


def test_without_guidance_nothing_is_charged_and_none_in_a_word_is_understood(make, folder) -> None:
    word = f"sgd_jscc:guidance=none,steps=0,weights={folder / 'weights.safetensors'}"
    for codec in (make(guidance="none"), make(guidance=None), make_trainable(word, 1 / 24)):
        sent = codec.encode(smooth_pictures(2, 128, 128))
        assert [s.name for s in sent.streams] == ["latent"]
    reception = received(make(guidance=None), PICTURES, 3.0)
    check_pictures(make(guidance=None).decode(reception), PICTURES)
    assert make(guidance="tag/edges").guidance == ("edges", "tag")


def test_no_steps_are_the_decoder_alone(make) -> None:
    codec = make(steps=0)
    reception = received(codec, PICTURES, 5.0)
    states, _ = codec.received(reception)
    with torch.no_grad():
        expected = codec.network(64, 64).decode(states).clamp(0, 1)
    assert torch.allclose(codec.decode(reception), expected, atol=1e-6)


@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 10.0])
def test_the_chain_starts_at_the_step_of_the_measured_level(make, snr_db) -> None:
    codec = make()
    steps = asked(codec, only(received(codec, PICTURES, snr_db), 0))
    alpha = alpha_of(torch.tensor(snr_db))
    start = int(step_of(make_scheduler(), alpha))
    assert abs(steps[0] - start) <= 1 and steps == sorted(steps, reverse=True)
    assert abs(make_scheduler().alphas_cumprod[steps[0]] - alpha) < 0.005
    paper = make(steps=50)
    assert 40 <= len(asked(paper, only(received(paper, PICTURES, snr_db), 0))) <= 50, "DDIM has one stride"


def test_each_picture_starts_at_its_own_level(make) -> None:
    codec = make()
    clean, bad = received(codec, PICTURES, 12.0), received(codec, PICTURES, 0.0)
    streams = tuple(
        replace(s, x_hat=torch.cat([s.x_hat[:1], t.x_hat[:1]]), a=torch.cat([s.a[:1], t.a[:1]]))
        if s.kind == "analog"
        else replace(s, payload=s.payload[:1] * 2, ok=s.ok[:1] * 2, blocks_ok=s.blocks_ok[:1] * 2)
        for s, t in zip(clean.streams, bad.streams, strict=True)
    )
    both = replace(clean, streams=streams)
    single = [asked(codec, only(both, i)) for i in (0, 1)]
    assert single[0][0] < single[1][0] and asked(codec, both) == single[0] + single[1]
    together, alone = codec.decode(both), torch.cat([codec.decode(only(both, i)) for i in (0, 1)])
    assert torch.allclose(together, alone, atol=1e-5)


def test_denoising_takes_away_most_of_the_noise(best) -> None:
    """The latent of a smooth picture has few degrees of freedom, so that an MMSE estimate leaves little: -3 dB here."""
    codec = best()
    reception = received(codec, PICTURES, 0.0)
    states, alpha = codec.received(reception)
    linear = float((alpha.sqrt() * states - codec.states_of(PICTURES)).square().mean())
    assert linear == pytest.approx(0.5, rel=0.1)
    assert error(codec, reception, PICTURES) < 0.5 * linear


@pytest.mark.parametrize(("snr_db", "wrong"), [(10.0, -5.0), (0.0, 12.0)])
def test_the_right_start_beats_a_fixed_wrong_one(best, snr_db, wrong) -> None:
    """By 2 dB of the latent's error; a believed SNR that is the true one costs nothing."""
    reception = received(best(), PICTURES, snr_db)
    told, believed, fixed = (
        10 * np.log10(error(best(level=level), reception, PICTURES)) for level in ("told", snr_db, wrong)
    )
    assert told < fixed - 2.0, (told, fixed)
    assert believed == pytest.approx(told, abs=0.1)


def test_levels_symbol_by_symbol_beat_one_for_all_under_fading(best) -> None:
    codec = best(steps=20)
    reception = received(codec, PICTURES, 10.0, FADING)
    _, alpha = codec.received(reception)
    assert alpha.std() > 0.1 and torch.equal(alpha[:, :7], alpha[:, 7:]), "a symbol has one level for both parts"
    assert error(codec, reception, PICTURES) < 0.7 * error(best(steps=20, level=10.0), reception, PICTURES)


def test_decoding_follows_the_public_seed(make) -> None:
    """Under fading the chain adds noise to cleaner symbols: of the seed that both ends know."""
    codec = make(steps=5)
    reception = received(codec, PICTURES, 5.0, FADING)
    one, again = codec.decode(reception), codec.decode(reception)
    other = codec.decode(replace(reception, public_seed=7))
    assert torch.equal(one, again) and not torch.allclose(one, other, atol=1e-4)


def test_lost_guides_are_no_guides(make) -> None:
    """A lost map is not an empty one: its second plane says so; a lost tag is the null label."""
    codec = make(steps=4)
    images = smooth_pictures(3, 128, 128)
    reception = received(codec, images, 5.0)
    whole = codec.decode(reception)
    for name in guidance.GUIDES:
        payload = reception.stream(name).payload
        hurt = changed(reception, name, payload=(payload[0], None, payload[2]))
        hints, labels = codec.hints(hurt), codec.labels(hurt)
        if name == "edges":
            assert not hints[1].any() and hints[[0, 2], 1].all()
        else:
            assert labels[1] == guides.TAGS and labels[0] == payload[0][0]
        pictures = codec.decode(hurt)
        check_pictures(pictures, images)
        assert torch.allclose(pictures[[0, 2]], whole[[0, 2]], atol=1e-5)
        assert (pictures[1] - whole[1]).abs().max() > 1e-4, f"nobody misses {name}"
    empty = changed(reception, "edges", payload=(b"",) * 3)
    assert codec.hints(empty)[:, 1].all() and not codec.hints(empty)[:, 0].any()
    never = replace(reception, streams=reception.streams[:1])
    assert not codec.hints(never).any() and codec.labels(never).tolist() == [guides.TAGS] * 3


@pytest.mark.parametrize("payload", [b"", b"\xff", b"\0" * 300, b"\xff" * 300, bytes(range(40))])
def test_any_bytes_in_the_guides_give_a_picture(make, payload) -> None:
    codec = make(steps=1)
    reception = received(codec, smooth_pictures(1, 128, 128), 5.0)
    for name in guidance.GUIDES:
        reception = changed(reception, name, payload=(payload,))
    check_pictures(codec.decode(reception), smooth_pictures(1, 128, 128))


@pytest.mark.parametrize("level", ["told", 5.0, "blind"])
def test_symbols_that_are_no_numbers_are_lost_symbols(make, estimator, caplog, level) -> None:
    codec = make(steps=4, level=level, estimator=estimator)
    reception = received(codec, PICTURES, 5.0)
    stream = reception.stream("latent")
    bad = torch.arange(stream.a.shape[1]) % 9 == 0
    nan = changed(reception, "latent", x_hat=torch.where(bad, complex("nan"), stream.x_hat))
    gone = changed(reception, "latent", x_hat=torch.where(bad, 0, stream.x_hat), a=torch.where(bad, 0.0, stream.a))
    with caplog.at_level(logging.WARNING):
        pictures = codec.decode(nan)
    assert f"{int(bad.sum()) * len(PICTURES)} symbols that are not finite" in caplog.text
    check_pictures(pictures, PICTURES)
    assert torch.allclose(pictures, codec.decode(gone), atol=1e-5)


@pytest.mark.parametrize("level", ["told", 5.0, "blind"])
def test_a_picture_of_which_nothing_arrived_is_grey(make, estimator, caplog, level) -> None:
    codec = make(steps=4, level=level, estimator=estimator)
    with caplog.at_level(logging.WARNING), torch.no_grad():
        assert torch.equal(codec.decode(lost(codec.encode(PICTURES))), torch.full_like(PICTURES, 0.5))
    assert "nothing arrived of 4 of 4 pictures" in caplog.text


@pytest.mark.parametrize("a", [1e-5, 0.9999999, 1.0])
def test_levels_beyond_the_schedule_are_logged(make, caplog, a) -> None:
    codec = make(steps=4)
    with caplog.at_level(logging.WARNING), torch.no_grad():
        pictures = codec.decode(noiseless(codec.encode(PICTURES), a))
    assert "SNR of 4 of 4 pictures beyond the schedule's" in caplog.text
    check_pictures(pictures, PICTURES)
    caplog.clear()
    codec.decode(received(codec, PICTURES, 0.0))
    assert "beyond" not in caplog.text


def test_small_and_odd_pictures_pass(make) -> None:
    for size in ((32, 32), (9, 17), (61, 90)):
        codec, images = make(steps=2), smooth_pictures(2, *size)
        reception = received(codec, images, 5.0)
        check_pictures(codec.decode(reception), images)
    assert not codec.hints(reception).any(), "no edge map at 61 x 90"


@pytest.mark.parametrize("scheduler", ["ddim", "dpm", "lcm"])
def test_schedulers_and_dtypes(make, scheduler) -> None:
    images = PICTURES[:1]
    reception = received(make(), images, 5.0)
    exact, half = (make(steps=4, scheduler=scheduler, dtype=d).decode(reception) for d in ("float32", "bfloat16"))
    check_pictures(exact, images)
    assert (exact - half).abs().mean() < 0.05


def test_a_scale_beyond_one_sharpens_what_the_guides_say(make) -> None:
    images = smooth_pictures(1, 128, 128)
    reception = received(make(), images, 0.0)
    one, two, four = (make(steps=4, scale=s).decode(reception) for s in (1.0, 2.0, 4.0))
    moved = [(two - one).norm(), (four - one).norm()]
    assert 0 < moved[0] < moved[1]
    unguided = make(steps=4, guidance=None)
    bare = replace(reception, streams=reception.streams[:1])
    assert torch.allclose(unguided.decode(bare), make(steps=4, guidance=None, scale=4.0).decode(bare), atol=1e-3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"guidance": "edges/smell"}, "unknown guidance"),
        ({"level": "loud"}, "level is 'loud'; give told, blind or an SNR"),
        ({"level": float("inf")}, "level is inf"),
        ({"steps": "many"}, "steps is 'many'"),
        ({"steps": 2.5}, "steps is 2.5"),
        ({"rho": 1 / 192}, "leaves nothing for guides"),
        ({"mcs": "semaphore"}, "unknown MCS"),
        ({"scheduler": "magic"}, "unknown scheduler"),
        ({"dtype": "int8"}, "unknown dtype"),
    ],
    ids=str,
)
def test_wrong_settings_are_refused(make, settings, message) -> None:
    with pytest.raises(SemlinkError, match=message):
        make(**settings)


def test_weights_of_another_rate_are_refused(make, folder, estimator) -> None:
    with pytest.raises(SemlinkError, match="trained for rho"):
        make(rho=1 / 12).encode(PICTURES)
    save_weights(LatentNetwork(14, (16, 32), (1, 1)), folder / "wide.safetensors", {})
    wide = make(rho=1 / 12, weights=folder / "wide.safetensors", estimator=estimator)
    reception = received(wide, PICTURES, 5.0)
    with pytest.raises(SemlinkError, match="a denoiser for 14 planes.*needed is a denoiser for 28 planes"):
        wide.decode(reception)
    wide.level = "blind"
    with pytest.raises(SemlinkError, match="estimates levels of 14 planes, not 28"):
        wide.decode(reception)


# Blind levels


def synthetic(batch: int, seed: int) -> Tensor:
    """Clean states of unit power whose channels say the same with other signs: what is not common to them is noise."""
    common = torch.randn(batch, 1, 8, 8, generator=generator(seed))
    signs = torch.where(torch.arange(14) % 2 == 0, 1.0, -1.0)[:, None, None]
    return unit_power(common * signs)


@pytest.fixture(scope="module")
def estimator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny estimator, trained for seconds on synthetic states."""
    torch.manual_seed(0)
    network = LevelNetwork(14, 16, 1)
    optimizer = torch.optim.Adam(network.parameters(), 6e-3)
    for step in range(300):
        for group in optimizer.param_groups:
            group["lr"] = 6e-3 * (1 - step / 300)
        optimizer.zero_grad()
        level_loss(network, synthetic(64, step), generator(step)).backward()
        optimizer.step()
    path = tmp_path_factory.mktemp("level") / "weights.safetensors"
    save_weights(network, path, {})
    return path


@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 5.0, 10.0, 15.0])
def test_the_estimator_recovers_the_level_of_synthetic_states(estimator, snr_db) -> None:
    """Within 1 dB of SNR on average over pictures of 64 places, whatever gain the channel has."""
    from semlink.codecs.sgd_jscc.blind import level_network

    states = noisy(synthetic(64, 10**6), torch.full((64,), snr_db), generator(1))
    x_hat = 3.7 * torch.complex(states[:, :7], states[:, 7:]).flatten(1)
    stream = ReceivedStream("latent", "analog", x_hat=x_hat, a=torch.full(x_hat.shape, 0.123))
    found, alpha = blind_states(stream, 7, 8, 8, level_network(estimator, 14))
    assert torch.allclose(found, states, atol=1e-4)
    assert torch.equal(alpha, alpha[:, :1, :1, :1].expand_as(alpha)), "one level per picture"
    errors = 10 * torch.logit(alpha[:, 0, 0, 0]) / np.log(10) - snr_db
    assert errors.abs().mean() < 1.0, (errors.abs().mean(), errors.mean())


def test_a_blind_receiver_does_not_look_at_the_level(make, estimator) -> None:
    codec = make(steps=4, level="blind", estimator=estimator)
    reception = received(codec, PICTURES, 5.0)
    stream = reception.stream("latent")
    other = changed(reception, "latent", a=1 - stream.a, x_hat=5 * stream.x_hat)
    assert torch.allclose(codec.decode(reception), codec.decode(other), atol=1e-4)
    check_pictures(codec.decode(reception), PICTURES)


# Shipped weights


def photographs() -> Tensor:
    """Crops of 256 px of photographs that no training saw."""
    crops = [picture[20:276, 80:336] for picture in (data.astronaut(), data.coffee(), data.chelsea())]
    return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float() / 255


def test_the_shipped_codec_denoises_photographs() -> None:
    """PSNR at 0 dB is at least 1 dB above that of the decoder alone, and the blind level within 1 dB of the true."""
    for path in (sgd_jscc.TAGS, sgd_jscc.ESTIMATOR, codecs.create("sgd_jscc").shipped("")):
        assert path.exists() and path.with_suffix(".json").exists(), path
    images, settings = photographs(), {"guidance": "edges"}  # a tag would ask for AlexNet's weights
    reception = received(codecs.create("sgd_jscc", **settings), images, 0.0)
    denoised, alone = (codecs.create("sgd_jscc", steps=n, **settings).decode(reception) for n in ("budget", 0))
    gain = 10 * torch.log10((alone - images).square().mean((1, 2, 3)) / (denoised - images).square().mean((1, 2, 3)))
    assert gain.mean() > 1.0, gain
    _, alpha = codecs.create("sgd_jscc", level="blind").received(reception)
    assert (10 * torch.logit(alpha[:, 0, 0, 0]) / np.log(10)).abs().mean() < 1.0


@pytest.mark.parametrize(("snr_db", "believed"), [(0.0, -8.0), (0.0, 10.0)])
def test_the_measured_start_beats_a_fixed_wrong_one(snr_db, believed) -> None:
    """Shipped networks, photographs: at least 1 dB of PSNR on each (measured: 1.1 to 3.2 dB)."""
    images = photographs()
    reception = received(codecs.create("sgd_jscc", guidance="none"), images, snr_db)
    found = [codecs.create("sgd_jscc", guidance="none", level=level).decode(reception) for level in ("told", believed)]
    right, wrong = (-10 * (x - images).square().mean((1, 2, 3)).log10() for x in found)
    assert (right - wrong > 1.0).all(), (right, wrong)
