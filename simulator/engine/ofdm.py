"""One XLA graph: power -> resource grid -> channel -> estimation -> equalisation, of Sionna blocks, for SLOTS slots.

Shapes are fixed, SNR and channel statistics are arguments: neither SNR nor codec nor channel recompiles it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, Literal

import numpy as np

from semlink.channels._fade import Channel
from semlink.channels._grid import Grid
from semlink.simulator.engine.backend import tensorflow
from semlink.simulator.engine.statistics import moments, wiener

Csi = Literal["perfect", "ls", "ls-nearest", "lmmse"]
CSI = ("perfect", "ls", "ls-nearest", "lmmse")
EQUALIZERS = ("lmmse", "zf", "mf")
SLOTS = 64  # slots per call of the graph; the last call is padded


@cache
def sionna_grid(grid: Grid) -> Any:
    """Sionna's resource grid for one transmitter and stream."""
    from sionna.phy.ofdm import ResourceGrid

    return ResourceGrid(
        num_ofdm_symbols=grid.symbols,
        fft_size=grid.subcarriers,
        subcarrier_spacing=grid.subcarrier_spacing,
        cyclic_prefix_length=grid.cyclic_prefix,
        pilot_pattern="kronecker",
        pilot_ofdm_symbol_indices=list(grid.pilot_symbols),
    )


def interpolator(grid: Grid, csi: Csi) -> Any:
    """Sionna's linear or nearest-neighbour interpolator of pilot estimates."""
    from sionna.phy.ofdm import LinearInterpolator, NearestNeighborInterpolator

    kind = NearestNeighborInterpolator if csi == "ls-nearest" else LinearInterpolator
    return kind(sionna_grid(grid).pilot_pattern)


@cache
def interpolation_matrix(grid: Grid, csi: Csi) -> np.ndarray:
    """The interpolator as a real matrix `[symbols * subcarriers, pilots]`, read off its answers to unit pilots."""
    tf = tensorflow()
    pilots = len(grid.pilot_symbols) * grid.subcarriers
    unit = tf.reshape(tf.eye(pilots, dtype=tf.complex64), [pilots, 1, 1, 1, 1, pilots])
    answers, _ = interpolator(grid, csi)(unit, tf.math.real(unit))
    return np.real(answers.numpy()).reshape(pilots, -1).T.astype(np.float64)


def receiver_statistics(channel: Channel, grid: Grid, csi: Csi) -> tuple[Any, ...]:
    """The channel statistics that the graph of this CSI mode takes as its last arguments, as tensors."""
    tf = tensorflow()
    if csi == "perfect":
        return ()
    if csi == "lmmse":
        w = wiener(channel.correlation, grid)
        return tuple(tf.constant(v) for v in (w.basis, w.spread, w.eigenvalues, np.float32(channel.specular_power)))
    m = moments(channel.correlation, grid, interpolation_matrix(grid, csi))
    return tuple(tf.constant(v) for v in (m.cross, m.signal, m.noise, np.float32(channel.specular_power)))


