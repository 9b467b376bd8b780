"""How likely a payload arrives, from measured block error rates and the effective SNR of a fade.

Block error rates over AWGN were measured through this simulator's own decoder (experiments/measure_bler.py); a block
under fading behaves like one over AWGN whose bit-metric mutual information is the block's mean (MIESM: Brueninghaus et
al., PIMRC 2005).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from scipy.special import erfc

from semlink.simulator.bits import framing
from semlink.simulator.bits.framing import interleaver
from semlink.simulator.bits.information import GRID_DB, mutual_information
from semlink.simulator.bits.mcs import TABLE, Mcs
from semlink.simulator.files import read_json

BLER = Path(__file__).parent / "tables" / "bler.json"
BLOCKS_LOOKED_AT = 32  # of one size


def success(sinr: np.ndarray, mcs: Mcs) -> float:
    """Probability that every block of a payload arrives, averaged over images; sinr linear `[images, uses]`.

    0 for a scheme without a block that fits, or whose error rates were not measured.
    """
    return float(chances({mcs.order: bits_of(sinr, mcs.order)}, sinr.shape[1], (mcs,))[mcs.name].mean())


def chances(bits: Mapping[int, np.ndarray], uses: int, schemes: Sequence[Mcs] = TABLE) -> dict[str, np.ndarray]:
    """Of every scheme, the probability `[images]` that a payload of `uses` symbols arrives.

    bits: by QAM order, information of the symbols `[images, seen]`; fewer than `uses` stand for all of them.
    """
    images = len(next(iter(bits.values())))
    shapes = {m: counted(framing.blocks_in(uses, m)) for m in schemes}
    sums = {order: _running(own[:, interleaver(own.shape[1])]) for order, own in bits.items()}
    wanted = {(m.order, shapes[m]) for m in schemes if shapes[m]}
    snr = {(order, shape): _effective(sums[order], shape, order) for order, shape in wanted}
    return {
        m.name: _all_arrive(snr[m.order, shapes[m]], shapes[m], m) if shapes[m] else np.zeros(images) for m in schemes
    }


def bits_of(sinr: np.ndarray, order: int) -> np.ndarray:
    """Mutual information of every symbol."""
    return np.interp(10 * np.log10(np.maximum(sinr, 1e-9)), GRID_DB, mutual_information(order))


def counted(blocks: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Sizes of blocks, each with how many there are."""
    return tuple(Counter(blocks).items())


def _running(bits: np.ndarray) -> np.ndarray:
    """Sums of the first 0, 1, 2, ... symbols: float64 `[images, n + 1]`."""
    sums = np.zeros((len(bits), bits.shape[1] + 1))
    np.cumsum(bits, axis=1, out=sums[:, 1:])
    return sums


def _effective(sums: np.ndarray, shape: tuple[tuple[int, int], ...], order: int) -> list[np.ndarray]:
    """By size, the SNR in dB over AWGN that blocks of it meet, `[images, blocks]`; of many blocks some.

    Blocks lie one after another, around and around where they are more than was seen; a longer one meets all of it.
    """
    seen, start, found = sums.shape[1] - 1, 0, []
    for size, count in shape:
        length = min(size, seen)
        starts = (start + size * np.arange(min(count, BLOCKS_LOOKED_AT))) % seen
        rounds, ends = np.divmod(starts + length, seen)
        means = (sums[:, ends] - sums[:, starts] + rounds * sums[:, -1:]) / length
        found.append(np.interp(means, mutual_information(order), GRID_DB))
        start += size * count
    return found


def _all_arrive(snr_db: Sequence[np.ndarray], shape: tuple[tuple[int, int], ...], mcs: Mcs) -> np.ndarray:
    """Probability `[images]` that all blocks arrive; 0 for a scheme whose error rates were not measured."""
    if mcs.name not in _table():
        return np.zeros(len(snr_db[0]))
    arrive = np.ones(len(snr_db[0]))
    for own, (size, count) in zip(snr_db, shape, strict=True):
        arrive *= np.prod(1 - bler(own, mcs, size), axis=1) ** (count / own.shape[1])
    return arrive


def bler(snr_db: np.ndarray, mcs: Mcs, symbols: int) -> np.ndarray:
    """Measured block error rate over AWGN: 0.5 erfc((snr - centre) / (sqrt(2) width)), all in dB."""
    centre, width = _table()[mcs.name][str(symbols)]
    return 0.5 * erfc((snr_db - centre) / (np.sqrt(2) * width))


@cache
def _table() -> dict[str, dict[str, tuple[float, float]]]:
    return read_json(BLER, "a damaged table; take it from the package again")["waterfall"]
