"""Several antennas against closed forms: capacity, linear detection, diversity, correlation, power, accounting."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.special import gammainc

from semlink import channels
from semlink.simulator import Grid, Link, SemlinkError, Stream, Transmission
from semlink.simulator.conformance.channel import check_link
from semlink.simulator.link.fades import FADE_BLOCK, Fades
from semlink.simulator.plugins import LINK_SETTINGS, make_channel
from semlink.simulator.sweep.trial import radio
from semlink.simulator.words import parse

FLAT = Grid(subcarriers=4, symbols=3, cyclic_prefix=1, pilot_symbols=(1,))  # channels are flat here, and fades many
WIDE = Grid(subcarriers=24)
TWO = "rayleigh:csi=perfect,layers=2,rx_antennas=2,tx_antennas=2"
SVD = TWO + ",precoding=svd,csit=perfect"
FADES = 8192  # draws of a flat channel, one an image


def link_of(word: str, grid: Grid = FLAT) -> Link:
    channel, settings = parse(word).split(LINK_SETTINGS)
    return Link(make_channel(channel), grid=grid, **settings)


def gaussian(images: int, k: int) -> Transmission:
    """Unit-power Gaussian symbols."""
    x = torch.randn(images, k, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    return Transmission((Stream("x", "analog", x / x.abs().square().mean(1, keepdim=True).sqrt()),))


def sinr(link: Link, snr_db: float, images: int, k: int) -> np.ndarray:
    """SINR of each layer, `[images, resource elements, layers]`."""
    a = link(gaussian(images, k), snr_db).streams[0].a.double().numpy()
    return (a / (1 - a)).reshape(images, -1, link.layers)


def met(link: Link, images: int) -> np.ndarray:
    """The fades that seed 0 meets at the data elements of the first slot: `[images, elements, rx, tx]`."""
    fades, grid = Fades(link.channel, 0), link.grid
    data = [s for s in range(grid.symbols) if s not in grid.pilot_symbols]
    parts = [np.arange(i, min(i + FADE_BLOCK, images)) for i in range(0, images, FADE_BLOCK)]
    h = np.concatenate([fades.at(part, 0 * part, grid)[:, :, :, data] for part in parts])
    return np.moveaxis(h.reshape(*h.shape[:3], -1), -1, 1).astype(np.complex128)


def near(values: np.ndarray, told: float) -> bool:
    """Whether the mean of independent values is within 4 standard errors of `told`, and these within 2 % of it."""
    error = values.std() / math.sqrt(len(values))
    return abs(values.mean() - told) < 4 * error and 4 * error < 0.1 * told


def eigenvalue_mean(function: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> float:
    """E f(l1, l2), l1 >= l2 the eigenvalues of H H^H, H 2x2 of CN(0, 1): density (l1 - l2)^2 e^-(l1 + l2)."""
    node, weight = np.polynomial.laguerre.laggauss(120)
    one, two = np.meshgrid(node, node)
    density = np.outer(weight, weight) * (one - two) ** 2 / 2  # both orders
    return float((density * function(np.maximum(one, two), np.minimum(one, two))).sum())


def telatar(snr: float) -> float:
    """E log2 det(I + snr / 2 H H^H) by Telatar's integral over Laguerre polynomials (1999, theorem 2)."""
    node, weight = np.polynomial.laguerre.laggauss(120)
    return float((weight * np.log2(1 + snr * node / 2) * (1 + (1 - node) ** 2)).sum())


def waterfilled(snr: float, strong: np.ndarray, weak: np.ndarray) -> np.ndarray:
    """Capacity of two modes with a mean power of 1: their noises 2 / (snr l) stand under one water level."""
    noise = 2 / (snr * np.stack([strong, np.maximum(weak, 1e-30)]))
    apart = np.minimum(noise[1] - noise[0], 2)
    power = np.stack([1 + apart / 2, 1 - apart / 2])
    return np.log2(1 + power / noise).sum(0)


