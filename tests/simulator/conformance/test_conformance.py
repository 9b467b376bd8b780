"""Our own plug-ins pass the conformance tests that we publish."""

from pathlib import Path

import numpy as np
import pytest
import torch

from semlink import channels, codecs
from semlink.codecs.digital import Digital
from semlink.simulator import SemlinkError, Stream, TxInfo, check_channel, check_codec
from semlink.simulator.bits import mcs
from semlink.simulator.conformance.channel import check_draws
from semlink.simulator.conformance.codec import check_declarations, check_odd_size, check_over_link, smooth_pictures

MANY = {"rx_antennas": 2, "tx_antennas": 2, "speed": 10.0}
CHANNELS = [
    ("awgn", {}),
    ("rayleigh", {}),
    ("rayleigh", {"coherence": "slot"}),
    ("rayleigh", {"coherence": "symbol"}),
    ("rician", {"k_db": 3.0}),
    ("tdl", {"delay_spread": 300e-9, "speed": 30.0}),
    ("tdl", {"model": "D"}),
    pytest.param("tdl", MANY, marks=pytest.mark.slow),  # the contract of several antennas: link/test_mimo.py
    ("cdl", {}),
    ("cdl", {"model": "D", "speed": 30.0}),
    pytest.param("umi", {}, marks=pytest.mark.slow),
    pytest.param("uma", {"los": "nlos"}, marks=pytest.mark.slow),
    pytest.param("rma", {"los": "los"}, marks=pytest.mark.slow),
    ("ray_traced", {}),
]


@pytest.mark.parametrize(("name", "settings"), CHANNELS, ids=str)
def test_channels(name: str, settings: dict) -> None:
    check_channel(channels.create(name, **settings))


@pytest.mark.parametrize("model", ["A", "B", "C", "D", "E", "A30", "B100", "C300"])
def test_every_tdl_model_draws_what_it_tells(model: str) -> None:
    check_draws(channels.create("tdl", model=model, speed=20.0))


def test_several_antennas_draw_what_they_tell() -> None:
    check_draws(channels.create("tdl", **MANY))


@pytest.mark.parametrize(("size", "rho"), [((32, 32), 1 / 12), ((50, 61), 1 / 6)], ids=str)
@pytest.mark.parametrize("name", ["adjscc", "deepjscc", "semlink"])
def test_learned_codecs(name: str, size: tuple[int, int], rho: float) -> None:
    check_codec(codecs.create(name, rho=rho), smooth_pictures(3, *size))


@pytest.mark.parametrize("name", ["digital", "digital_capacity"])
def test_digital_codecs(name: str) -> None:
    check_codec(codecs.create(name, rho=1 / 6), smooth_pictures(3, 64, 50))


def test_codecs_for_a_link_show_their_main_path() -> None:
    images = smooth_pictures(2, 64, 50)
    hybrid, digital = (
        check_over_link(codecs.create(name, rho=1 / 6), images, 12.0).streams for name in ("semlink", "digital")
    )
    assert "base" in [stream.name for stream in hybrid]
    (alone,) = codecs.create("digital", rho=1 / 6).encode(images, TxInfo(snr_db=20.0)).streams
    assert digital[0].uses == alone.uses and digital[0].mcs


class Hopeless(codecs.registry.get("digital")):
    """Cannot be heard over any link whose statistics it knows."""

    def choose(self, tx, uses, height, width):
        return mcs.get("256qam-0.90") if tx.statistics else super().choose(tx, uses, height, width)


def test_a_codec_that_fails_only_with_statistics_is_caught() -> None:
    images = smooth_pictures(3, 64, 50)
    with pytest.raises(AssertionError, match="over AWGN at 20 dB"):
        check_codec(Hopeless(), images, floor_db=14.0)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"capabilities": {"colour": 1}}, "colour is among the capabilities"),
        ({"capabilities": {"rho": 1.0}}, "rho is 1.0 in the capabilities"),
        ({"encodes_on": "mood"}, "encodes_on is 'mood'"),
        ({"files": lambda self: ("weights",)}, "files are no paths"),
        ({"files": lambda self: (Path("nowhere"),)}, "not there: nowhere"),
    ],
)
def test_wrong_declarations_are_caught(change: dict, said: str) -> None:
    codec = type("Wrong", (codecs.registry.get("adjscc"),), change)()
    with pytest.raises(AssertionError, match=said):
        check_codec(codec)


