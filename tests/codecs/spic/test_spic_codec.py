"""The codec: what is sent in how many uses, what is shown of what arrives, what it refuses."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from semlink.codecs._diffusion.spade import SpadeUNet
from semlink.codecs._sources.coders import coder
from semlink.codecs.spic import Spic, coarse
from semlink.codecs.spic.sharing import Sharing
from semlink.codecs.spic.training import settings_of
from semlink.simulator.bits.mcs import get
from semlink.simulator.conformance.codec import check_codec, lost, noiseless
from semlink.simulator.errors import SemlinkError
from semlink.simulator.plugins import make_link
from semlink.simulator.training.run import save_weights
from semlink.simulator.values import Reception, Transmission, TxInfo
from semlink.simulator.words import parse

SIZE = (48, 64)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a small network that was never trained, so that pictures are the coarse ones and noise."""
    torch.manual_seed(0)
    network = SpadeUNet(widths=(16, 16, 32), map_width=8)
    network.settings = settings_of(network)
    torch.nn.init.normal_(network.leave.weight, std=0.02)
    path = tmp_path_factory.mktemp("spic") / "weights.safetensors"
    save_weights(network, path, {})
    return path


def pictures(count: int = 1) -> torch.Tensor:
    """Smooth ones, of a few shapes that the segmenter takes for something."""
    draws = torch.rand(count, 3, 6, 8, generator=torch.Generator().manual_seed(2))
    return torch.nn.functional.interpolate(draws, SIZE, mode="bicubic").clamp(0, 1)


def only(sent: Transmission, *names: str) -> Reception:
    """A reception in which those streams arrived."""
    whole, nothing = noiseless(sent), lost(sent)
    pairs = zip(whole.streams, nothing.streams, strict=True)
    return replace(whole, streams=tuple(there if there.name in names else gone for there, gone in pairs))


def test_conformance(weights):
    check_codec(Spic(rho=1 / 12, weights=weights), floor_db=10.0)


@pytest.mark.slow
def test_conformance_of_the_paper_s_mode(weights):
    check_codec(Spic(rho=1, factor=2, quality=40, weights=weights), floor_db=10.0)


@pytest.mark.parametrize("setting", ["coder=avif", "map_coder=png,coder=jpeg", "factor=4", "cell=4,merged=none"])
def test_settings_fill_the_same_uses(weights, setting):
    own = dict(parse(f"spic:{setting}").settings)
    codec = Spic(rho=1 / 12, weights=weights, **own)
    sent = codec.encode(pictures(2), TxInfo(snr_db=12.0))
    assert sum(stream.uses for stream in sent.streams) == codec.uses(*SIZE) == 768
    if "factor" in own:
        assert codec.read_coarse(sent.streams[-1].payload[0], SIZE).factor == own["factor"]


def test_four_states_give_four_pictures(weights):
    codec = Spic(rho=1 / 6, weights=weights)
    sent = codec.encode(pictures(), TxInfo(snr_db=15.0))
    assert [stream.name for stream in sent.streams] == ["map", "coarse"]
    both, coarsely, labels, nothing = (
        codec.decode(only(sent, *names)) for names in (("map", "coarse"), ("coarse",), ("map",), ())
    )
    assert torch.equal(nothing, torch.full_like(nothing, 0.5))
    found = (both, coarsely, labels, nothing)
    assert all(not torch.allclose(a, b, atol=1e-3) for i, a in enumerate(found) for b in found[:i])
    error = [float((picture - pictures()).square().mean()) for picture in (both, labels)]
    assert error[0] < error[1]  # a coarse picture says more of colours than a map


def test_a_map_that_goes_alone_is_shown(weights, monkeypatch):
    """Where a coarse picture would do harm; without diffusion, which alone can show a map, there is always one."""
    alone = Sharing(700, get("qpsk-0.50"), 0, get("qpsk-0.50"))
    monkeypatch.setattr("semlink.codecs.spic.codec.shared", lambda tx, uses, pixels, allowed: alone)
    codec = Spic(rho=1 / 12, weights=weights)
    sent = codec.encode(pictures(), TxInfo(snr_db=15.0))
    assert [(stream.name, stream.uses) for stream in sent.streams] == [("map", 700)]
    assert not torch.equal(codec.decode(noiseless(sent)), codec.decode(lost(sent)))
    assert codec.allowed.map_alone and not Spic(steps=0, weights=weights).allowed.map_alone


def test_the_factor_is_the_one_with_the_least_error():
    """Of all that fit, tried one by one; and a smooth picture in few bytes is sent small."""
    source, image = coder("hevc"), pictures()[0]
    for room in (24, 60, 400):
        alone = {f: coarse.fitted(source, image, room, f) for f in coarse.FACTORS}
        errors = {f: coarse.error_of(image, coarse.read(source, d, *SIZE).picture) for f, d in alone.items() if d}
        chosen = coarse.read(source, coarse.fitted(source, image, room), *SIZE)
        assert errors[chosen.factor] == min(errors.values())
    assert coarse.fitted(source, image, 3) == b""


