"""Sionna's equalisers with the contract of definitions.md: x_hat = a x + noise of variance a (1 - a)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from semlink.simulator.engine.backend import tensorflow
from semlink.simulator.engine.pilots import sionna_grid
from semlink.simulator.engine.setup import Setup


def make_equalizer(setup: Setup) -> Callable[..., tuple[Any, Any]]:
    """(y, h, error, n0) -> x_hat and a `[SLOTS, layers, data]`; both 0 where nothing arrives.

    y `[SLOTS, rx, symbols, subcarriers]`; h and error `[SLOTS, rx, layers, symbols, subcarriers]`, n0 `[SLOTS]`.
    """
    tf = tensorflow()
    from sionna.phy.mimo import StreamManagement
    from sionna.phy.ofdm import LMMSEEqualizer, MFEqualizer, ZFEqualizer

    kind = {"lmmse": LMMSEEqualizer, "zf": ZFEqualizer, "mf": MFEqualizer}[setup.equalizer]
    block = kind(sionna_grid(setup.grid, setup.layers), StreamManagement(np.ones([1, 1]), setup.layers))

    def equalize(y: Any, h: Any, error: Any, n0: Any) -> tuple[Any, Any]:
        unbiased, no_eff = block(y[:, None], h[:, None, :, None], error[:, None, :, None], n0)
        a = 1 / (1 + no_eff[:, 0])
        x_hat = tf.cast(a, tf.complex64) * unbiased[:, 0]
        good = tf.math.is_finite(tf.abs(x_hat)) & tf.math.is_finite(a)
        return tf.where(good, x_hat, tf.zeros_like(x_hat)), tf.where(good, a, tf.zeros_like(a))

    return equalize