def test_the_two_closed_forms_of_capacity_agree() -> None:
    for snr in (0.3, 10.0):
        uniform = eigenvalue_mean(lambda strong, weak: np.log2((1 + snr * strong / 2) * (1 + snr * weak / 2)))  # noqa: B023
        assert uniform == pytest.approx(telatar(snr), rel=1e-6)
    assert telatar(10.0) == pytest.approx(5.55, abs=0.01)  # the textbook value at 10 dB


@pytest.mark.parametrize("snr_db", [-3.0, 10.0])
def test_svd_reaches_telatars_capacity(snr_db: float) -> None:
    link, snr = link_of(SVD), 10 ** (snr_db / 10)
    rates = np.log2(1 + sinr(link, snr_db, FADES, 2)).sum((1, 2))
    h = met(link, FADES)[:, 0]
    determinant = np.linalg.det(np.eye(2) + snr / 2 * h @ h.conj().swapaxes(1, 2)).real
    assert np.allclose(rates, np.log2(determinant), rtol=1e-3)
    assert near(rates, telatar(snr))


@pytest.mark.parametrize("snr_db", [-3.0, 10.0])
def test_waterfilling_reaches_its_capacity(snr_db: float) -> None:
    """Power goes over the two modes of each image, whose gain is constant."""
    link, snr = link_of(SVD + ",power=waterfilling"), 10 ** (snr_db / 10)
    rates = np.log2(1 + sinr(link, snr_db, FADES, 2)).sum((1, 2))
    modes = np.linalg.svd(met(link, FADES)[:, 0], compute_uv=False) ** 2
    assert np.allclose(rates, waterfilled(snr, *modes.T), rtol=1e-3)
    assert near(rates, eigenvalue_mean(lambda *both: waterfilled(snr, *both)))
    assert rates.mean() > telatar(snr) * (1.15 if snr_db < 0 else 1.0)


def test_beamforming_on_the_strongest_mode() -> None:
    """One layer of 2x2 gets 2 snr / 2 l1, and P(l1 < t) = 1 - (t^2 + 2) e^-t + e^-2t ~ t^4 / 12: diversity 4."""
    link = link_of(SVD.replace("layers=2", "layers=1"))
    gain = sinr(link, 0.0, FADES, 1)[:, 0, 0]
    for t in (0.7, 1.5, 3.0, 5.0):
        told = 1 - (t**2 + 2) * math.exp(-t) + math.exp(-2 * t)
        assert abs((gain < t).mean() - told) < 4 * math.sqrt(told * (1 - told) / FADES)


@pytest.mark.parametrize("snr_db", [0.0, 15.0])
def test_open_loop_sinr_is_that_of_the_closed_form(snr_db: float) -> None:
    """1 + SINR_k = 1 / [(I + snr / 2 H^H H)^-1]_kk (Paulraj et al. 2003, sec. 7.4), a draw per resource element."""
    link, snr = link_of(TWO + ",coherence=symbol"), 10 ** (snr_db / 10)
    found = sinr(link, snr_db, 2048, link.places)
    h = met(link, 2048)
    inverse = np.linalg.inv(np.eye(2) + snr / 2 * h.conj().swapaxes(2, 3) @ h)
    told = 1 / np.diagonal(inverse, axis1=2, axis2=3).real - 1
    assert np.allclose(found, told, rtol=2e-3)
    rate, capacity = np.log2(1 + found).sum(2), np.log2(1 / np.linalg.det(inverse).real)
    assert (rate < capacity + 1e-3).all(), "separate detection of the layers cannot beat capacity"
    assert abs(capacity.mean() - telatar(snr)) < 0.02 * telatar(snr) and rate.mean() < 0.96 * capacity.mean()


def test_zero_forcing_leaves_one_degree_of_freedom() -> None:
    """Zero-forced layers of 2x2 have SINR snr / 2 Exp(1), diversity 1 (Winters, Salz and Gitlin 1994)."""
    link = link_of(TWO + ",coherence=symbol,equalizer=zf")
    gain = sinr(link, 10.0, FADES, link.places)[:, :, 0].ravel() / 5
    for t in (0.01, 0.1, 1.0):
        told = 1 - math.exp(-t)
        assert abs((gain < t).mean() - told) < 4 * math.sqrt(told * (1 - told) / len(gain))


