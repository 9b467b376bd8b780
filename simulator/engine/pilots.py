"""Kronecker pilots: every transmit antenna has a comb of its own on the pilot symbols (Sionna's pattern)."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from semlink.channels.base.grid import Grid
from semlink.simulator.engine.backend import tensorflow


@cache
def sionna_grid(grid: Grid, streams: int = 1) -> Any:
    """Sionna's resource grid for one transmitter with that many streams."""
    from sionna.phy.ofdm import ResourceGrid

    return ResourceGrid(
        num_ofdm_symbols=grid.symbols,
        fft_size=grid.subcarriers,
        subcarrier_spacing=grid.subcarrier_spacing,
        num_streams_per_tx=streams,
        cyclic_prefix_length=grid.cyclic_prefix,
        pilot_pattern="kronecker",
        pilot_ofdm_symbol_indices=list(grid.pilot_symbols),
    )


@cache
def pilots(grid: Grid, ports: int) -> np.ndarray:
    """Pilots of each antenna complex64 `[ports, pilot symbols * subcarriers]`, modulus 1 on its comb, else 0."""
    found = sionna_grid(grid, ports).pilot_pattern.pilots[0].numpy() / np.sqrt(ports)
    return found.astype(np.complex64)


def pilot_grid(grid: Grid, ports: int) -> np.ndarray:
    """Pilots on the resource grid, zeros elsewhere: complex64 `[ports, symbols, subcarriers]`."""
    whole = np.zeros((ports, grid.symbols, grid.subcarriers), np.complex64)
    whole[:, list(grid.pilot_symbols)] = pilots(grid, ports).reshape(ports, -1, grid.subcarriers)
    return whole


def combs(grid: Grid, ports: int) -> np.ndarray:
    """Where each antenna's pilots are in the raster of the pilot symbols: int64 `[ports, pilots]`."""
    return np.stack([np.flatnonzero(p) for p in pilots(grid, ports)])


def interpolator(grid: Grid, csi: str, ports: int) -> Any:
    """Sionna's linear or nearest-neighbour interpolator of pilot estimates."""
    from sionna.phy.ofdm import LinearInterpolator, NearestNeighborInterpolator

    kind = NearestNeighborInterpolator if csi == "ls-nearest" else LinearInterpolator
    return kind(sionna_grid(grid, ports).pilot_pattern)


@cache
def interpolation_matrix(grid: Grid, csi: str, ports: int = 1) -> np.ndarray:
    """The interpolator as real matrices `[ports, symbols * subcarriers, pilots]`: its answers to unit pilots."""
    tf = tensorflow()
    count = len(grid.pilot_symbols) * grid.subcarriers
    unit = tf.tile(tf.reshape(tf.eye(count, dtype=tf.complex64), [count, 1, 1, 1, 1, count]), [1, 1, 1, 1, ports, 1])
    answers, _ = interpolator(grid, csi, ports)(unit, tf.math.real(unit))
    matrices = np.real(answers.numpy()).reshape(count, ports, -1).transpose(1, 2, 0).astype(np.float64)
    return np.stack([m[:, comb] for m, comb in zip(matrices, combs(grid, ports), strict=True)])


def separable_interpolation(grid: Grid, csi: str, ports: int) -> tuple[np.ndarray, np.ndarray]:
    """`interpolation_matrix` as its two factors: `[symbols, pilot symbols]` and `[ports, subcarriers, comb]`.

    Pilots are on the same subcarriers in every pilot symbol, so that what is done in frequency does not depend on time;
    the weights of an element sum to 1 in either direction.
    """
    rows = len(grid.pilot_symbols)
    whole = interpolation_matrix(grid, csi, ports).reshape(ports, grid.symbols, grid.subcarriers, rows, -1)
    return whole.sum(4).mean((0, 2)), whole.sum(3).mean(1)