@cache
def compiled_link(
    grid: Grid, csi: Csi, equalizer: str, specular: bool, gradients: bool = False
) -> Callable[..., tuple[Any, ...]]:
    """The graph as a function of tensors (arrays must be made tensors first), compiled at its first call.

    (x complex64 [SLOTS, data], power float32 [SLOTS, data], h and noise complex64 [SLOTS, symbols, subcarriers],
    n0 float32 [SLOTS], *statistics) -> x_hat complex64 [SLOTS, data], a float32 [SLOTS, data], and mean powers
    of transmitted symbols, of the same behind the channel, and of the noise, float32 [SLOTS] each.
    specular: whether the channel has a line of sight that the estimators must allow for. gradients: a tf.function,
    which can be differentiated; without, a concrete function, which skips 3 ms of argument matching per call.
    """
    tf = tensorflow()
    from sionna.phy.ofdm import ResourceGridMapper

    rg = sionna_grid(grid)
    mapper, estimate, equalize = (
        ResourceGridMapper(rg),
        make_estimator(grid, csi, specular),
        make_equalizer(grid, equalizer),
    )
    positions = element_positions(grid)

    def link(x: Any, power: Any, h: Any, noise: Any, n0: Any, *statistics: Any) -> tuple[Any, ...]:
        amplitude = tf.sqrt(tf.gather(tf.pad(power, [[0, 0], [0, 1]], constant_values=1.0), positions, axis=1))
        sent = tf.cast(amplitude, tf.complex64) * mapper(x[:, None, None, :])[:, 0, 0]
        faded = h * sent
        noisy = tf.cast(tf.sqrt(n0), tf.complex64)[:, None, None] * noise
        y = faded + noisy
        h_hat, error = estimate(y, h, n0, *statistics)
        scaled, error = h_hat * tf.cast(amplitude, tf.complex64), error * amplitude**2
        x_hat, a = equalize(y, scaled, error, n0)
        return x_hat, a, mean_power(sent), mean_power(faded), mean_power(noisy)

    compiled = tf.function(link, jit_compile=True)
    return compiled if gradients else compiled.get_concrete_function(*signature(grid, csi))


def signature(grid: Grid, csi: Csi) -> list[Any]:
    """Specifications of the graph's arguments."""
    tf = tensorflow()
    data, slot = (SLOTS, grid.data_symbols), (grid.symbols, grid.subcarriers)
    pilots, elements = len(grid.pilot_symbols) * grid.subcarriers, grid.symbols * grid.subcarriers
    shapes = [
        (data, "complex64"),
        (data, "float32"),
        ((SLOTS, *slot), "complex64"),
        ((SLOTS, *slot), "complex64"),
        ((SLOTS,), "float32"),
    ]
    if csi == "lmmse":
        shapes += [
            ((pilots, pilots), "complex64"),
            ((pilots, elements), "complex64"),
            ((pilots,), "float32"),
            ((), "float32"),
        ]
    elif csi != "perfect":
        shapes += [(slot, "complex64"), (slot, "float32"), (slot, "float32"), ((), "float32")]
    return [tf.TensorSpec(shape, dtype) for shape, dtype in shapes]


@cache
def unit_power(grid: Grid) -> Any:
    """The uniform allocation as a tensor."""
    return tensorflow().ones([SLOTS, grid.data_symbols])


def element_positions(grid: Grid) -> np.ndarray:
    """For every resource element its place among the data symbols; the number of data symbols for pilots."""
    place = np.full((grid.symbols, grid.subcarriers), grid.data_symbols, np.int32)
    data = [s for s in range(grid.symbols) if s not in grid.pilot_symbols]
    place[data] = np.arange(grid.data_symbols).reshape(len(data), grid.subcarriers)
    return place


def mean_power(x: Any) -> Any:
    """Mean |x|^2 of each slot."""
    tf = tensorflow()
    return tf.reduce_mean(tf.math.real(x) ** 2 + tf.math.imag(x) ** 2, [1, 2])


def make_estimator(grid: Grid, csi: Csi, specular: bool) -> Callable[..., tuple[Any, Any]]:
    """(y, h, n0, *statistics) -> conditional mean of h and its error variance, `[SLOTS, symbols, subcarriers]`."""
    if csi == "perfect":
        return lambda y, h, n0: (h, tensorflow().zeros(h.shape))
    return _wiener_estimator(grid, specular) if csi == "lmmse" else _ls_estimator(grid, csi, specular)


def _ls_estimator(grid: Grid, csi: Csi, specular: bool) -> Callable[..., tuple[Any, Any]]:
    tf = tensorflow()
    from sionna.phy.ofdm import LSChannelEstimator

    ls = LSChannelEstimator(sionna_grid(grid), interpolator=interpolator(grid, csi))

    def estimate(y: Any, h: Any, n0: Any, cross: Any, signal: Any, noise: Any, los: Any) -> tuple[Any, Any]:
        h_hat, _ = ls(y[:, None, None], n0)
        moments = tf.math.conj(cross), signal + n0[:, None, None] * noise
        return conditional_mean(h_hat[:, 0, 0, 0, 0], *moments, los if specular else None)

    return estimate


