"""The tensor functions of hardware impairments against sample-by-sample NumPy and closed forms."""

from collections.abc import Callable
from functools import cache
from math import sqrt

import numpy as np
import pytest
from scipy.special import erfc, eval_genlaguerre

from semlink.channels.base.fade import RayFade, unit_phasor
from semlink.channels.base.grid import Grid
from semlink.channels.base.impairment import RX_OVERSAMPLING, sample_times
from semlink.channels.impairments.iq_imbalance import IqImbalance
from semlink.channels.impairments.phase_noise import PhaseNoise
from semlink.simulator import SemlinkError
from semlink.simulator.engine import hardware
from semlink.simulator.engine.backend import tensorflow

GRID = Grid()
N, SYMBOLS = GRID.subcarriers, GRID.symbols
INF = np.float32(np.inf)


def compiled(function: Callable, *arguments, **settings):
    """The function compiled by XLA, on NumPy arrays."""
    tf = tensorflow()
    graph = tf.function(lambda *tensors: function(*tensors, **settings), jit_compile=True)
    return graph(*(tf.constant(a) for a in arguments)).numpy()


def gaussian(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """CN(0, 1) symbols."""
    pairs = np.random.default_rng(seed).standard_normal((*shape, 2))
    return (pairs.view(np.complex128)[..., 0] * np.sqrt(0.5)).astype(np.complex64)


def qpsk(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Unit QPSK."""
    return np.exp(0.5j * np.pi * (np.random.default_rng(seed).integers(4, size=shape) + 0.5)).astype(np.complex64)


# The air, sample by sample, in complex128: one long stream with explicit cyclic prefixes.


def stream(x: np.ndarray, oversampling: int) -> np.ndarray:
    """One slot `[symbols, subcarriers]` as samples with prefixes, its last symbol sent once more in front."""
    size, prefix = oversampling * N, oversampling * GRID.cyclic_prefix
    tones = np.exp(2j * np.pi * np.outer(np.arange(N) - N // 2, np.arange(-prefix, size)) / size) / np.sqrt(N)
    return (np.concatenate([x[-1:], x]).astype(np.complex128) @ tones).ravel()


def useful(samples: np.ndarray, oversampling: int) -> np.ndarray:
    """The samples of a stream that the receiver keeps, `[symbols, oversampling * subcarriers]`."""
    size, prefix = oversampling * N, oversampling * GRID.cyclic_prefix
    return samples[: (SYMBOLS + 1) * (size + prefix)].reshape(SYMBOLS + 1, -1)[1:, prefix:]


def subcarriers(window: np.ndarray) -> np.ndarray:
    """The receiver's Fourier transform, one sum per subcarrier."""
    size = window.shape[-1]
    tones = np.exp(-2j * np.pi * np.outer(np.arange(size), np.arange(N) - N // 2) / size)
    return window @ tones * np.sqrt(N) / size


def through_taps(x: np.ndarray, taps: np.ndarray) -> np.ndarray:
    """Linear convolution of the slot with the taps `[symbols, delay]` of each symbol, at hardware.OVERSAMPLING."""
    samples = stream(x, hardware.OVERSAMPLING)
    heard = [useful(np.convolve(samples, tap), hardware.OVERSAMPLING)[s] for s, tap in enumerate(taps)]
    return subcarriers(np.stack(heard))


def ray_fade(places: list[int], antennas: tuple[int, ...] = (), doppler: float = 300.0) -> RayFade:
    """Two images with paths delayed by whole samples of hardware.OVERSAMPLING, that move."""
    delays = np.array(places) / (hardware.OVERSAMPLING * N * GRID.subcarrier_spacing)
    shape = (2, len(places), 3)
    rates = np.random.default_rng(5).uniform(-doppler, doppler, shape)
    return RayFade(delays, gaussian((2, *antennas, *shape[1:]), 6) / np.float32(np.sqrt(3 * len(places))), rates)


def sampled_taps(fade: RayFade, places: list[int], slot: int) -> np.ndarray:
    """The impulse response at every symbol, `[images, symbols, delay]`."""
    clock = slot * GRID.slot_time + np.arange(SYMBOLS) * GRID.symbol_time
    turns = np.exp(2j * np.pi * fade.doppler[:, None] * clock[:, None, None])
    gains = (fade.gains[:, None] * turns).sum(-1)
    taps = np.zeros((*gains.shape[:-1], max(places) + 1), np.complex128)
    for path, place in enumerate(places):
        taps[..., place] += gains[..., path]
    return taps


PREFIX = hardware.OVERSAMPLING * GRID.cyclic_prefix
INSIDE, BEYOND = [0, 7, PREFIX], [0, 5, PREFIX + 1, PREFIX + 40, PREFIX + hardware.OVERSAMPLING * N]


@pytest.mark.parametrize("places", [INSIDE, BEYOND], ids=["inside", "beyond"])
def test_paths_against_linear_convolution_of_the_whole_slot(places: list[int]) -> None:
    fade, x, who, when = ray_fade(places), qpsk((2, SYMBOLS, N)), np.arange(2), np.full(2, 3)
    y = fade.at(who, when, GRID) * x
    tail = fade.tail(who, when, GRID)
    assert (tail is None) == (places is INSIDE)
    if tail is not None:
        y = y + compiled(hardware.overrun, x, tail, cyclic_prefix=GRID.cyclic_prefix)
    told = np.stack([through_taps(x[i], taps) for i, taps in enumerate(sampled_taps(fade, places, 3))])
    assert np.abs(y - told).max() < 2e-5


def test_overrun_of_several_antennas_and_of_longer_tails() -> None:
    fade, x, who, when = ray_fade(BEYOND, (3, 2)), qpsk((2, 2, SYMBOLS, N)), np.arange(2), np.zeros(2, int)
    tail = fade.tail(who, when, GRID)[..., :60]
    found = compiled(hardware.overrun, x, tail, cyclic_prefix=GRID.cyclic_prefix)
    assert found.shape == (2, 3, SYMBOLS, N)
    longer = np.pad(tail, [(0, 0)] * 4 + [(0, 37)])
    assert np.allclose(compiled(hardware.overrun, x, longer, cyclic_prefix=GRID.cyclic_prefix), found, atol=1e-5)
    one = sum(compiled(hardware.overrun, x[:, t], tail[:, 2, t], cyclic_prefix=GRID.cyclic_prefix) for t in range(2))
    assert np.allclose(found[:, 2], one, atol=1e-5)
    nothing = compiled(hardware.overrun, x, tail[..., :1], cyclic_prefix=GRID.cyclic_prefix)
    assert nothing.shape == found.shape and not nothing.any()
    with pytest.raises(SemlinkError, match="more than a symbol"):
        hardware.overrun(x[:, 0], np.zeros((2, SYMBOLS, 400), np.complex64), GRID.cyclic_prefix)


def test_gain_that_a_fade_tells_is_the_gain_behind_the_fft() -> None:
    """Each subcarrier alone in one symbol: what arrives on it is `known`, and what is missing went elsewhere."""
    fade, symbol = ray_fade(BEYOND), 5
    x = np.zeros((N, SYMBOLS, N), np.complex64)
    x[np.arange(N), symbol, np.arange(N)] = 1
    who, when = np.zeros(N, int), np.zeros(N, int)
    y = fade.at(who, when, GRID) * x
    y += compiled(hardware.overrun, x, fade.tail(who, when, GRID), cyclic_prefix=GRID.cyclic_prefix)
    own = y[np.arange(N), symbol, np.arange(N)]
    assert np.allclose(own, fade.known(who[:1], when[:1], GRID)[0, symbol], atol=1e-5)
    assert not np.allclose(own, fade.at(who[:1], when[:1], GRID)[0, symbol], atol=1e-2)
    assert np.abs(y[:, symbol + 1]).max() > 1e-3 and np.abs(y[:, symbol + 2]).max() < 1e-5


@pytest.mark.parametrize("shape", [(3, SYMBOLS, N), (2, 4, SYMBOLS, N), (3, 2, 71)], ids=str)
def test_neutral_hardware_changes_nothing(shape: tuple[int, ...]) -> None:
    x = gaussian(shape)
    assert np.abs(compiled(hardware.transmit, x, INF, INF, np.complex64(1), np.complex64(0)) - x).max() < 1e-5
    still = np.ones((shape[0], shape[-2], RX_OVERSAMPLING * shape[-1]), np.complex64)
    assert np.abs(compiled(hardware.receive, x, still, np.complex64(1), np.complex64(0)) - x).max() < 1e-5


def test_mean_power_of_a_wave_is_that_of_the_subcarriers() -> None:
    x = gaussian((5, SYMBOLS, N))
    wave = compiled(hardware.to_wave, x, oversampling=4)
    assert np.allclose((np.abs(wave) ** 2).mean(-1), (np.abs(x) ** 2).mean(-1), rtol=1e-5)
    told = np.stack([useful(stream(slot, 4), 4) for slot in x])
    assert np.abs(wave - told).max() < 1e-5


def rapp(size: np.ndarray, saturation: float, smoothness: float) -> np.ndarray:
    """Amplitudes behind the amplifier, in float64."""
    if np.isinf(smoothness):
        return np.minimum(size, saturation)
    return size / np.exp(np.logaddexp(0, 2 * smoothness * np.log(size / saturation)) / (2 * smoothness))


@pytest.mark.parametrize("saturation, smoothness", [(1.2, 3.0), (0.9, 1.0), (1.0, np.inf), (0.5, 200.0)])
def test_transmitter_against_a_stream_with_prefixes(saturation: float, smoothness: float) -> None:
    """Modulator and amplifier work on the whole stream, prefixes included, and a channel follows."""
    mu, nu = IqImbalance(1.0, 5.0, "tx").tx_iq
    x, taps = qpsk((SYMBOLS, N)), gaussian((PREFIX + 1,), 4).astype(np.complex128)
    samples = stream(x, hardware.TX_OVERSAMPLING)
    samples = mu * samples + nu * samples.conj()
    size = np.abs(samples)
    amplified = rapp(size, saturation, smoothness) / size * samples
    told = subcarriers(useful(np.convolve(amplified, taps), hardware.TX_OVERSAMPLING))
    sent = compiled(
        hardware.transmit,
        *(x[None], np.float32(saturation), np.float32(smoothness), np.complex64(mu), np.complex64(nu)),
    )
    response = np.exp(-2j * np.pi * np.outer(np.arange(N) - N // 2, np.arange(PREFIX + 1)) / (4 * N)) @ taps
    assert np.abs(response * sent[0] - told).max() < 5e-5


def test_saturation_counts_from_the_rms_of_each_antenna() -> None:
    x = gaussian((2, 4, SYMBOLS, N))
    settings = (np.float32(1.1), np.float32(2.0), np.complex64(1), np.complex64(0))
    shared = compiled(hardware.transmit, x / 2, *settings)
    assert np.allclose(2 * shared[:, 3], compiled(hardware.transmit, x[:, 3], *settings), atol=1e-5)


@pytest.mark.parametrize("smoothness", [0.5, 1.0, 3.0, 50.0, 1e4, np.inf])
def test_amplifier_curve_at_any_smoothness(smoothness: float) -> None:
    wave = np.geomspace(1e-18, 1e12, 400).astype(np.float32) * np.complex64(np.exp(1j))
    found = compiled(hardware.amplify, wave, np.float32(2), np.float32(smoothness))
    assert np.allclose(np.abs(found), rapp(np.abs(wave).astype(np.float64), 2, smoothness), rtol=2e-5)
    assert np.allclose(np.angle(found), 1, atol=1e-5)


def bussgang(ratio: float) -> float:
    """Gain of a clipper for complex Gaussian signals (Ochiai and Imai 2002, eq. 12)."""
    return 1 - np.exp(-(ratio**2)) + np.sqrt(np.pi) / 2 * ratio * erfc(ratio)


@cache
def laguerre_powers(ratio: float, terms: int = 60) -> np.ndarray:
    """Powers of the orders 2m + 1 at the output of a clipper: its expansion in polynomials of a Gaussian signal.

    x L_m^1(|x|^2) / sqrt(m + 1) are orthonormal, and correlate as rho |rho|^(2m) between samples that correlate as rho.
    """
    u = np.linspace(0, 60, 60_001)
    clipped = np.minimum(np.sqrt(u), ratio) * np.sqrt(u) * np.exp(-u)
    orders = [np.trapezoid(clipped * eval_genlaguerre(m, 1, u), u) / np.sqrt(m + 1) for m in range(terms)]
    return np.square(orders)


def distortion_spectrum(ratio: float) -> np.ndarray:
    """Distortion power on each of the 4 * N frequencies, from the lowest subcarrier up."""
    size = hardware.TX_OVERSAMPLING * N
    rho = np.exp(2j * np.pi * np.outer(np.arange(size), np.arange(N) - N // 2) / size).mean(1)
    powers = laguerre_powers(ratio)
    correlation = sum(p * rho * np.abs(rho) ** (2 * m) for m, p in enumerate(powers) if m)
    return np.roll(np.fft.fft(correlation).real * N / size, N // 2)


@pytest.mark.parametrize("ratio_db", [0.0, 3.0, 6.0])
def test_clipping_gain_and_distortion_against_bussgang(ratio_db: float) -> None:
    ratio = 10 ** (ratio_db / 20)
    x = gaussian((160, SYMBOLS, N), 9)
    neutral = np.complex64(1), np.complex64(0)
    y = compiled(hardware.transmit, x, np.float32(ratio), INF, *neutral)
    gain = (y * x.conj()).mean().real / (np.abs(x) ** 2).mean()
    assert abs(gain / bussgang(ratio) - 1) < 2e-3
    distortion = (np.abs(y - bussgang(ratio) * x) ** 2).reshape(-1, N)  # peaks are rare: the error is measured too
    told = distortion_spectrum(ratio)
    assert abs(distortion.mean() - told[:N].mean()) < 4 * distortion.mean(1).std() / sqrt(len(distortion))
    assert np.all(np.abs(distortion.mean(0) - told[:N]) < 5 * distortion.std(0) / sqrt(len(distortion)))
    total = 1 - np.exp(-(ratio**2)) - bussgang(ratio) ** 2  # closed form, in and out of band
    assert abs(told.sum() / N / total - 1) < 0.01
    wave = compiled(hardware.to_wave, x, oversampling=4)
    clipped = compiled(hardware.amplify, wave, np.float32(ratio), INF)
    everywhere = (np.abs(clipped - bussgang(ratio) * wave) ** 2).mean(-1)
    assert abs(everywhere.mean() - total) < 4 * everywhere.std() / sqrt(everywhere.size)
    assert 0.4 < distortion.mean() / everywhere.mean() < 0.9  # the rest falls out of the band


def test_peaks_after_clipping() -> None:
    """At the clipper the peak is the ratio exactly; the band-limited signal regrows, but stays below the input."""
    ratio_db = 3.0
    ratio = np.float32(10 ** (ratio_db / 20))
    x = qpsk((128, SYMBOLS, N), 3)
    before = compiled(hardware.to_wave, x, oversampling=4)
    clipped = compiled(hardware.amplify, before, ratio, INF)
    assert np.abs(clipped).max() <= ratio * (1 + 1e-5)
    sent = compiled(hardware.transmit, x, ratio, INF, np.complex64(1), np.complex64(0))
    after = compiled(hardware.to_wave, sent, oversampling=4)
    peak = np.abs(after).max(-1)
    # what the filter takes away is the distortion out of the band, which bounds the regrowth sample by sample
    assert np.all(np.abs(after) <= ratio * (1 + 1e-4) + np.abs(after - clipped))
    papr_db = 20 * np.log10(peak) - 10 * np.log10((np.abs(after) ** 2).mean())
    assert ratio_db < papr_db.mean() < ratio_db + 3.5
    assert np.mean(peak < np.abs(before).max(-1)) > 0.99


@pytest.mark.parametrize("smoothness", [3.0, np.inf])
def test_gradients_through_the_amplifier(smoothness: float) -> None:
    """Finite everywhere, silence included, and the slope that a small step finds."""
    tf = tensorflow()
    x, step, weight = gaussian((2, SYMBOLS, N)), gaussian((2, SYMBOLS, N), 1), gaussian((2, SYMBOLS, N), 2)
    x[0, 0], step[0, 0] = 0, 0  # a silent symbol

    @tf.function(jit_compile=True)
    def loss_and_gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = hardware.transmit(x, np.float32(1), np.float32(smoothness), 0.99 + 0.02j, 0.1 - 0.05j)
            loss = tf.reduce_sum(tf.math.real(y * weight))
        return loss, tape.gradient(loss, x)

    gradient = loss_and_gradient(tf.constant(x))[1].numpy()
    assert np.isfinite(gradient).all() and np.abs(gradient).max() > 0.1
    size = 1e-2
    up, down = (float(loss_and_gradient(tf.constant(x + s * step))[0]) for s in (size, -size))
    told = (gradient.conj() * step).real.sum()
    assert abs((up - down) / (2 * size) - told) < 0.02 * abs(told) + 0.05


def test_gradients_through_receiver_and_overrun() -> None:
    tf = tensorflow()
    x, phasor = gaussian((2, SYMBOLS, N)), unit_phasor(0.1 * sample_times(GRID)[None].repeat(2, 0) * 15e3)
    tail = gaussian((2, SYMBOLS, 30), 8)
    weight = gaussian((2, SYMBOLS, N), 2)
    with tf.GradientTape() as tape:
        sent = tf.constant(x)
        tape.watch(sent)
        y = hardware.receive(sent, tf.constant(phasor), 0.99, 0.1j) + hardware.overrun(sent, tf.constant(tail), 6)
        loss = tf.reduce_sum(tf.math.real(y * weight))
    gradient = tape.gradient(loss, sent).numpy()
    assert np.isfinite(gradient).all()
    # the map is linear over the reals, so the loss is the inner product with its gradient
    assert np.isclose((gradient.conj() * x).real.sum(), float(loss), rtol=1e-3, atol=1e-2)


def test_receiver_against_a_stream_with_prefixes() -> None:
    """Offset and walk turn the whole stream behind a channel, then the demodulator mirrors it."""
    mu, nu = IqImbalance(0.7, -4.0, "rx").rx_iq
    x, taps = qpsk((SYMBOLS, N)), gaussian((2 * GRID.cyclic_prefix + 1,), 4).astype(np.complex128)
    samples = np.convolve(stream(x, RX_OVERSAMPLING), taps)
    size = RX_OVERSAMPLING * (N + GRID.cyclic_prefix)
    clock = (np.arange(len(samples)) - size) / (RX_OVERSAMPLING * N * GRID.subcarrier_spacing)  # 0: start of the slot
    walk = np.cumsum(np.random.default_rng(3).standard_normal(len(samples))) * 0.01
    turns = 700.0 * clock + walk
    turned = samples * np.exp(2j * np.pi * turns)
    told = subcarriers(useful(mu * turned + nu * turned.conj(), RX_OVERSAMPLING))
    assert np.allclose(useful(clock, RX_OVERSAMPLING), sample_times(GRID), atol=1e-12)
    phasor = np.exp(2j * np.pi * useful(turns, RX_OVERSAMPLING)).astype(np.complex64)
    response = np.exp(-2j * np.pi * np.outer(np.arange(N) - N // 2, np.arange(len(taps))) / (RX_OVERSAMPLING * N))
    faded = (response @ taps * x).astype(np.complex64)
    many = np.stack([faded, 2 * faded])[None]
    found = compiled(hardware.receive, many, phasor[None], np.complex64(mu), np.complex64(nu))
    assert np.abs(found[0, 0] - told).max() < 5e-5
    assert np.allclose(found[0, 1], 2 * found[0, 0], atol=1e-4)


@pytest.mark.parametrize("epsilon", [0.02, 0.1, 0.3])
def test_frequency_offset_against_the_closed_form(epsilon: float) -> None:
    """Common gain and inter-carrier interference of an offset of epsilon subcarriers."""
    turns = (epsilon * GRID.subcarrier_spacing * sample_times(GRID))[None]
    middle = np.zeros((1, SYMBOLS, N), np.complex64)
    middle[..., N // 2] = 1
    y = compiled(hardware.receive, middle, unit_phasor(turns), np.complex64(1), np.complex64(0))[0]
    size = RX_OVERSAMPLING * N
    shift = epsilon - (np.arange(N) - N // 2)
    told = (np.sin(np.pi * shift) / (size * np.sin(np.pi * shift / size))) ** 2
    assert np.allclose(np.abs(y) ** 2, told, atol=1e-6)
    assert np.abs(told[N // 2] - np.sinc(epsilon) ** 2) < 2e-4 * epsilon**2  # as good as continuous time
    x = qpsk((64, SYMBOLS, N))
    y = compiled(hardware.receive, x, unit_phasor(turns.repeat(64, 0)), np.complex64(1), np.complex64(0))
    centre = y[..., N // 2 - 4 : N // 2 + 4] - y_gain(turns, size) * x[..., N // 2 - 4 : N // 2 + 4]
    leaked = np.sum((np.sin(np.pi * shift) / (size * np.sin(np.pi * shift / size))) ** 2) - told[N // 2]
    assert abs((np.abs(centre) ** 2).mean() / leaked - 1) < 0.06


def y_gain(turns: np.ndarray, size: int) -> np.ndarray:
    """Mean phasor of every symbol, the common phase error, `[1, symbols, 1]`."""
    return np.exp(2j * np.pi * turns).reshape(1, SYMBOLS, size).mean(-1, keepdims=True)


@pytest.mark.parametrize("amplitude_db, phase_deg", [(0.5, 3.0), (-1.0, 0.0), (0.0, 8.0)])
def test_image_rejection(amplitude_db: float, phase_deg: float) -> None:
    """A lone subcarrier shows up at its mirror image, weaker by the rejection ratio of textbooks."""
    mu, nu = (np.complex64(v) for v in IqImbalance(amplitude_db, phase_deg).rx_iq)
    x = np.zeros((1, SYMBOLS, N), np.complex64)
    x[..., N // 2 + 10] = 1j
    still = np.ones((1, SYMBOLS, RX_OVERSAMPLING * N), np.complex64)
    y = np.abs(compiled(hardware.receive, x, still, mu, nu)[0, 0]) ** 2
    g, phi = 10 ** (amplitude_db / 20), np.deg2rad(phase_deg)
    rejection = (1 + 2 * g * np.cos(phi) + g**2) / (1 - 2 * g * np.cos(phi) + g**2)
    assert np.isclose(y[N // 2 + 10] / y[N // 2 - 10], rejection, rtol=1e-3)
    assert np.isclose(y.sum(), 1, atol=1e-5) and np.sort(y)[:-2].max() < 1e-9
    edge = np.zeros_like(x)
    edge[..., 0] = 1  # its image lies just above the band
    y = np.abs(compiled(hardware.receive, edge, still, mu, nu)[0, 0]) ** 2
    assert np.isclose(y[0], abs(mu) ** 2, rtol=1e-4) and y[1:].max() < 1e-9


def test_phase_noise_interference_against_theory() -> None:
    """Leakage by q subcarriers is E|G_q|^2, G_q the Fourier coefficient of the phasor over a useful symbol.

    E|G_q|^2 is the mean of e^{-pi B |t - t'|} e^{-j 2 pi q (t - t') / T} over all pairs of samples. For small B the
    total leakage is 1 - E|G_0|^2 = pi B T / 3, as the mean |t - t'| over a symbol is T / 3.
    """
    linewidth, slots = 100.0, 512
    noise = PhaseNoise(linewidth).draw(np.random.default_rng(1), 1)
    turns = noise.phase(np.zeros(slots, int), np.arange(slots), GRID)
    middle = np.zeros((slots, SYMBOLS, N), np.complex64)
    middle[..., N // 2] = 1
    y = compiled(hardware.receive, middle, unit_phasor(turns), np.complex64(1), np.complex64(0))
    found = (np.abs(y) ** 2).mean((0, 1))
    size, useful_time = RX_OVERSAMPLING * N, 1 / GRID.subcarrier_spacing
    lag = np.arange(size) / size
    weight = np.where(lag == 0, 1, 2) * (1 - lag) * np.exp(-np.pi * linewidth * lag * useful_time) / size
    told = np.cos(2 * np.pi * np.outer(np.arange(N) - N // 2, lag)) @ weight
    leaked = found.sum() - found[N // 2]
    assert np.isclose(found[N // 2], told[N // 2], rtol=1e-3)
    assert np.isclose(leaked, told.sum() - told[N // 2], rtol=0.06)
    assert np.isclose(1 - told[N // 2], np.pi * linewidth * useful_time / 3, rtol=0.01)
    assert np.allclose(found[N // 2 + 1 : N // 2 + 6], told[N // 2 + 1 : N // 2 + 6], rtol=0.12)