def test_without_diffusion_it_is_the_coarse_picture_scaled_up(weights):
    codec = Spic(rho=1 / 6, steps=0, send_map=False, weights="/nowhere")  # needs no network
    sent = codec.encode(pictures(), TxInfo(snr_db=15.0))
    found = codec.decode(noiseless(sent))
    assert [s.name for s in sent.streams] == ["coarse"] and codec.coders == {"coarse": "hevc"}
    small = torch.nn.functional.interpolate(pictures(), scale_factor=0.5, mode="area")
    assert (found - pictures()).square().mean() < (small.mean() - pictures()).square().mean() / 20
    assert torch.equal(codec.decode(lost(sent)), torch.full_like(found, 0.5))


def payloads_of(sent: Transmission, **instead: bytes | None) -> Reception:
    """A reception with other payloads in the streams of these names."""
    whole = noiseless(sent)
    own = (replace(s, payload=(instead[s.name],)) if s.name in instead else s for s in whole.streams)
    return replace(whole, streams=tuple(own))


def test_what_arrives_and_is_none_is_marked(weights):
    """A wrong map or coarse picture, or nothing at all in payloads that arrived; what is lost the link counts."""
    codec = Spic(rho=1 / 6, weights=weights, steps=0)
    sent = codec.encode(pictures(), TxInfo(snr_db=15.0))
    assert {stream.name for stream in sent.streams} == {"map", "coarse"}
    wrong = bytes([255] * 20)
    for instead, marked in (
        ({}, False),
        ({"map": wrong}, True),
        ({"coarse": wrong}, True),
        ({"coarse": b"", "map": b""}, True),
        ({"map": b""}, False),
        ({"map": None, "coarse": None}, False),
        ({"map": None, "coarse": b""}, True),
    ):
        reception = payloads_of(sent, **instead)
        found, marks = codec.decode_marked(reception)
        assert marks == (marked,) and torch.equal(found, codec.decode(reception)), instead


def test_the_map_is_better_protected_in_the_paper_s_mode(weights):
    codec = Spic(rho=1 / 2, factor=3, quality=30, weights=weights)
    sent = codec.encode(pictures(2))
    assert [stream.mcs for stream in sent.streams] == ["qpsk-0.25", "qpsk-0.50"]
    assert all(stream.uses is None for stream in sent.streams)
    with pytest.raises(SemlinkError, match="raise rho"):
        Spic(rho=1 / 48, factor=2, quality=80, weights=weights).encode(pictures())


def test_over_a_link_the_coarse_picture_goes_first(weights):
    """Schemes that are made for 10 dB, and the channel is worse by and by: first both arrive, then the map alone."""
    codec, link = Spic(rho=1 / 6, weights=weights), make_link(parse("awgn"))
    mcs = {"map": "qpsk-0.25", "coarse": "16qam-0.50"}
    codec = Spic(rho=1 / 6, weights=weights, map_mcs=mcs["map"], coarse_mcs=mcs["coarse"])
    sent = codec.encode(pictures(2), TxInfo(snr_db=10.0))
    arrived = []
    for snr_db in (12.0, 3.0, -8.0):
        streams = {s.name: s for s in link.run(sent, snr_db).reception.streams}
        arrived.append((all(streams["map"].ok), all(streams["coarse"].ok)))
    assert arrived == [(True, True), (True, False), (False, False)]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"rho": 2.0}, "rho must be"),
        ({"factor": 5}, "factor 5"),
        ({"quality": 30}, "goes with a factor"),
        ({"steps": -1}, "negative"),
        ({"aim": "fame"}, "unknown aim"),
        ({"cell": 3}, "cell 3"),
        ({"coder": "bpg"}, "unknown image coder"),
        ({"map_coder": "gif"}, "unknown map coder"),
        ({"map_mcs": "bpsk"}, "unknown MCS"),
        ({"segmenter": "box"}, "names no classes"),
        ({"scheduler": "euler"}, "unknown scheduler"),
        ({"merged": "car/ship"}, "merged class"),
    ],
)
def test_wrong_settings_are_told_in_a_line(settings, said):
    with pytest.raises(SemlinkError, match=said) as told:
        Spic(**settings)
    assert "\n" not in str(told.value)


def test_a_network_of_other_classes_is_refused(tmp_path):
    network = SpadeUNet(classes=7, widths=(16, 16, 32), map_width=8)
    network.settings = settings_of(network)
    save_weights(network, tmp_path / "w.safetensors", {})
    codec = Spic(rho=1 / 6, weights=tmp_path / "w.safetensors")
    sent = codec.encode(pictures(), TxInfo(snr_db=15.0))
    with pytest.raises(SemlinkError, match="trained for 7 classes"):
        codec.decode(noiseless(sent))


def test_missing_weights_are_told_before_anything_is_measured(tmp_path):
    with pytest.raises(SemlinkError, match="train_spic.py"):
        Spic(weights=tmp_path / "none.safetensors").check(*SIZE)