@pytest.mark.parametrize("name", codecs.names())
def test_declarations(name: str) -> None:
    rho = {"sgd_jscc": 1 / 24, "latent_diffusion": 1 / 96}.get(name, 1 / 12)
    check_declarations(codecs.create(name, rho=rho))


def test_a_broken_codec_is_caught() -> None:
    class TooLoud(codecs.registry.get("adjscc")):
        def encode(self, images, tx=None):
            sent = super().encode(images, tx)
            return type(sent)((Stream("latent", "analog", 2 * sent.streams[0].payload),), sent.session)

    with pytest.raises(AssertionError, match="mean power"):
        check_codec(TooLoud())


def test_a_codec_that_holds_a_closure_is_told_which_part() -> None:
    codec = codecs.create("digital", rho=1 / 2)
    codec.activation = lambda x: x
    with pytest.raises(AssertionError, match="Digital does not pickle: activation .*lambda") as told:
        check_codec(codec)
    assert "\n" not in str(told.value)


def test_a_codec_that_shows_broken_symbols_is_caught() -> None:
    class Trusting(codecs.registry.get("adjscc")):
        """Believes what it gets."""

        def planes_of(self, x_hat, a, rows, columns):
            return super().planes_of(self.heard.x_hat, self.heard.a, rows, columns)

        def decode(self, reception):
            self.heard = reception.streams[0]
            return super().decode(reception)

    with pytest.raises(AssertionError, match="NaN or infinite symbols"):
        check_codec(Trusting())


def test_a_channel_normalised_per_realisation_is_caught() -> None:
    base = channels.registry.get("tdl")

    class Flattered(base):
        def draw(self, rng, images):
            fade = super().draw(rng, images)
            power = (np.abs(fade.response(0, 1)) ** 2).mean((1, 2, 3))
            return type(fade)(
                fade.delays, fade.gains / np.sqrt(2 * power)[:, None, None].astype(np.float32), fade.doppler
            )

    with pytest.raises(AssertionError, match="E|h|"):
        check_channel(Flattered())


def test_unknown_names_list_the_known_ones() -> None:
    with pytest.raises(LookupError, match="adjscc, .*deepjscc, digital"):
        codecs.create("jpeg9000")
    with pytest.raises(LookupError, match="awgn, cdl, ray_traced, rayleigh"):
        channels.create("marsh")
    with pytest.raises(TypeError, match="tdl.*colour"):
        channels.create("tdl", colour="red")
    with pytest.raises(ValueError, match="TDL model 'Z'"):
        channels.create("tdl", model="Z")


def test_weights_that_do_not_fit_are_refused(tmp_path) -> None:
    pickle = tmp_path / "weights.pt"
    torch.save({"a": torch.zeros(3)}, pickle)
    with pytest.raises(SemlinkError, match="weights.pt: not a safetensors file"):
        codecs.create("adjscc", weights=pickle).encode(smooth_pictures(1, 32, 32))
    with pytest.raises(SemlinkError, match="no such weights"):
        codecs.create("adjscc", weights=tmp_path / "none.safetensors").encode(smooth_pictures(1, 32, 32))
    with pytest.raises(SemlinkError, match="not a multiple of 1/48"):
        codecs.create("adjscc", rho=0.05)


class Hoping(Digital):
    """Takes it for granted that something arrives."""

    def encode(self, images, tx=None):
        if tx.statistics is not None and not any(tx.statistics.success.values()):
            raise ZeroDivisionError
        return super().encode(images, tx)


def test_a_link_over_which_no_payload_arrives_is_met_too():
    check_odd_size(Digital(rho=1 / 12, mcs="qpsk-0.50"))
    with pytest.raises(ZeroDivisionError):
        check_odd_size(Hoping(rho=1 / 12, mcs="qpsk-0.50"))
