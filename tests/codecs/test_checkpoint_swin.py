"""SwinJSCC and WITT from a clone: a stand-in with their layout and signatures, and their channel's formulas."""

import math
import pickle
import sys
from pathlib import Path

import pytest
import torch
from swin_clone import WIDTHS, swin_clone, trained

from semlink import codecs
from semlink.codecs.checkpoint import swin
from semlink.simulator import ReceivedStream, Reception, SemlinkError, Transmission, check_codec
from semlink.simulator.conformance.codec import noiseless, smooth_pictures

MODELS = [
    ("SwinJSCC_w/o_SAandRA", "SwinJSCC", 16),
    ("SwinJSCC_w/_SA", "SwinJSCC", 16),
    ("SwinJSCC_w/_RA", "SwinJSCC", None),
    ("SwinJSCC_w/_SAandRA", "SwinJSCC", None),
    ("WITT", "WITT", 16),
    ("WITT_W/O", "WITT", 16),
]
RHO = 8 / 48  # 16 channels of cells of 4x4 px


@pytest.fixture(scope="module", params=MODELS, ids=lambda case: case[0].replace("/", ""))
def case(request, tmp_path_factory):
    return trained(tmp_path_factory.mktemp("swin"), *request.param)


@pytest.mark.slow
def test_conforms(case) -> None:
    check_codec(codecs.create("checkpoint", rho=RHO, **case), smooth_pictures(3, 32, 32), floor_db=0)


def test_says_what_it_depends_on_and_leaves_no_trace(case, capsys) -> None:
    codec = codecs.create("checkpoint", rho=RHO, **case)
    codec.check(32, 32)
    assert not capsys.readouterr().out  # clones print their layers
    assert len(codec.files()) == 4 and not {"net", "net.encoder", "net.modules"} & sys.modules.keys()
    assert codec.encodes_on == ("snr" if swin.MODELS[case["model"]][0] else "nothing")
    assert pickle.loads(pickle.dumps(codec))._networks == {}


def test_the_whole_budget_is_spent_and_no_more(case) -> None:
    codec = codecs.create("checkpoint", rho=RHO, **case)
    for height, width in ((32, 32), (64, 48), (61, 83)):
        latent, told = codec.encode(smooth_pictures(1, height, width)).streams
        spent = latent.payload.shape[1] + told.uses
        assert int(RHO * 3 * height * width) - 1 <= spent <= int(RHO * 3 * height * width)


def over(sent: Transmission, snr_db: float) -> Reception:
    """Over AWGN: x_hat = a x + noise of variance a (1 - a); bits arrive."""
    latent, told = sent.streams
    a = 1 / (1 + 10 ** (-snr_db / 10))
    x_hat = a * latent.payload + (a * (1 - a)) ** 0.5 * torch.randn(latent.payload.shape, dtype=torch.complex64)
    bits = ReceivedStream("told", "bits", payload=tuple(told.payload), ok=(True,) * len(x_hat))
    return Reception((ReceivedStream("latent", "analog", x_hat, torch.full(x_hat.shape, a)), bits), sent.session)


def test_its_snr_is_that_of_this_link(case) -> None:
    """The clone's own ends around their channel at 7 dB: complex symbols of power 1, noise of variance 1/snr, and the
    decoder gets both multiplied by the root of the power. Differences to the noiseless picture have the same power, but
    for what is not sent here so that the rest can be told.
    """
    codec, images, snr_db = codecs.create("checkpoint", rho=RHO, **case), smooth_pictures(2, 256, 256), 7.0
    network, channels = codec.network(256, 256), 2 * codec.planes
    torch.manual_seed(0)
    theirs = []
    for image in images:
        latent, chosen = network.encode(image[None], snr_db, channels)
        noise = torch.randn_like(latent) * math.sqrt(1 / (2 * 10 ** (snr_db / 10)))
        noise *= (2 * latent.square().mean()).sqrt()
        clean, noisy = (network.decode(x, snr_db, chosen) for x in (latent, latent + noise))
        theirs.append((noisy.clamp(0, 1) - clean.clamp(0, 1)).square().mean())
    ours = []
    for level in (snr_db, snr_db + 3):
        sent = codec.encode(images, swin.TxInfo(snr_db=snr_db))
        clean = torch.cat([network.decode(*_whole(network, image, snr_db, channels)) for image in images]).clamp(0, 1)
        ours.append((codec.decode(over(sent, level)) - clean).square().mean())
    same, other = (10 * math.log10(float(own / torch.stack(theirs).mean())) for own in ours)
    assert abs(same) < 0.6 and other < same - 1.5


