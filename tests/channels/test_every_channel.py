"""Every channel, by its bare name: found, drawn as it tells, and one whole run of the main codec over it."""

import functools

import pytest
import torch

from semlink import channels, codecs
from semlink.channels import impairments
from semlink.simulator import Grid, TxInfo
from semlink.simulator.conformance.codec import smooth_pictures
from semlink.simulator.engine import ofdm
from semlink.simulator.plugins import make_link
from semlink.simulator.words import parse

NEEDS_A_FILE = {"recorded"}  # its own tests make one
SETTINGS = {
    "clipping": "ratio_db=3",
    "rapp": "ratio_db=3",
    "cfo": "hertz=100",
    "phase_noise": "linewidth_hz=10",
    "iq_imbalance": "amplitude_db=0.5,phase_deg=2",
    "narrowband": "sir_db=10",
    "cochannel": "sir_db=10",
    "erasure": "rate=0.05",
    "aging": "slots=1",
}
WORDS = [name for name in channels.names() if name not in NEEDS_A_FILE]
WORDS += [f"tdl+{name}:{SETTINGS[name]}" for name in impairments.names()]


@functools.cache
def sent():
    """Three pictures and their transmission at 10 dB."""
    pictures = smooth_pictures(3, 64, 64)
    with torch.no_grad():
        return pictures, codecs.create("adjscc", rho=1 / 6).encode(pictures, TxInfo(snr_db=10.0))


def psnr(word: str, snr_db: float = 20.0) -> float:
    """Mean PSNR of the main codec over a link."""
    pictures, transmission = sent()
    with torch.no_grad():
        received = codecs.create("adjscc", rho=1 / 6).decode(make_link(parse(word))(transmission, snr_db, seed=5))
    assert received.shape == pictures.shape and bool(torch.isfinite(received).all())
    return float(-10 * (received - pictures).square().mean((1, 2, 3)).clamp_min(1e-10).log10().mean())


@pytest.mark.parametrize("word", WORDS)
def test_the_main_codec_runs_over_it(word: str) -> None:
    assert psnr(word) > 15.0  # smooth pictures; the mean colour alone gives about 12 dB


@pytest.mark.parametrize("equalizer", ["lmmse", "zf", "mf"])
def test_swapping_channels_compiles_at_most_once(equalizer: str) -> None:
    """Whatever the channel, a link without impairments runs the graphs of its CSI mode."""
    link_of = {w: make_link(parse(f"{w}:csi=ls,equalizer={equalizer}")) for w in ("rayleigh", "tdl", "cdl")}
    before = ofdm.compiled_link.cache_info().misses
    for link in link_of.values():
        link(sent()[1], 10.0)
    assert ofdm.compiled_link.cache_info().misses - before <= 1


def test_impairments_share_one_graph() -> None:
    words = [f"tdl:csi=ls+{name}:{SETTINGS[name]}" for name in impairments.names() if name not in ("erasure", "aging")]
    before = ofdm.compiled_link.cache_info().misses
    for word in words:
        make_link(parse(word))(sent()[1], 10.0)
    assert ofdm.compiled_link.cache_info().misses - before <= 1


def test_every_image_fills_slots_of_its_own() -> None:
    report = make_link(parse("cdl")).run(sent()[1], 10.0).report
    slots = Grid().slots(report.uses["latent"][0])
    assert report.uses_on_air == (slots * Grid().symbols * Grid().subcarriers,) * 3
