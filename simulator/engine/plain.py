"""The same link of Sionna's own blocks and nothing of ours: what `Link` is timed against."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from semlink.channels.base.grid import Grid
from semlink.simulator.engine.backend import tensorflow
from semlink.simulator.engine.pilots import sionna_grid


def plain_sionna(jit: bool | None) -> Callable[[Any, Any], Any]:
    """(x complex64 `[batch, 1, 1, symbols]`, N0) -> estimates and effective noise, TDL-A, LS, LMMSE equalisation.

    jit: None runs eagerly, False as a tf.function, True compiled by XLA.
    """
    tf = tensorflow()
    from sionna.phy.channel import OFDMChannel
    from sionna.phy.channel.tr38901 import TDL
    from sionna.phy.mimo import StreamManagement
    from sionna.phy.ofdm import LMMSEEqualizer, LSChannelEstimator, ResourceGridMapper

    rg = sionna_grid(Grid())
    channel = OFDMChannel(TDL("A", 100e-9, 3.5e9, min_speed=3.0), rg, return_channel=False)
    mapper, estimate = ResourceGridMapper(rg), LSChannelEstimator(rg, interpolation_type="lin")
    equalize = LMMSEEqualizer(rg, StreamManagement(np.ones([1, 1]), 1))

    def link(x: Any, no: Any) -> Any:
        y = channel(mapper(x), no)
        h_hat, error = estimate(y, no)
        return equalize(y, h_hat, error, no)

    compiled = link if jit is None else tf.function(link, jit_compile=jit)
    return lambda x, no: tuple(v.numpy() for v in compiled(x, no))
