"""More SNR never makes a worse picture, whatever a learned codec was trained for; what a card says is what holds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from semlink import codecs
from semlink.codecs._learned.modulated import AdaptiveNetwork
from semlink.codecs._learned.shipped import WEIGHTS
from semlink.codecs._learned.trained import FADES_DB, RangedNetwork, SnrRange, range_of, reliability
from semlink.codecs.semlink.hybrid.networks import Refine
from semlink.codecs.swinjscc.network import SwinNetwork
from semlink.codecs.video import _compensation_training, _content_motion_training, _restoration_training, _semantic
from semlink.simulator import forms
from semlink.simulator.data import load
from semlink.simulator.errors import SemlinkError
from semlink.simulator.metrics.psnr import psnr
from semlink.simulator.training.channels import Surrogate
from semlink.simulator.training.codec import Recipe
from semlink.simulator.training.run import save_weights
from semlink.simulator.values import TxInfo

SNRS = (-10, -6, -3, 0, 5, 10, 15, 16, 17, 18, 19, 20, 21, 22, 25, 30, 60)
FEW = (-10, -5, 0, 8, 16, 20, 30, 60)  # for codecs that draw pictures in many steps
AWGN = Surrogate(0.0, 0.0)
LEARNED = [
    ("adjscc", 1 / 6, {}, SNRS),
    ("adjscc", 1 / 12, {}, SNRS),
    ("adjscc", 1 / 24, {}, SNRS),
    ("deepjscc", 1 / 6, {}, SNRS),
    ("deepjscc", 1 / 12, {}, SNRS),
    ("semlink", 1 / 24, {"base": "none"}, SNRS),
    ("semlink", 1 / 12, {}, SNRS),
    ("semlink", 1 / 3, {}, SNRS),
    ("roi_jscc", 1 / 12, {}, SNRS),
    ("roi_jscc", 1 / 12, {"domain": "street"}, SNRS),
    ("roi_jscc", 1 / 24, {"domain": "street"}, SNRS),
    ("roi_dual", 1 / 12, {}, SNRS),
    ("cddm", 1 / 24, {"steps": 0}, SNRS),
    ("cddm", 1 / 24, {"steps": 8}, FEW),
    ("sgd_jscc", 1 / 24, {"steps": 0}, SNRS),
    ("sgd_jscc", 1 / 24, {"steps": 8}, FEW),
    pytest.param("ddnm", 1 / 24, {}, FEW[2:], marks=pytest.mark.slow),
    pytest.param("posterior", 1 / 24, {"steps": 8}, FEW[2:], marks=pytest.mark.slow),
]
OTHERS = {
    "checkpoint": "a network for one SNR, of which it is told nothing",
    "digital": "no network",
    "digital_capacity": "no network",
    "img2img": "no weights shipped; the inner codec is adjscc",
    "latent_diffusion": "no weights shipped; told nothing but the level of its noise",
    "spic": "told nothing of the SNR; its network sees coded pictures alone",
    "swinjscc": "no weights shipped; its conditions are tested below",
}


def test_every_codec_of_the_registry_is_here() -> None:
    tested = {getattr(case, "values", case)[0] for case in LEARNED}
    assert tested | OTHERS.keys() == set(codecs.names()) and not tested & OTHERS.keys()


@pytest.mark.parametrize(("name", "rho", "settings", "snrs"), LEARNED, ids=str)
def test_psnr_does_not_fall_with_more_snr(name: str, rho: float, settings: dict, snrs: tuple) -> None:
    """-10 to 60 dB over AWGN, with the same noise at every SNR: never down by more than 0.02 dB."""
    codec = codecs.create(name, rho=rho, **settings)
    pictures = torch.stack([p[:, 72:152, 72:152] for p in load("samples", limit=2)])
    small = pictures[:, :, ::2, ::2]  # for weights of their own
    for images in (pictures, small) if name in ("adjscc", "deepjscc") and rho > 1 / 24 else (pictures,):
        levels = [level(codec, images, float(snr)) for snr in snrs]
        assert np.diff(levels).min() > -0.02, dict(zip(snrs, np.round(levels, 2), strict=True))
        assert levels[-1] > levels[0] + 1


def level(codec, images: torch.Tensor, snr_db: float) -> float:
    """Mean PSNR over AWGN, the transmitter told the SNR."""
    with torch.no_grad():
        sent = codec.encode(images, TxInfo(snr_db=snr_db))
        heard = AWGN(sent, torch.full((len(images),), snr_db), torch.Generator().manual_seed(3))
        return float(psnr(images, codec.decode(heard).clamp(0, 1)).mean())


@pytest.mark.parametrize("network", [AdaptiveNetwork(4, 16, (1, 1)), SwinNetwork(16, 2, (16, 16), (1, 1), (2, 2), 4)])
def test_conditions_end_where_training_did(network: RangedNetwork) -> None:
    """Told more than the most, or less than the least, an encoder answers the same; a decoder hears no more either."""
    network.trained, pictures = SnrRange(0.0, 9.0), torch.rand(1, 3, 32, 32)
    rest = {} if isinstance(network, AdaptiveNetwork) else {"planes": 16}
    for value in network.parameters():  # modulation starts at 0
        torch.nn.init.normal_(value, std=0.2)
    network.eval()
    told = {snr: network.encode(pictures, torch.tensor([snr]), **rest) for snr in (-9.0, 0.0, 4.0, 9.0, 60.0)}
    assert torch.equal(told[-9.0], told[0.0]) and torch.equal(told[9.0], told[60.0])
    assert not torch.equal(told[0.0], told[4.0]) and not torch.equal(told[4.0], told[9.0])
    a = torch.full_like(told[9.0][:, ::2], float(reliability(torch.tensor(9.0 + FADES_DB))))
    most, more = network.decode(told[9.0] * a[0, 0, 0, 0], a), network.decode(told[9.0], torch.ones_like(a))
    assert (most - more).abs().max() < 1e-3 * most.abs().max()
    network.train()
    assert not torch.equal(network.encode(pictures, torch.tensor([60.0]), **rest), told[60.0])


def test_what_is_heard_keeps_the_contract() -> None:
    """A picture heard too well: x_hat = a x + noise of at most a (1 - a), with the new a; others are as they were."""
    generator, snr_db = torch.Generator().manual_seed(0), torch.tensor([5.0, 16.0 + FADES_DB, 30.0])
    x = torch.view_as_complex(torch.randn(3, 20000, 2, generator=generator)) / 2**0.5
    a = reliability(snr_db)[:, None].expand(x.shape)
    noise = torch.view_as_complex(torch.randn(3, 20000, 2, generator=generator)) / 2**0.5
    x_hat = a * x + (a * (1 - a)).sqrt() * noise
    heard, received, reliable = SnrRange().heard(snr_db, x_hat, a)
    assert torch.equal(received[:2], x_hat[:2]) and torch.equal(reliable[:2], a[:2])
    assert heard.tolist() == [5.0, 21.0, 21.0]
    assert torch.allclose(forms.snr_db(reliable[2], 1e-6), torch.tensor(21.0), atol=1e-3)
    left = (received - reliable * x).abs().square().mean(1)
    assert left[2] < reliable[2, 0] * (1 - reliable[2, 0])
    assert float(SnrRange(-3.0, 16.0).heard(torch.tensor([-40.0]))[0]) == -10


VIDEO_SNRS = {
    "wvsc": _semantic.SNRS,
    "wvsc_d": _compensation_training.SNRS,
    "cmd": _content_motion_training.SNRS,
    "cvsc": _restoration_training.SNRS,
    "denoising_reuse": _restoration_training.SNRS,
}
WITHOUT_CONDITIONS = ("sgd_jscc-level", "sgd_jscc-tags", "unet-camvid", "pyramid-camvid", "semmap", "spic-street")


@pytest.mark.parametrize("card", sorted(WEIGHTS.glob("*.json")), ids=lambda path: path.stem)
def test_cards_say_what_their_recipes_do(card: Path) -> None:
    """The range on a card is one of its recipes', and all networks with conditions have one."""
    said = json.loads(card.read_text())
    recipes = [*snrs_in(said), *([list(VIDEO_SNRS[card.stem])] if card.stem in VIDEO_SNRS else [])]
    if "trained_snr_db" not in said:
        assert not recipes and card.stem in WITHOUT_CONDITIONS
        return
    assert said["trained_snr_db"] in recipes or card.stem == "cddm-natural-m2" or "--snr -3 13" in str(said)
    assert range_of(card.with_suffix(".safetensors")) == SnrRange(*said["trained_snr_db"])