def _wiener_estimator(grid: Grid, specular: bool) -> Callable[..., tuple[Any, Any]]:
    tf = tensorflow()
    pilots = tf.constant(sionna_grid(grid).pilot_pattern.pilots[0, 0], tf.complex64)
    rows = list(grid.pilot_symbols)
    shape = [SLOTS, grid.symbols, grid.subcarriers]

    def estimate(y: Any, h: Any, n0: Any, basis: Any, spread: Any, eigenvalues: Any, los: Any) -> tuple[Any, Any]:
        observed = tf.reshape(tf.gather(y, rows, axis=1), [SLOTS, -1]) / pilots
        gains = 1 / (eigenvalues + n0[:, None])
        modes = tf.matmul(observed, basis, transpose_b=True) * tf.cast(gains, tf.complex64)
        h_hat = tf.reshape(tf.matmul(modes, spread), shape)
        known = tf.reshape(tf.matmul(gains, tf.abs(spread) ** 2), shape)  # E|h_hat|^2 = E[h h_hat*]
        if not specular:
            return h_hat, tf.maximum(1 - known, 0.0)
        return conditional_mean(h_hat / tf.cast(known, tf.complex64), tf.ones_like(h_hat), 1 / known, los)

    return estimate


def conditional_mean(h_hat: Any, cross: Any, power: Any, los: Any | None) -> tuple[Any, Any]:
    """E[h | h_hat] and the error variance left, from cross = E[h h_hat*] and power = E|h_hat|^2.

    h is Gaussian but for a specular part of power `los` and uniform phase, whose phase has a von Mises law given
    h_hat; the linear shrinkage alone would leave estimates of a strong line of sight biased.
    """
    tf = tensorflow()
    if los is None:
        shrink = cross / tf.cast(power, tf.complex64)
        return shrink * h_hat, tf.maximum(1 - tf.abs(cross) ** 2 / power, 0.0)
    scattered, spread = cross - tf.cast(los, tf.complex64), tf.maximum(power - los, 1e-9)
    shrink = scattered / tf.cast(spread, tf.complex64)
    size = tf.maximum(tf.abs(h_hat), 1e-9)
    concentration = 2 * tf.sqrt(los) * size / spread
    certainty = tf.math.bessel_i1e(concentration) / tf.math.bessel_i0e(concentration)
    specular = tf.cast(tf.sqrt(los) * certainty / size, tf.complex64) * h_hat
    error = 1 - los - tf.abs(scattered) ** 2 / spread + tf.abs(1 - shrink) ** 2 * los * (1 - certainty**2)
    return shrink * h_hat + (1 - shrink) * specular, tf.maximum(error, 0.0)


def make_equalizer(grid: Grid, name: str) -> Callable[..., tuple[Any, Any]]:
    """(y, h, error, n0) -> x_hat = a x + noise of variance a (1 - a), and a; both 0 where nothing arrives."""
    tf = tensorflow()
    from sionna.phy.mimo import StreamManagement
    from sionna.phy.ofdm import LMMSEEqualizer, MFEqualizer, ZFEqualizer

    kind = {"lmmse": LMMSEEqualizer, "zf": ZFEqualizer, "mf": MFEqualizer}[name]
    block = kind(sionna_grid(grid), StreamManagement(np.ones([1, 1]), 1))

    def equalize(y: Any, h: Any, error: Any, n0: Any) -> tuple[Any, Any]:
        lift = (slice(None), None, None, None, None)
        unbiased, no_eff = block(y[:, None, None], h[lift], error[lift], n0)
        a = 1 / (1 + no_eff[:, 0, 0])
        x_hat = tf.cast(a, tf.complex64) * unbiased[:, 0, 0]
        good = tf.math.is_finite(tf.abs(x_hat)) & tf.math.is_finite(a)
        return tf.where(good, x_hat, tf.zeros_like(x_hat)), tf.where(good, a, tf.zeros_like(a))

    return equalize