def _whole(network, image, snr_db, channels):
    latent, chosen = network.encode(image[None], snr_db, channels)
    return latent, snr_db, chosen


def test_scale_and_channels_are_told(case) -> None:
    codec = codecs.create("checkpoint", rho=RHO, **case)
    images = smooth_pictures(2, 32, 32)
    sent = codec.encode(images)
    told = sent.streams[1].payload
    assert {len(own) for own in told} == {4 if codec.chooses else 1}
    latent, chosen = codec.network(32, 32).encode(images[:1], 10.0, 16)
    assert abs(math.log2(swin.scale_of(told[0]) / latent.square().mean().sqrt())) < 0.1
    if chosen is not None:
        assert torch.equal(swin.read_flags(told[0][1:], WIDTHS[-1]), chosen) and int(chosen.sum()) == 16
    heard = noiseless(sent)
    halved = ReceivedStream("told", "bits", payload=(None, told[1][:1] + b"\0" * 3), ok=(False, True))
    pictures, undecoded = codec.decode_marked(Reception((heard.streams[0], halved), heard.session))
    assert (pictures == 0.5).all() and undecoded == (False, True)  # lost; bits that choose no channel, or are too many


def test_what_does_not_fit_is_told_in_a_line(tmp_path: Path) -> None:
    good = trained(tmp_path / "witt", "WITT", "WITT", 16)
    other = swin_clone(tmp_path / "other", "SwinJSCC", second=True)
    deaf = swin_clone(tmp_path / "deaf", "WITT")
    (deaf / "net/encoder.py").write_text((deaf / "net/encoder.py").read_text().replace('"WITT"', '"False"'))
    torch.save({"encoder.head_list.weight": torch.zeros(2, 2)}, tmp_path / "odd.model")
    wrong = {
        "give repo=FOLDER and weights=FILE": {"repo": good["repo"]},
        "its tensors are of WITT or WITT_W/O or SwinJSCC_w/o_SAandRA or SwinJSCC_w/_SA; give model= as": {
            **good,
            "model": "",
        },
        "its tensors are of .*; give": {**good, "model": "SwinJSCC_w/_RA"},
        "unknown model 'WIT'; known: WITT, ": {**good, "model": "WIT"},
        "no network of SwinJSCC or WITT": {**good, "weights": str(tmp_path / "odd.model")},
        "weights do not fit this network: encoder.bm_list1": {**good, "repo": str(other)},
        "its encoder does not use the SNR as WITT; pull the clone": {**good, "repo": str(deaf)},
        "no such weights": {**good, "weights": str(tmp_path / "none.model")},
        "is no clone of SwinJSCC or WITT, so it has no model=WITT": {**good, "repo": str(tmp_path)},
    }
    for said, own in wrong.items():
        with pytest.raises(SemlinkError, match=said) as error:
            codecs.create("checkpoint", rho=RHO, **own).check(32, 32)
        assert "\n" not in str(error.value)
    with pytest.raises(SemlinkError, match="trained for rho 0.1667, not 0.0833"):
        codecs.create("checkpoint", rho=1 / 12, **good)
    with pytest.raises(SemlinkError, match="of which 64 would tell the latent's scale; take larger pictures"):
        codecs.create("checkpoint", rho=RHO, **good).check(12, 12)
