"""What a transmitter makes of its channel knowledge: gains of the places that symbols can take, and precoders.

A place is a resource element of a layer. Reports are what the receiver fed back, so both ends hold the same numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from semlink.channels.base.grid import Grid

Precoding = Literal["none", "svd"]
SUBBAND = 12  # subcarriers that share a quantised report, a 3GPP resource block
RANGE_DB = (-20.0, 10.0)  # of reported magnitudes


@dataclass(frozen=True)
class Feedback:
    """gains: float32 `[slots, layers, data]`, expected gain of every place at unit power per layer, over the layers,
    which share the power. precoder: complex64 `[slots, tx, layers, subcarriers]`, orthonormal columns, or None.
    """

    gains: np.ndarray
    precoder: np.ndarray | None


def make_feedback(
    h: np.ndarray, unknown: np.ndarray, grid: Grid, precoding: Precoding, layers: int, bits: int | None
) -> Feedback:
    """From the channel as the report tells it, h complex64 `[slots, rx, tx, symbols, subcarriers]`.

    unknown: float32 `[slots]`, mean power of what the channel differs by when the data are sent; gains are expected
    ones. bits: of the magnitude and of the phase of each subband's gain; None: exact.
    """
    told = h if bits is None else quantised(h, bits)
    if precoding == "none":
        gains, precoder = np.sum(np.abs(told) ** 2, axis=1), None
    else:
        precoder = svd_precoder(told[:, :, :, told.shape[3] // 2], layers)
        heard = np.einsum("srtab,stlb->srlab", told, precoder)
        gains = np.sum(np.abs(heard) ** 2, axis=1)
    data = [s for s in range(grid.symbols) if s not in grid.pilot_symbols]
    gains = gains[:, :, data].reshape(*gains.shape[:2], -1) + h.shape[1] * unknown[:, None, None]
    return Feedback((gains / layers).astype(np.float32), precoder)


def svd_precoder(h: np.ndarray, layers: int) -> np.ndarray:
    """Right singular vectors of the strongest `layers` modes, h `[slots, rx, tx, subcarriers]` (Telatar 1999)."""
    _, _, vh = np.linalg.svd(np.moveaxis(h, -1, 1), full_matrices=False)
    return np.ascontiguousarray(np.moveaxis(vh[:, :, :layers].conj(), 1, -1).swapaxes(1, 2), np.complex64)


def quantised(h: np.ndarray, bits: int) -> np.ndarray:
    """One gain a subband and slot, magnitude in dB within RANGE_DB and phase uniformly quantised to `bits` each."""
    edges = np.arange(0, h.shape[-1], SUBBAND)
    widths = np.diff([*edges, h.shape[-1]])
    rms = np.sqrt(np.add.reduceat((np.abs(h) ** 2).mean(-2, keepdims=True), edges, axis=-1) / widths)
    mean = np.add.reduceat(h.mean(-2, keepdims=True), edges, axis=-1)
    low, high = RANGE_DB
    step, turn = (high - low) / ((1 << bits) - 1 or 1), 2 * np.pi / (1 << bits)
    level = np.rint((np.clip(20 * np.log10(np.maximum(rms, 1e-9)), low, high) - low) / step) * step + low
    told = 10 ** (level / 20) * np.exp(1j * turn * np.rint(np.angle(mean) / turn))
    return np.broadcast_to(np.repeat(told, widths, axis=-1), h.shape).astype(np.complex64)
