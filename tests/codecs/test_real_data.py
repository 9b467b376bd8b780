"""Shipped weights and the baseline on real test pictures through the real link, a sample of the reference results."""

import pytest
import torch

from semlink import channels, codecs
from semlink.simulator import Link
from semlink.simulator.data import load
from semlink.simulator.metrics import measure


@pytest.fixture(scope="module")
def cifar(data_root) -> torch.Tensor:
    """The first 500 test pictures: their mean PSNR is within about 0.4 dB of the whole set's."""
    return load("cifar10").batch(range(500))


def psnr(codec, images: torch.Tensor, channel: str, snr_db: float) -> float:
    """Mean per-image PSNR over the link."""
    link = Link(channels.create(channel))
    tx = link.tx_info(snr_db, codec.uses(*images.shape[-2:]), statistics=codec.encodes_on == "link")
    with torch.no_grad():
        received = codec.decode(link(codec.encode(images, tx), snr_db))
    return float(measure(["psnr"], images, received)["psnr"].mean())


@pytest.mark.parametrize(("snr_db", "level"), [(1.0, 24.0), (4.0, 26.2), (7.0, 28.3), (10.0, 30.0)])
def test_adjscc_one_model_for_all_snrs(cifar, snr_db: float, level: float) -> None:
    assert psnr(codecs.create("adjscc", rho=1 / 6), cifar, "awgn", snr_db) > level


@pytest.mark.parametrize(("rho", "low", "high"), [(1 / 6, 28.0, 30.3), (1 / 12, 25.4, 27.5)])
def test_deepjscc_is_where_its_reimplementations_are(cifar, rho: float, low: float, high: float) -> None:
    assert low < psnr(codecs.create("deepjscc", rho=rho), cifar, "awgn", 10.0) < high


def test_digital_on_a_mosaic_is_where_bpg_is(data_root) -> None:
    """BPG + 5G LDPC: 29 to 31 dB; of 64 tiles, as a mean over the mosaic (0.5 dB below the mean over tiles)."""
    mosaic = load("cifar10-mosaic").batch(range(2))
    assert 28.5 < psnr(codecs.create("digital", rho=1 / 6), mosaic, "awgn", 10.0) < 31.5


def test_graceful_degradation_against_the_cliff(data_root) -> None:
    """5 dB below the SNR that both were told, the learned codec loses a little and the digital one everything."""
    images = load("kodak", size=256).batch(range(3))
    link = Link(channels.create("awgn"))
    lost = {}
    for name in ("adjscc", "digital"):
        codec = codecs.create(name, rho=1 / 12)
        with torch.no_grad():
            sent = codec.encode(images, link.tx_info(10.0, codec.uses(256, 256), statistics=True))
            at = [measure(["psnr"], images, codec.decode(link(sent, snr)))["psnr"].mean() for snr in (10.0, 5.0)]
        lost[name] = float(at[0] - at[1])
    assert lost["adjscc"] < 5 and lost["digital"] > 10


def test_fading_with_estimated_csi_costs_what_it_must(cifar) -> None:
    """Below AWGN at the same SNR, above what the mean colour gives."""
    codec = codecs.create("adjscc", rho=1 / 6)
    flat = measure(["psnr"], cifar, cifar.mean((2, 3), keepdim=True).expand_as(cifar))["psnr"].mean()
    assert flat + 3 < psnr(codec, cifar, "tdl", 10.0) < psnr(codec, cifar, "awgn", 10.0) - 1


@pytest.mark.parametrize(("rho", "level"), [(1 / 24, 26.5), (1 / 12, 31.4), (1 / 6, 35.5)])
@pytest.mark.slow
def test_semlink_one_model_for_all_rates(data_root, rho: float, level: float) -> None:
    """Half a dB below what the shipped network reaches, so that a worse one is noticed."""
    images = load("imagenet-256").batch(range(8))
    assert psnr(codecs.create("semlink", rho=rho), images, "awgn", 10.0) > level


@pytest.mark.parametrize("snr_db", [0.0, 5.0])
@pytest.mark.slow
def test_semlink_beats_the_baseline_over_fading(data_root, snr_db: float) -> None:
    images = load("imagenet-256").batch(range(16))
    ours, separated = (psnr(codecs.create(name, rho=1 / 12), images, "tdl", snr_db) for name in ("semlink", "digital"))
    assert ours > separated
