"""How likely a payload arrives, from measured block error rates and the effective SNR of a fade.

Block error rates over AWGN were measured through this simulator's own decoder (experiments/measure_bler.py); a block
under fading behaves like one over AWGN whose bit-metric mutual information is the block's mean (MIESM: Brueninghaus et
al., PIMRC 2005).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
from scipy.special import erfc

from semlink.simulator.bits import framing
from semlink.simulator.bits.framing import interleaver
from semlink.simulator.bits.information import GRID_DB, mutual_information
from semlink.simulator.bits.mcs import TABLE, Mcs

BLER = Path(__file__).parent / "tables" / "bler.json"


def success(sinr: np.ndarray, mcs: Mcs) -> float:
    """Probability that every block of a payload arrives, averaged over images; sinr linear `[images, uses]`.

    0 for a scheme without a block that fits, or whose error rates were not measured.
    """
    blocks = framing.blocks_in(sinr.shape[1], mcs)
    if not blocks:
        return 0.0
    return _all_arrive(_of_blocks(bits_of(sinr, mcs.order)[:, interleaver(sinr.shape[1])], blocks), blocks, mcs)


def chances(bits: Mapping[int, np.ndarray], uses: int) -> dict[str, float]:
    """Of every scheme, for a payload of the first `uses` symbols; bits by QAM order."""
    ordered = {order: own[:, interleaver(uses)] for order, own in bits.items()}
    shapes = {m: framing.blocks_in(uses, m) for m in TABLE}
    means = {key: _of_blocks(ordered[key[0]], key[1]) for key in {(m.order, shapes[m]) for m in TABLE} if key[1]}
    return {m.name: _all_arrive(means[m.order, shapes[m]], shapes[m], m) if shapes[m] else 0.0 for m in TABLE}


def bits_of(sinr: np.ndarray, order: int) -> np.ndarray:
    """Mutual information of every symbol."""
    return np.interp(10 * np.log10(np.maximum(sinr, 1e-9)), GRID_DB, mutual_information(order))


def _of_blocks(bits: np.ndarray, blocks: tuple[int, ...]) -> np.ndarray:
    """Mean information of the symbols of each block, `[images, blocks]`; bits in the order of the blocks."""
    edges = np.cumsum([0, *blocks[:-1]])
    means: np.ndarray = np.add.reduceat(bits[:, : sum(blocks)], edges, axis=1) / np.asarray(blocks)
    return means


def _all_arrive(means: np.ndarray, blocks: tuple[int, ...], mcs: Mcs) -> float:
    """Probability over images `[images, blocks]`; 0 for a scheme whose error rates were not measured."""
    if mcs.name not in _table():
        return 0.0
    effective = np.interp(means, mutual_information(mcs.order), GRID_DB)
    errors = np.stack([bler(effective[:, i], mcs, size) for i, size in enumerate(blocks)], axis=1)
    return float(np.prod(1 - errors, axis=1).mean())


def bler(snr_db: np.ndarray, mcs: Mcs, symbols: int) -> np.ndarray:
    """Measured block error rate over AWGN: 0.5 erfc((snr - centre) / (sqrt(2) width)), all in dB."""
    centre, width = _table()[mcs.name][str(symbols)]
    return 0.5 * erfc((snr_db - centre) / (np.sqrt(2) * width))


@cache
def _table() -> dict[str, dict[str, tuple[float, float]]]:
    return json.loads(BLER.read_text())["waterfall"]
