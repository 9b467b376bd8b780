"""Link adaptation: how likely a payload arrives, from measured block error rates and the effective SNR of a fade.

Block error rates over AWGN were measured through this simulator's own decoder (experiments/measure_bler.py); a block
under fading behaves like one over AWGN whose bit-metric mutual information is the block's mean (MIESM: Brueninghaus et
al., PIMRC 2005). Fades are drawn apart from those of any test.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import erfc

from semlink.simulator import framing
from semlink.simulator.mcs import TABLE, Mcs
from semlink.simulator.payloads import interleaver
from semlink.simulator.rng import key
from semlink.simulator.values import LinkStatistics

if TYPE_CHECKING:
    from semlink.simulator.link import Link

FADES = (64, 512)  # images sampled: the more, the fewer slots each takes
HEADS = (1 / 16, 1 / 8, 3 / 16, 1 / 4, 3 / 8, 1 / 2, 5 / 8, 3 / 4, 7 / 8, 15 / 16)  # payloads ahead of others
HEAD_STEP = 32  # symbols; the smallest block
GRID_DB = np.arange(-20.0, 45.0, 0.25)  # SNRs at which the mutual information is tabulated


def link_statistics(link: Link, snr_db: float, uses: int) -> LinkStatistics:
    """Sample `a` over images and map it to success probabilities of every scheme."""
    fades = int(np.clip(4096 // link.grid.slots(uses), *FADES))
    a = link.reliability(snr_db, uses, fades, seed=key("adaptation") >> 33).astype(np.float64)
    sinr = a / np.maximum(1 - a, 1e-9)
    information = np.log2(1 + sinr).mean(1)
    bits = {order: _bits(sinr, order) for order in {m.order for m in TABLE}}
    heads = {head: _chances(bits, head) for head in head_sizes(uses)}
    return LinkStatistics(uses, tuple(information.tolist()), _chances(bits, uses), heads, tuple(a.mean(1).tolist()))


def head_sizes(uses: int) -> tuple[int, ...]:
    """Sizes of payloads at the head of `uses` symbols that link statistics know about, whole small blocks."""
    sizes = (int(share * uses) // HEAD_STEP * HEAD_STEP for share in HEADS)
    return tuple(dict.fromkeys(size for size in sizes if size))


def success(sinr: np.ndarray, mcs: Mcs) -> float:
    """Probability that every block of a payload arrives, averaged over images; sinr linear `[images, uses]`.

    0 for a scheme without a block that fits, or whose error rates were not measured.
    """
    return _success(_bits(sinr, mcs.order)[:, interleaver(sinr.shape[1])], mcs)


def _bits(sinr: np.ndarray, order: int) -> np.ndarray:
    """Mutual information of every symbol."""
    return np.interp(10 * np.log10(np.maximum(sinr, 1e-9)), GRID_DB, mutual_information(order))


def _chances(bits: Mapping[int, np.ndarray], uses: int) -> dict[str, float]:
    """Of every scheme, for a payload of the first `uses` symbols; bits by QAM order."""
    ordered = {order: own[:, interleaver(uses)] for order, own in bits.items()}
    return {m.name: _success(ordered[m.order], m) for m in TABLE}


def _success(bits: np.ndarray, mcs: Mcs) -> float:
    """bits: mutual information of every symbol in the order of the blocks, `[images, uses]`."""
    blocks = framing.blocks_in(bits.shape[1], mcs)
    if not blocks or mcs.name not in _table():
        return 0.0
    edges = np.cumsum([0, *blocks[:-1]])
    mean = np.add.reduceat(bits[:, : sum(blocks)], edges, axis=1) / np.asarray(blocks)
    effective = np.interp(mean, mutual_information(mcs.order), GRID_DB)
    errors = np.stack([bler(effective[:, i], mcs, size) for i, size in enumerate(blocks)], axis=1)
    return float(np.prod(1 - errors, axis=1).mean())


def bler(snr_db: np.ndarray, mcs: Mcs, symbols: int) -> np.ndarray:
    """Measured block error rate over AWGN: 0.5 erfc((snr - centre) / (sqrt(2) width)), all in dB."""
    centre, width = _table()[mcs.name][str(symbols)]
    return 0.5 * erfc((snr_db - centre) / (np.sqrt(2) * width))


@cache
def _table() -> dict[str, dict[str, tuple[float, float]]]:
    return json.loads((Path(__file__).parent / "tables" / "bler.json").read_text())["waterfall"]


@cache
def mutual_information(order: int) -> np.ndarray:
    """Bit-metric mutual information of Gray QAM in bits per symbol at GRID_DB, strictly rising.

    Per real dimension: m - sum over bits of E log2(sum of likelihoods / sum with that bit) by Gauss-Hermite quadrature
    (Caire, Taricco and Biglieri 1998, eq. 15).
    """
    levels = 1 << (order.bit_length() - 1) // 2
    points = (2 * np.arange(levels) - levels + 1) / np.sqrt(2 * (levels**2 - 1) / 3)
    gray = np.arange(levels) ^ (np.arange(levels) >> 1)
    bits = (gray[:, None] >> np.arange(levels.bit_length() - 1)) & 1
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
