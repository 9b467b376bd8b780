"""Antennas of channels without geometry: Kronecker correlation H = R_rx^(1/2) G R_tx^(1/2), R_ij = rho^|i - j|.

The exponential model of Loyka (2001); rho = 0 leaves the antenna pairs independent.
"""

from __future__ import annotations

import numpy as np


def check_antennas(rx: int, tx: int, rx_correlation: float = 0.0, tx_correlation: float = 0.0) -> None:
    """ValueError unless there is at least one antenna an end and correlations are within 0 and 1."""
    if rx < 1 or tx < 1 or int(rx) != rx or int(tx) != tx:
        raise ValueError(f"rx_antennas and tx_antennas must be whole numbers from 1 on, got {rx} and {tx}")
    if not (0 <= rx_correlation < 1 and 0 <= tx_correlation < 1):
        raise ValueError(f"antenna correlations must be within 0 and 1, got {rx_correlation:g} and {tx_correlation:g}")


def shape(rx: int, tx: int) -> tuple[int, ...]:
    """Antenna axes of a response: none for one antenna at each end."""
    return () if (rx, tx) == (1, 1) else (rx, tx)


def correlated(gains: np.ndarray, rx_correlation: float, tx_correlation: float) -> np.ndarray:
    """Independent gains complex64 `[images, rx, tx, ...]` given the Kronecker correlation; 0 leaves them."""
    if not rx_correlation and not tx_correlation:
        return gains
    rx, tx = exponential_root(gains.shape[1], rx_correlation), exponential_root(gains.shape[2], tx_correlation)
    return np.einsum("ij,njk...,lk->nil...", rx, gains, tx).astype(np.complex64)


def exponential_root(antennas: int, correlation: float) -> np.ndarray:
    """Symmetric square root of the exponential correlation matrix, float64 `[antennas, antennas]`."""
    place = np.arange(antennas)
    values, vectors = np.linalg.eigh(correlation ** np.abs(place[:, None] - place))
    return (vectors * np.sqrt(values.clip(0))) @ vectors.T
