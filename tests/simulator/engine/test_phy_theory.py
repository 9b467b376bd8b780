"""The link against closed forms and against Sionna's own blocks, with confidence bounds."""

import math

import numpy as np
import pytest
import torch
from scipy.special import erfc

from semlink import channels
from semlink.channels.base.grid import Grid
from semlink.simulator import Link, Stream, Transmission
from semlink.simulator.bits.mcs import get
from semlink.simulator.engine import coding
from semlink.simulator.engine.backend import tensorflow
from semlink.simulator.engine.estimation import compiled_estimate, estimator_arguments
from semlink.simulator.engine.knowledge import receiver_statistics
from semlink.simulator.engine.pilots import interpolation_matrix, sionna_grid
from semlink.simulator.engine.setup import SLOTS, Setup
from semlink.simulator.engine.statistics import Prior, moments, wiener

GRID = Grid()
IMAGES, SYMBOLS = 64, 4 * GRID.data_symbols


def pam(levels: int, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Random points of a PAM of power 1/2."""
    points = 2 * rng.integers(levels, size=shape) - levels + 1
    return points / math.sqrt(2 * (levels**2 - 1) / 3)


def gray_bits(values: np.ndarray, levels: int) -> np.ndarray:
    """Nearest point of the PAM as Gray bits: the sign, and for 4 levels whether the size is beyond the middle."""
    sign = values > 0
    if levels == 2:
        return sign[..., None]
    middle = 2 / math.sqrt(2 * (levels**2 - 1) / 3)
    return np.stack([sign, np.abs(values) > middle], -1)


def measured_ber(channel, levels: int, snr_db: float) -> tuple[float, int]:
    """Bit error rate of Gray QAM with zero-forced hard decisions, and the number of bits."""
    rng = np.random.default_rng(5)
    x = pam(levels, rng, (IMAGES, SYMBOLS)) + 1j * pam(levels, rng, (IMAGES, SYMBOLS))
    scale = np.sqrt((np.abs(x) ** 2).mean(1, keepdims=True))
    sent = Transmission((Stream("qam", "analog", torch.from_numpy((x / scale).astype(np.complex64))),))
    stream = Link(channel, csi="perfect")(sent, snr_db, seed=2).streams[0]
    found = (stream.x_hat / stream.a.clamp_min(1e-9)).numpy() * scale
    wrong = sum(
        (gray_bits(f, levels) != gray_bits(t, levels)).sum() for f, t in ((found.real, x.real), (found.imag, x.imag))
    )
    return wrong / (2 * x.size * int(math.log2(levels))), 2 * x.size * int(math.log2(levels))


def q_awgn(c: float, snr: float) -> float:
    """Q(sqrt(c snr))."""
    return 0.5 * erfc(math.sqrt(c * snr / 2))


def q_rayleigh(c: float, snr: float) -> float:
    """Q(sqrt(c snr |h|^2)) averaged over |h|^2 ~ Exp(1) (Proakis, Digital Communications, 14.3)."""
    return 0.5 * (1 - math.sqrt(c * snr / 2 / (1 + c * snr / 2)))


def theory(levels: int, snr: float, q) -> float:
    """Exact bit error rate of Gray QPSK and 16-QAM at Es/N0 `snr`."""
    if levels == 2:
        return q(1.0, snr)
    return 0.75 * q(0.2, snr) + 0.5 * q(1.8, snr) - 0.25 * q(5.0, snr)


@pytest.mark.parametrize("levels", [2, 4], ids=["qpsk", "16qam"])
@pytest.mark.parametrize("snr_db", [3.0, 9.0])
@pytest.mark.parametrize("name", ["awgn", "rayleigh"])
def test_bit_error_rate_against_closed_form(name: str, snr_db: float, levels: int) -> None:
    settings, q = ({}, q_awgn) if name == "awgn" else ({"coherence": "symbol"}, q_rayleigh)
    rate, bits = measured_ber(channels.create(name, **settings), levels, snr_db)
    told = theory(levels, 10 ** (snr_db / 10), q)
    # the per-image power normalisation moves the SNR by up to 0.1 %; 4 standard deviations of the count
    assert abs(rate - told) < 4 * math.sqrt(told / bits * 2) + 0.005 * told


@pytest.mark.parametrize("snr_db", [-5.0, 12.5])
@pytest.mark.parametrize("name", ["awgn", "tdl"])
def test_measured_snr_is_the_asked_one(name: str, snr_db: float) -> None:
    x = torch.randn(IMAGES, SYMBOLS, dtype=torch.complex64)
    x = x / x.abs().square().mean(1, keepdim=True).sqrt()
    report = Link(channels.create(name)).run(Transmission((Stream("x", "analog", x),)), snr_db, seed=4).report
    measured = 10 * np.log10(np.mean(10 ** (np.array(report.snr_measured_db) / 10)))
    assert abs(measured - snr_db) < 0.05
    assert (np.std(report.snr_realised_db) > 0.2) == (name == "tdl")


def test_rayleigh_outage() -> None:
    """P(|h|^2 < t) = 1 - exp(-t), from the SNR realised per image."""
    x = torch.ones(1000, GRID.data_symbols, dtype=torch.complex64)
    report = Link(channels.create("rayleigh")).run(Transmission((Stream("x", "analog", x),)), 40.0, seed=1).report
    gain = 10 ** ((np.array(report.snr_realised_db) - np.array(report.snr_measured_db)) / 10)
    for threshold in (0.1, 0.5, 1.0, 2.0):
        told = 1 - math.exp(-threshold)
        assert abs((gain < threshold).mean() - told) < 4 * math.sqrt(told * (1 - told) / 1000)


@pytest.mark.parametrize("csi", ["ls", "ls-nearest", "lmmse"])
def test_estimation_error_is_what_theory_says(csi: str) -> None:
    """Mean squared error per resource element against the error variance that the estimator tells."""
    tf = tensorflow()
    channel, n0 = channels.create("tdl", delay_spread=400e-9, speed=40.0), 0.2
    setup = Setup(GRID, csi)
    told = receiver_statistics(setup, Prior(channel.correlation))
    told |= {"n0": tf.fill([SLOTS], n0), "local": tf.ones([SLOTS]), "specular": tf.zeros([SLOTS])}
    rng = np.random.default_rng(0)
    squared = []
    for _ in range(12):
        h = channel.draw(rng, SLOTS).response(0, 1, GRID)
        noise = rng.standard_normal((*h.shape, 2)).view(np.complex128)[..., 0] * math.sqrt(0.5)
        drawn = {"h": tf.constant(h[:, None]), "noise": tf.constant(noise.astype(np.complex64))}
        answers = compiled_estimate(setup)(*((told | drawn)[name] for name in estimator_arguments(setup)))
        h_hat, error = (v.numpy()[:, 0, 0] for v in answers)
        squared.append(np.abs(h_hat - h[:, 0]) ** 2)
    measured = np.concatenate(squared)
    # neighbouring subcarriers are correlated, so average whole OFDM symbols: 768 slots, about 5 % each
    assert np.allclose(measured.mean((0, 2)) / error.mean((0, 2)), 1, atol=0.12)
    assert abs(measured.mean() / error.mean() - 1) < 0.05


def test_ls_noise_is_sionnas() -> None:
    """On a flat static channel the interpolated LS error variance is N0 W W^H, as Sionna's estimator says itself."""
    tf = tensorflow()
    from sionna.phy.ofdm import LSChannelEstimator

    n0 = 0.3
    y = tf.ones([2, 1, 1, GRID.symbols, GRID.subcarriers], tf.complex64)
    _, told = LSChannelEstimator(sionna_grid(GRID), interpolation_type="lin")(y, tf.constant(n0))
    flat = moments(Prior(channels.create("rayleigh").correlation), GRID, interpolation_matrix(GRID, "ls")[0])
    at_pilots = list(GRID.pilot_symbols)
    assert np.allclose(told.numpy()[0, 0, 0, 0, 0][at_pilots], n0 * flat.noise[at_pilots], rtol=1e-4)
    assert np.allclose(flat.signal, 1, atol=1e-4) and np.allclose(flat.cross, 1, atol=1e-4)


def test_wiener_filter_against_sionnas_lmmse_interpolator() -> None:
    """Sionna interpolates first in frequency, then in time, from the same covariances; ours is the joint filter.

    On a channel that does not change in time, from one pilot symbol, both are the same frequency filter.
    """
    tf = tensorflow()
    from sionna.phy.ofdm import LMMSEInterpolator

    grid, n0 = Grid(pilot_symbols=(2,)), 0.1
    channel = channels.create("tdl", delay_spread=300e-9, speed=0.0)
    shift = np.subtract.outer(grid.frequencies(), grid.frequencies())
    frequency = tf.constant(channel.correlation(np.zeros_like(shift), shift), tf.complex64)
    time = tf.ones([grid.symbols, grid.symbols], tf.complex64)
    interpolate = LMMSEInterpolator(sionna_grid(grid).pilot_pattern, time, frequency, order="f-t")
    rng = np.random.default_rng(1)
    ls = rng.standard_normal((4, grid.subcarriers, 2)).view(np.complex128)[..., 0].astype(np.complex64)
    told, _ = interpolate(
        tf.constant(ls[:, None, None, None, None]), tf.fill([4, 1, 1, 1, 1, grid.subcarriers], np.float32(n0))
    )
    w = wiener(Prior(channel.correlation), grid)
    ours = (ls @ w.basis.T / (w.eigenvalues + n0)) @ w.spread
    ours = ours.reshape(4, grid.symbols, grid.subcarriers)
    assert np.abs(ours[:, 2] - told.numpy()[:, 0, 0, 0, 0][:, 2]).max() < 2e-3


def sionnas_own_bler(snr_db: float, blocks: int) -> float:
    """16-QAM rate 1/2 LDPC over AWGN with nothing of ours."""
    tf = tensorflow()
    from sionna.phy import config
    from sionna.phy.channel import AWGN
    from sionna.phy.fec.ldpc import LDPC5GDecoder, LDPC5GEncoder
    from sionna.phy.mapping import BinarySource, Demapper, Mapper

    config.seed = 3
    mcs = get("16qam-0.50")
    encoder = LDPC5GEncoder(8 * mcs.information_bytes(512) + mcs.crc(512), mcs.coded_bits(512), num_bits_per_symbol=4)
    decoder = LDPC5GDecoder(encoder, num_iter=coding.ITERATIONS, cn_update="boxplus", hard_out=True)
    no = tf.constant(10 ** (-snr_db / 10), tf.float32)
    bits = BinarySource()([blocks, encoder.k])
    llr = Demapper("app", "qam", 4)(AWGN()(Mapper("qam", 4)(encoder(bits)), no), no)
    return float(tf.reduce_mean(tf.cast(tf.reduce_any(decoder(llr) != bits, 1), tf.float32)))


def our_bler(snr_db: float, blocks: int) -> float:
    """The same code through Link."""
    payload = [bytes(np.random.default_rng(i).integers(0, 256, 120, dtype=np.uint8)) for i in range(blocks)]
    stream = Stream("b", "bits", payload, mcs="16qam-0.50", uses=512)
    report = Link(channels.create("awgn")).run(Transmission((stream,)), snr_db, seed=3).report
    return sum(report.block_errors) / sum(report.blocks)


def test_ldpc_waterfall_against_sionnas_own_simulation() -> None:
    blocks = 256
    for snr_db in (6.0, 6.6):
        ours, theirs = our_bler(snr_db, blocks), sionnas_own_bler(snr_db, blocks)
        spread = math.sqrt((ours * (1 - ours) + theirs * (1 - theirs)) / blocks + 1e-4)
        assert abs(ours - theirs) < 3.5 * spread, f"{snr_db} dB: ours {ours:.3f}, Sionna {theirs:.3f}"
    assert our_bler(4.5, 32) == 1.0 and our_bler(9.0, 32) == 0.0