@pytest.mark.parametrize("antennas", [2, 4])
def test_receive_antennas_combine_to_chi_square(antennas: int) -> None:
    """SINR = snr sum |h_r|^2: its mean is N snr, its outage P(N, t) ~ t^N / N!, diversity N (Proakis, 14.4)."""
    link = link_of(f"rayleigh:csi=perfect,coherence=symbol,rx_antennas={antennas}")
    gain = sinr(link, 3.0, FADES, link.places).ravel() / 10**0.3
    assert near(gain, antennas)
    for t in (0.35, 0.7, 1.5, 6.0):
        told = gammainc(antennas, t)
        assert abs((gain < t).mean() - told) < 4 * math.sqrt(told * (1 - told) / len(gain))


@pytest.mark.parametrize(("name", "speed"), [("rayleigh", {}), ("tdl", {"speed": 30.0})])
def test_spatial_correlation_of_draws(name: str, speed: dict) -> None:
    """E vec(H) vec(H)^H = R_rx x R_tx, with Sionna's exponential correlation matrices, and its eigenvalues."""
    from sionna.phy.channel import exp_corr_mat

    rx, tx = exp_corr_mat(0.7, 3).numpy(), exp_corr_mat(0.4, 2).numpy()
    correlated = {"rx_antennas": 3, "tx_antennas": 2, "rx_correlation": 0.7, "tx_correlation": 0.4}
    channel, images = channels.create(name, **correlated, **speed), 8000
    numbers = np.arange(images)
    h = channel.draw(np.random.default_rng(3), images).at(numbers, 0 * numbers, Grid(2, 2, pilot_symbols=(0,)))
    flat = h[:, :, :, 1, 1].reshape(images, -1)
    found, told = flat.T @ flat.conj() / images, np.kron(rx, tx)
    assert np.abs(found - told).max() < 4.5 / math.sqrt(images)
    assert np.allclose(np.linalg.eigvalsh(found), np.linalg.eigvalsh(told), rtol=0.07, atol=0.01)


def test_correlation_costs_log_det_at_high_snr() -> None:
    """log2 det(snr / 2 H H^H) loses log2 det R_rx R_tx = log2 (1 - 0.7^2)(1 - 0.4^2), whatever the draw."""
    rates = []
    for word in (SVD, SVD + ",rx_correlation=0.7,tx_correlation=0.4"):
        link = link_of(word)
        fade = link.channel.draw(np.random.default_rng(5), 256)
        a = link.run(gaussian(256, 2), 45.0, fade=fade).reception.streams[0].a.double()
        rates.append(-torch.log2(1 - a).sum(1))
    assert (rates[0] - rates[1]).median() == pytest.approx(-math.log2(0.51 * 0.84), abs=0.02)


ARRANGEMENTS = [
    "rayleigh:csi=perfect,rx_antennas=2",
    TWO,
    SVD + ",power=waterfilling",
    SVD.replace("layers=2", "layers=1"),
    "rayleigh:csi=perfect,csit=perfect,layers=2,precoding=svd,power=mmse,rx_antennas=4,tx_antennas=4",
]