def snrs_in(said: object) -> list:
    """All values of `snr` in a card."""
    if isinstance(said, dict):
        own = [[float(v) for v in value] for key, value in said.items() if key == "snr"]
        return own + [found for value in said.values() for found in snrs_in(value)]
    return [found for value in said for found in snrs_in(value)] if isinstance(said, list) else []


def test_hybrid_network_has_the_range_of_its_card() -> None:
    assert Refine.trained == range_of(WEIGHTS / "semlink-hybrid.safetensors")


def test_encoder_of_cddm_has_the_range_of_its_own_training() -> None:
    """Its encoder is that of adjscc at the same rate."""
    assert range_of(WEIGHTS / "cddm-natural-m2.safetensors") == range_of(WEIGHTS / "adjscc-natural-m2.safetensors")


def test_ranges_of_a_users_weights(tmp_path) -> None:
    """The card beside them, else the recipe that training wrote into them, else the default of experiments/train.py."""
    weights = tmp_path / "weights.safetensors"
    network = AdaptiveNetwork(4, 16, (1, 1))
    save_file(network.state_dict(), weights, {"settings": json.dumps(network.settings)})
    assert range_of(weights) == SnrRange() == SnrRange(*Recipe(1, 1, 1, 1, 1).snr_db)
    save_weights(network, weights, {"recipe": json.dumps({"snr_db": [0.0, 25.0]})})
    assert range_of(weights) == SnrRange(0, 25)
    save_weights(network, weights, {"tuning": json.dumps({"recipe": {"snr_db": [5.0, 6.0]}})})
    assert range_of(weights) == SnrRange(5, 6)
    card = tmp_path / "card.json"
    card.write_text(json.dumps({"recipe": {"snr": [-5, 30]}}))
    assert range_of(weights) == SnrRange(-5, 30)
    codec = codecs.create("adjscc", rho=1 / 12, weights=str(weights))
    assert codec.network(32, 32).trained == SnrRange(-5, 30)
    assert card in codec.files()
    other = weights.rename(tmp_path / "mine.safetensors")
    assert range_of(other) == SnrRange(5, 6), "a card.json belongs to weights.safetensors"


FAR, LONG = '{"trained_snr_db": [-1e308, 16]}', '{"trained_snr_db": "' + 5000 * "a" + '"}'


@pytest.mark.parametrize("said", ['{"trained_snr_db": [16, -3]}', '{"trained_snr_db": "16"}', "{", FAR, LONG])
def test_cards_without_sense_are_refused_in_one_line(tmp_path, said: str) -> None:
    weights = tmp_path / "mine.safetensors"
    save_file({"a": torch.zeros(1)}, weights)
    (tmp_path / "mine.json").write_text(said)
    with pytest.raises(SemlinkError, match="mine.json") as error:
        range_of(weights)
    assert "\n" not in str(error.value) and len(str(error.value)) < 400
