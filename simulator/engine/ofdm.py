"""One XLA graph for SLOTS slots: power -> resource grid -> channel -> estimation -> equalisation.

Grids, pilots, interpolators and equalisers of several layers are Sionna's. Shapes are fixed, SNR, channel and its
statistics are arguments: neither SNR nor codec nor channel recompiles it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from semlink.channels.base.grid import Grid
from semlink.simulator.engine.backend import squared, tensorflow
from semlink.simulator.engine.equalization import make_equalizer
from semlink.simulator.engine.estimation import make_estimator
from semlink.simulator.engine.hardware import overrun, receive, transmit
from semlink.simulator.engine.pilots import pilot_grid
from semlink.simulator.engine.setup import SLOTS, Setup, arguments

Tensors = dict[str, Any]


@cache
def compiled_link(setup: Setup, gradients: bool = False) -> Callable[..., tuple[Any, ...]]:
    """The graph as a function of the tensors that `arguments(setup)` lists, in their order.

    -> x_hat complex64 and a float32 `[SLOTS, layers, data]`, and mean powers of transmitted symbols, of the same behind
    the channel (per receive antenna), and of the noise, float32 `[SLOTS]` each. gradients: a tf.function, which can be
    differentiated; without, a concrete function, which skips 3 ms of argument matching per call.
    """
    tf = tensorflow()
    specifications = arguments(setup)
    estimate, equalize = make_estimator(setup), make_equalizer(setup)
    pilots = pilot_grid(setup.grid, setup.tx)

    def link(*tensors: Any) -> tuple[Any, ...]:
        told = dict(zip(specifications, tensors, strict=True))
        sent = transmitted(setup, told, pilots)
        faded = over_the_air(setup, told, sent)
        noise = tf.cast(tf.sqrt(told["n0"]), tf.complex64)[:, None, None, None] * told["noise"]
        y = faded + noise
        if setup.hardware:
            y = receive(faded, told["phasor"], told["rx_mu"], told["rx_nu"]) + told["interference"] + noise
        x_hat, a = equalize(y, *effective_channel(setup, told, *estimate(y, told)), told["n0"])
        return x_hat, a, setup.tx * mean_power(sent), mean_power(faded), mean_power(noise)

    compiled = tf.function(link, jit_compile=True, autograph=False)
    return compiled if gradients else compiled.get_concrete_function(*specifications.values())


def transmitted(setup: Setup, told: Tensors, pilots: np.ndarray) -> Any:
    """Symbols and pilots at the antennas, `[SLOTS, tx, symbols, subcarriers]`, mean power 1 summed over antennas."""
    tf = tensorflow()
    amplitude = on_grid(setup, tf.sqrt(told["power"] / setup.layers), 0.0)
    sent = tf.cast(amplitude, tf.complex64) * on_grid(setup, told["x"], 0.0)
    if setup.precoded:
        sent = tf.reduce_sum(told["precoder"][:, :, :, None] * sent[:, None], 2)
    sent += pilots
    if not setup.hardware:
        return sent
    return transmit(sent, told["saturation"], told["smoothness"], told["tx_mu"], told["tx_nu"])


def over_the_air(setup: Setup, told: Tensors, sent: Any) -> Any:
    """What the fade makes of it at each receive antenna, `[SLOTS, rx, symbols, subcarriers]`."""
    tf = tensorflow()
    heard = tf.reduce_sum(told["h"] * sent[:, None], 2)
    return heard + overrun(sent, told["tail"], setup.grid.cyclic_prefix) if setup.taps else heard


def effective_channel(setup: Setup, told: Tensors, h_hat: Any, error: Any) -> tuple[Any, Any]:
    """Per layer, allocated power inside: the channel estimate and the variance of all that is not known of y.

    `[SLOTS, rx, layers, symbols, subcarriers]` each. Distortion and interference are spread over the layers, because
    the equaliser sums their error variances.
    """
    tf = tensorflow()
    power = on_grid(setup, told["power"] / setup.layers, 0.0)[:, None]
    unknown = distortion(setup, told, h_hat, error)
    if setup.precoded:
        v = told["precoder"][:, None, :, :, None]
        h_hat = tf.reduce_sum(h_hat[:, :, :, None] * v, 2)
        error = tf.reduce_sum(error[:, :, :, None] * squared(v), 2)
    return h_hat * tf.cast(tf.sqrt(power), tf.complex64), error * power + unknown


def distortion(setup: Setup, told: Tensors, h_hat: Any, error: Any) -> Any:
    """Variance per layer of hardware distortion, overrun and interference; it does not scale with the allocation."""
    tf = tensorflow()
    if not setup.hardware:
        return 0.0
    unknown = told["distortion"] * tf.reduce_mean(squared(h_hat) + error, 2, keepdims=True) + told["profile"]
    if "local" in told:  # intersymbol interference comes from late paths alone, so it does not follow |h|
        unknown += (told["overrun"] * told["local"])[:, None, None, None, None]
    return unknown / setup.layers


def on_grid(setup: Setup, values: Any, at_pilots: float) -> Any:
    """Data symbols `[SLOTS, layers, data]` on the resource grid `[SLOTS, layers, symbols, subcarriers]`."""
    tf = tensorflow()
    padded = tf.pad(values, [[0, 0], [0, 0], [0, 1]], constant_values=at_pilots)
    return tf.gather(padded, element_positions(setup.grid), axis=2)


def element_positions(grid: Grid) -> np.ndarray:
    """For every resource element its place among the data symbols; the number of data symbols for pilots."""
    place = np.full((grid.symbols, grid.subcarriers), grid.data_symbols, np.int32)
    data = [s for s in range(grid.symbols) if s not in grid.pilot_symbols]
    place[data] = np.arange(grid.data_symbols).reshape(len(data), grid.subcarriers)
    return place


@cache
def unit_power(setup: Setup) -> Any:
    """The uniform allocation as a tensor."""
    return tensorflow().ones([SLOTS, setup.layers, setup.grid.data_symbols])


def mean_power(x: Any) -> Any:
    """Mean |x|^2 of each slot."""
    tf = tensorflow()
    return tf.reduce_mean(squared(x), [1, 2, 3])
