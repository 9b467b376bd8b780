"""Link adaptation: how likely a payload arrives, from measured block error rates and the effective SNR of a fade.

Block error rates over AWGN were measured through this simulator's own decoder (experiments/measure_bler.py); a block
under fading behaves like one over AWGN whose bit-metric mutual information is the block's mean (MIESM: Brueninghaus et
al., PIMRC 2005). Fades are drawn apart from those of any test. With estimated channels `a` is right on average over
all fades, but too high in a deep one, which is where blocks get lost; so information is measured with known symbols.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import erfc

from semlink.simulator.bits import framing
from semlink.simulator.bits.information import GRID_DB, constellation, mutual_information, received_information
from semlink.simulator.bits.mcs import TABLE, Mcs
from semlink.simulator.link.code_blocks import interleaver
from semlink.simulator.rng import generator, key
from semlink.simulator.values import LinkStatistics

if TYPE_CHECKING:
    from semlink.simulator.link.link import Link

FADES = (64, 512)  # images sampled: the more, the fewer slots each takes
HEADS = (1 / 16, 1 / 8, 3 / 16, 1 / 4, 3 / 8, 1 / 2, 5 / 8, 3 / 4, 7 / 8, 15 / 16)  # payloads ahead of others
HEAD_STEP = 32  # symbols; the smallest block
SEED = key("adaptation") >> 33
SOUNDED = 1 << 20  # symbols whose information is measured, at most about


def link_statistics(link: Link, snr_db: float, uses: int) -> LinkStatistics:
    """Sample `a` and received symbols over images and map them to success probabilities of every scheme."""
    fades = int(np.clip(4096 // link.grid.slots(uses), *FADES))
    a = link.reliability(snr_db, uses, fades, SEED).astype(np.float64)
    sinr = a / np.maximum(1 - a, 1e-9)
    information = np.log2(1 + sinr).mean(1)
    bits = {order: _bits(sinr, order) + _surplus(link, snr_db, a.shape, order) for order in {m.order for m in TABLE}}
    heads = {head: _chances(bits, head) for head in head_sizes(uses)}
    return LinkStatistics(uses, tuple(information.tolist()), _chances(bits, uses), heads, tuple(a.mean(1).tolist()))


def _surplus(link: Link, snr_db: float, shape: tuple[int, ...], order: int) -> np.ndarray:
    """Mean over a slot of the information of received QAM symbols beyond what their `a` says, float64 `shape`."""
    if link.calibrated:
        return np.zeros(shape)
    images, uses = shape
    whole = -(-uses // link.places) * link.places
    levels = generator("sounding", order).integers(int(order**0.5), size=(images, whole, 2), dtype=np.uint8)
    x = constellation(order)[0].astype(np.float32)[levels].view(np.complex64)[..., 0]
    x_hat, a = link.sound(x, snr_db, SEED)
    slots = np.arange(whole) // link.places
    kept = slice(None, None, max(1, images * whole // SOUNDED))
    sinr = a[:, kept] / np.maximum(1 - a[:, kept], 1e-9)
    found = received_information(levels[:, kept], x_hat[:, kept], a[:, kept], order) - _bits(sinr, order)
    means = [np.bincount(slots[kept], row) / np.bincount(slots[kept]) for row in found]
    return np.stack(means)[:, slots[:uses]]


def head_sizes(uses: int) -> tuple[int, ...]:
    """Sizes of payloads at the head of `uses` symbols that link statistics know about, whole small blocks."""
    sizes = (int(share * uses) // HEAD_STEP * HEAD_STEP for share in HEADS)
    return tuple(dict.fromkeys(size for size in sizes if size))


def success(sinr: np.ndarray, mcs: Mcs) -> float:
    """Probability that every block of a payload arrives, averaged over images; sinr linear `[images, uses]`.

    0 for a scheme without a block that fits, or whose error rates were not measured.
    """
    blocks = framing.blocks_in(sinr.shape[1], mcs)
    if not blocks:
        return 0.0
    return _all_arrive(_of_blocks(_bits(sinr, mcs.order)[:, interleaver(sinr.shape[1])], blocks), blocks, mcs)


def _bits(sinr: np.ndarray, order: int) -> np.ndarray:
    """Mutual information of every symbol."""
    return np.interp(10 * np.log10(np.maximum(sinr, 1e-9)), GRID_DB, mutual_information(order))


def _chances(bits: Mapping[int, np.ndarray], uses: int) -> dict[str, float]:
    """Of every scheme, for a payload of the first `uses` symbols; bits by QAM order."""
    ordered = {order: own[:, interleaver(uses)] for order, own in bits.items()}
    shapes = {m: framing.blocks_in(uses, m) for m in TABLE}
    means = {key: _of_blocks(ordered[key[0]], key[1]) for key in {(m.order, shapes[m]) for m in TABLE} if key[1]}
    return {m.name: _all_arrive(means[m.order, shapes[m]], shapes[m], m) if shapes[m] else 0.0 for m in TABLE}


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
    return json.loads((Path(__file__).parents[1] / "bits" / "tables" / "bler.json").read_text())["waterfall"]