@pytest.mark.parametrize("word", ARRANGEMENTS)
def test_power_and_uses_do_not_depend_on_antennas(word: str) -> None:
    """Total power is 1 per resource element, SNR per receive antenna; k symbols are k / layers uses."""
    link, k, snr_db = link_of(word), 90, 4.0
    images, grid = 256, link.grid
    result = link.run(gaussian(images, k), snr_db)
    report, stream = result.report, result.reception.streams[0]
    assert stream.x_hat.shape == stream.a.shape == (images, k)
    assert (stream.x_hat.dtype, stream.a.dtype) == (torch.complex64, torch.float32)
    assert report.uses["x"] == (k // link.layers,) * images
    slots = -(-k // link.places)
    assert report.uses_on_air == (slots * grid.symbols * grid.subcarriers,) * images
    assert 10 * np.log10(np.mean(10 ** (-np.array(report.snr_measured_db) / 10))) == pytest.approx(-snr_db, abs=0.05)
    assert radio(report, "x", 540, images)["rho_total"] == [k / 540 / link.layers] * images


def test_received_power_is_that_of_one_antenna() -> None:
    """Without knowledge of the channel, every receive antenna gets E|h|^2 = 1 whatever the transmit antennas."""
    for word in ("rayleigh:csi=perfect,rx_antennas=2", TWO):
        report = link_of(word + ",coherence=symbol").run(gaussian(FADES, 16), 4.0).report
        gain = 10 ** ((np.array(report.snr_realised_db) - np.array(report.snr_measured_db)) / 10)
        assert near(gain, 1)


def test_short_payloads_take_resource_elements_of_all_layers() -> None:
    """6 symbols take 3 elements of both modes, not 6 elements of the strong one."""
    link = link_of(SVD)
    layers = sinr(link, 10.0, 64, 6)
    assert layers.shape == (64, 3, 2)
    modes = np.linalg.svd(met(link, 64)[:, 0], compute_uv=False) ** 2
    assert np.allclose(layers, 5 * modes[:, None], rtol=2e-3)


def test_symbols_keep_their_order() -> None:
    for word in (TWO, SVD, "rayleigh:csi=perfect,rx_antennas=4"):
        sent, link = gaussian(40, 50), link_of(word)
        stream = link(sent, 60.0).streams[0]
        error = (stream.x_hat - sent.streams[0].payload).abs().square().mean(1)
        assert error.median() < 1e-3


@pytest.mark.parametrize("csi", ["perfect", "ls", "lmmse"])
def test_contract_of_open_loop(csi: str) -> None:
    check_link(link_of(TWO.replace("csi=perfect", f"csi={csi}"), WIDE), 5.0, images=2048, tolerance=0.05)


IMPOSSIBLE = [
    ("awgn:layers=2", "layers=2 over 1 receive and 1 transmit antennas: give 1 to 1 layers, or the channel more"),
    ("rayleigh:rx_antennas=2,layers=2", "layers=2 over 2 receive and 1 transmit antennas"),
    ("rayleigh:tx_antennas=2,layers=2", "layers=2 over 1 receive and 2 transmit antennas"),
    ("tdl:layers=3,rx_antennas=2,tx_antennas=2", "give 1 to 2 layers"),
    ("tdl:layers=0", "layers=0"),
    ("tdl:layers=1.5,rx_antennas=2,tx_antennas=2,precoding=svd,csit=perfect,csi=lmmse", "layers=1.5"),
    ("tdl:layers=two,rx_antennas=2,tx_antennas=2", "layers=two"),
    ("tdl:tx_antennas=2", 'without precoding carry 2 layers, not 1: use layers=2 or precoding="svd"'),
    ("tdl:rx_antennas=4,tx_antennas=4,layers=2", "4 transmit antennas without precoding carry 4 layers, not 2"),
    ("rayleigh:rx_antennas=5,tx_antennas=5,layers=5", "4 subcarriers cannot be shared by the pilots of 5 antennas"),
    ("tdl:rx_antennas=0", "must be whole numbers from 1 on, got 0 and 1"),
    ("tdl:rx_antennas=1.5", "must be whole numbers from 1 on, got 1.5 and 1"),
    ("tdl:rx_antennas=2,rx_correlation=1", "antenna correlations must be within 0 and 1, got 1 and 0"),
    ("awgn:rx_antennas=2", "awgn.*rx_antennas"),
    ("tdl:precoding=zf", "unknown precoding 'zf'; known: none, svd"),
    ("tdl:precoding=svd,csi=lmmse", 'precoding="svd" needs channel knowledge at the transmitter: give csit='),
    ("tdl:precoding=svd,csit=perfect", "precoding=\"svd\" with csi='ls'.*use csi=\"lmmse\" or \"perfect\""),
    ("tdl:power=waterfilling,csi=lmmse", "power='waterfilling' needs channel knowledge"),
    (TWO + ",csit=perfect,power=mmse", "power='mmse' over 2 layers needs precoding=\"svd\""),
]  # fmt: skip


@pytest.mark.parametrize(("word", "message"), IMPOSSIBLE, ids=[word for word, _ in IMPOSSIBLE])
def test_impossible_combinations_are_refused(word: str, message: str) -> None:
    with pytest.raises(SemlinkError, match=message):
        link_of(word)
