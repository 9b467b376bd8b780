"""What the receiver knows before it receives: the long-term statistics that the compiled graph takes as arguments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from semlink.channels.base.grid import Grid
from semlink.simulator.engine.backend import tensorflow
from semlink.simulator.engine.pilots import combs, interpolation_matrix
from semlink.simulator.engine.setup import Setup
from semlink.simulator.engine.statistics import Prior, moments, wiener


@dataclass(frozen=True)
class Distortion:
    """What hardware and overrun make of a link, measured by sending known symbols without noise.

    gain: of the wanted signal, common phase excluded. power: E|gain * common phase|^2 times the share of the channel's
    power that arrives within the prefix. ratio: distortion over wanted power. overrun: intersymbol and intercarrier
    interference over wanted power. profile: interference power per resource element, float32 `[symbols, subcarriers]`.
    """

    gain: complex
    power: float
    ratio: float
    profile: np.ndarray
    overrun: float = 0.0


def none(grid: Grid) -> Distortion:
    """Of a perfect chain."""
    return Distortion(1.0, 1.0, 0.0, np.zeros((grid.symbols, grid.subcarriers), np.float32))


def receiver_statistics(
    setup: Setup, prior: Prior, distortion: Distortion | None = None, n0: float = 1.0
) -> dict[str, Any]:
    """Tensors by argument name.

    n0: the noise level at which coloured interference is whitened for the Wiener filter; exact at that level.
    """
    tf = tensorflow()
    if setup.csi == "perfect":
        memory = np.complex64(prior.correlation(np.array(prior.age), np.array(0.0)))
        return {"memory": tf.constant(memory)} if setup.recalled else {}
    ports = [_port(setup, prior, distortion, n0, port) for port in range(setup.tx)]
    return {name: tf.constant(np.stack([p[name] for p in ports])) for name in ports[0]}


def _port(setup: Setup, prior: Prior, distortion: Distortion | None, n0: float, port: int) -> dict[str, np.ndarray]:
    grid, comb = setup.grid, combs(setup.grid, setup.tx)[port]
    interference = np.zeros(len(comb)) if distortion is None else on_pilots(distortion.profile, grid)[comb]
    if setup.csi == "lmmse":
        whitening = 1 / np.sqrt(1 + interference / n0)
        w = wiener(prior, grid, comb, whitening)
        named = {"basis": w.basis, "spread": w.spread, "eigenvalues": w.eigenvalues}
        return named | {"whitening": whitening.astype(np.float32)}
    weights = interpolation_matrix(grid, setup.csi, setup.tx)[port]
    m = moments(prior, grid, weights, comb)
    named = {"cross": m.cross, "line": m.line, "signal": m.signal, "noise_gain": m.noise}
    added = (weights**2 @ interference).reshape(m.noise.shape).astype(np.float32)
    return named | ({"added_noise": added} if setup.hardware else {})


def on_pilots(profile: np.ndarray, grid: Grid) -> np.ndarray:
    """The profile's values in the raster of the pilot symbols."""
    return profile[list(grid.pilot_symbols)].ravel()
