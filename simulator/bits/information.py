"""Bit-metric mutual information of Gray QAM: what symbols of a given SNR carry, and what received ones carried."""

from __future__ import annotations

from functools import cache

import numpy as np

GRID_DB = np.arange(-20.0, 45.0, 0.25)  # SNRs at which the mutual information is tabulated
LARGEST_LLR = 20.0  # nats; Sionna's LDPC decoder clips at it
ROWS = 1 << 17  # symbols whose likelihoods are in memory at once


@cache
def constellation(order: int) -> tuple[np.ndarray, np.ndarray]:
    """Of one real dimension: points float64 `[sqrt(order)]` (both dimensions have power 1) and Gray labels
    `[sqrt(order), bits]`."""
    levels = 1 << (order.bit_length() - 1) // 2
    points = (2 * np.arange(levels) - levels + 1) / np.sqrt(2 * (levels**2 - 1) / 3)
    gray = np.arange(levels) ^ (np.arange(levels) >> 1)
    return points, (gray[:, None] >> np.arange(levels.bit_length() - 1)) & 1


@cache
def mutual_information(order: int) -> np.ndarray:
    """Bit-metric mutual information of Gray QAM in bits per symbol at GRID_DB, strictly rising.

    Per real dimension: m - sum over bits of E log2(sum of likelihoods / sum with that bit) by Gauss-Hermite quadrature
    (Caire, Taricco and Biglieri 1998, eq. 15).
    """
    points, bits = constellation(order)
    total = np.array([2 * _per_dimension(points, bits, 10 ** (-snr / 10) / 2) for snr in GRID_DB])
    return np.maximum.accumulate(total) + 1e-9 * np.arange(len(total))


def _per_dimension(points: np.ndarray, bits: np.ndarray, variance: float) -> float:
    nodes, weights = np.polynomial.hermite_e.hermegauss(32)
    y = points[:, None] + np.sqrt(variance) * nodes
    exponent = -((y[..., None] - points) ** 2) / (2 * variance)
    likelihood = np.exp(exponent - exponent.max(-1, keepdims=True))
    lost = 0.0
    for bit in bits.T:
        own = np.where(bit[:, None, None] == bit, likelihood, 0).sum(-1)
        lost += (np.log2(likelihood.sum(-1) / np.maximum(own, 1e-300)) @ weights).mean() / np.sqrt(2 * np.pi)
    return bits.shape[1] - lost


def received_information(levels: np.ndarray, x_hat: np.ndarray, a: np.ndarray, order: int) -> np.ndarray:
    """Bits that a decoder which trusts `a` gets from each received symbol, float64 of the shape of `a`.

    levels: indices `[..., 2]` of the points that were sent in the two dimensions. A symbol gives log2 M minus the log2
    of 1 + exp(-L) for the log-likelihood ratio L of each of its bits, signed by the bit: its mean is the generalised
    mutual information of bit-interleaved coded modulation with that metric (Martinez et al., IEEE Trans. Inform. Theory
    2009); below zero where the decoder is misled.
    """
    trusted = np.clip(a, 1e-6, 1 - 1e-6).astype(np.float32).reshape(-1, 1)
    y = np.stack([x_hat.real, x_hat.imag], -1).astype(np.float32).reshape(-1, 2) / trusted
    precision = np.repeat(trusted / (1 - trusted), 2, 1)  # 1 / (2 variance) of a dimension
    flat = levels.reshape(-1, 2)
    cuts = range(0, len(y), ROWS)
    lost = [_lost(flat[i : i + ROWS], y[i : i + ROWS], precision[i : i + ROWS], order) for i in cuts]
    bits: np.ndarray = np.log2(order) - np.concatenate(lost).reshape(a.shape)
    return bits


def _lost(levels: np.ndarray, y: np.ndarray, precision: np.ndarray, order: int) -> np.ndarray:
    """log2 of (likelihoods of all points / those that share a bit), summed over the bits of each symbol."""
    points, labels = constellation(order)
    exponent = -precision[..., None] * (y[..., None] - points.astype(np.float32)) ** 2
    likelihood = np.exp(exponent - exponent.max(-1, keepdims=True))
    ones, zeros = (likelihood @ side.astype(np.float32) for side in (labels, 1 - labels))
    own = np.where(labels[levels] == 1, ones, zeros)
    share = np.maximum(own / (ones + zeros), np.exp(-LARGEST_LLR))
    lost: np.ndarray = -np.log2(share).sum((-2, -1), dtype=np.float64)
    return lost
