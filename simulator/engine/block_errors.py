"""Block error rates over AWGN, measured through the engine's own encoder and decoder."""

from __future__ import annotations

import numpy as np

from semlink.simulator.bits.information import GRID_DB, mutual_information
from semlink.simulator.bits.mcs import Mcs
from semlink.simulator.engine import coding
from semlink.simulator.rng import generator

ALL, NONE = 0.9, 0.02  # error rates beyond which a curve is told


def measure(mcs: Mcs, symbols: int, snr_db: float, blocks: int, seed: int) -> float:
    """Share of blocks of that many symbols whose CRC fails, or passes with wrong bits, at that Es/N0."""
    rng = generator("bler", seed, mcs.name, symbols, round(snr_db, 3))
    sent = rng.integers(0, 256, (blocks, mcs.information_bytes(symbols)), dtype=np.uint8)
    x = coding.encode(sent, mcs, symbols)
    a = 1 / (1 + 10 ** (-snr_db / 10))
    noise = rng.standard_normal((*x.shape, 2)).view(np.complex128)[..., 0]
    x_hat = (a * x + np.sqrt(a * (1 - a) / 2) * noise).astype(np.complex64)
    found, ok = coding.decode(x_hat, np.full(x.shape, a, np.float32), mcs, symbols)
    return float(np.mean(~ok | (found != sent).any(1)))


def waterfall(mcs: Mcs, symbols: int, step_db: float, blocks: int, seed: int) -> dict[float, float]:
    """Points of the curve by SNR in dB, `step_db` apart, from all blocks lost to none.

    They begin where the mutual information meets the rate.
    """
    points: dict[float, float] = {}
    alone = float(np.interp(mcs.efficiency * mcs.repeat, mutual_information(mcs.order), GRID_DB))
    snr = alone - 10 * np.log10(mcs.repeat)
    while not points or points[max(points)] > NONE and len(points) < 20:
        points[round(snr, 3)] = measure(mcs, symbols, snr, blocks, seed)
        snr += step_db
    while points[min(points)] < ALL and len(points) < 30:
        lower = min(points) - step_db
        points[round(lower, 3)] = measure(mcs, symbols, lower, blocks, seed)
    return dict(sorted(points.items()))
