"""Equalisers with the contract of definitions.md: x_hat = a x + noise of variance a (1 - a).

Several layers go through Sionna's blocks. One layer needs no matrices: the same equalisers in closed form, several
times as fast with several antennas, and more exact at high SNR.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from semlink.channels.base.grid import Grid
from semlink.simulator.engine.backend import squared, tensorflow
from semlink.simulator.engine.pilots import sionna_grid
from semlink.simulator.engine.setup import SLOTS, Setup

Equalizer = Callable[..., tuple[Any, Any]]


def make_equalizer(setup: Setup) -> Equalizer:
    """(y, h, error, n0) -> x_hat and a `[SLOTS, layers, data]`; both 0 where nothing arrives.

    y `[SLOTS, rx, symbols, subcarriers]`; h and error `[SLOTS, rx, layers, symbols, subcarriers]`, n0 `[SLOTS]`.
    """
    tf = tensorflow()
    unbiased_by = one_layer(setup) if setup.layers == 1 else sionnas(setup)

    def equalize(y: Any, h: Any, error: Any, n0: Any) -> tuple[Any, Any]:
        unbiased, noise = unbiased_by(y, h, error, n0)
        a = 1 / (1 + noise)
        x_hat = tf.cast(a, tf.complex64) * unbiased
        good = tf.math.is_finite(tf.math.real(x_hat)) & tf.math.is_finite(tf.math.imag(x_hat)) & tf.math.is_finite(a)
        return tf.where(good, x_hat, tf.zeros_like(x_hat)), tf.where(good, a, tf.zeros_like(a))

    return equalize


def sionnas(setup: Setup) -> Equalizer:
    """Sionna's, of any number of layers: (y, h, error, n0) to symbols without bias and the variance of their noise."""
    from sionna.phy.mimo import StreamManagement
    from sionna.phy.ofdm import LMMSEEqualizer, MFEqualizer, ZFEqualizer

    kind = {"lmmse": LMMSEEqualizer, "zf": ZFEqualizer, "mf": MFEqualizer}[setup.equalizer]
    block = kind(sionna_grid(setup.grid, setup.layers), StreamManagement(np.ones([1, 1]), setup.layers))

    def unbiased(y: Any, h: Any, error: Any, n0: Any) -> tuple[Any, Any]:
        x, noise = block(y[:, None], h[:, None, :, None], error[:, None, :, None], n0)
        return x[:, 0], noise[:, 0]

    return unbiased


def one_layer(setup: Setup) -> Equalizer:
    """The same for one layer: x = w y / w h over antennas, with noise w s w* / |w h|^2, s what is unknown at each.

    w is h* / s for LMMSE (maximum ratio), h* for the others.
    """
    tf = tensorflow()
    rows = data_symbols(setup.grid)

    def unbiased(y: Any, h: Any, error: Any, n0: Any) -> tuple[Any, Any]:
        y, h, error = (tf.gather(v, rows, axis=-2) for v in (y, h[:, :, 0], error[:, :, 0]))
        unknown = n0[:, None, None, None] + error
        power = squared(h)
        trust = 1 / unknown if setup.equalizer == "lmmse" else tf.ones_like(power)
        gain = tf.reduce_sum(trust * power, 1)
        noise = tf.reduce_sum(trust**2 * power * unknown, 1) / gain**2
        x = tf.reduce_sum(tf.cast(trust, tf.complex64) * tf.math.conj(h) * y, 1) * tf.cast(1 / gain, tf.complex64)
        return tuple(tf.reshape(v, [SLOTS, 1, -1]) for v in (x, noise))

    return unbiased


def data_symbols(grid: Grid) -> list[int]:
    """OFDM symbols without pilots."""
    return [symbol for symbol in range(grid.symbols) if symbol not in grid.pilot_symbols]
