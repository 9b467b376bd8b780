"""Link statistics: how likely payloads arrive and what their symbols carry, from fades that no test meets.

With estimated channels `a` is right on average over all fades, but too high in a deep one, which is where blocks get
lost; so information is measured with known symbols.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from semlink.simulator.bits.information import constellation, received_information
from semlink.simulator.bits.mcs import TABLE
from semlink.simulator.bits.success import bits_of, chances
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
    bits = {order: bits_of(sinr, order) + _surplus(link, snr_db, a.shape, order) for order in {m.order for m in TABLE}}
    heads = {head: chances(bits, head) for head in head_sizes(uses)}
    return LinkStatistics(uses, tuple(information.tolist()), chances(bits, uses), heads, tuple(a.mean(1).tolist()))


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
    found = received_information(levels[:, kept], x_hat[:, kept], a[:, kept], order) - bits_of(sinr, order)
    means = [np.bincount(slots[kept], row) / np.bincount(slots[kept]) for row in found]
    return np.stack(means)[:, slots[:uses]]


def head_sizes(uses: int) -> tuple[int, ...]:
    """Sizes of payloads at the head of `uses` symbols that link statistics know about, whole small blocks."""
    sizes = (int(share * uses) // HEAD_STEP * HEAD_STEP for share in HEADS)
    return tuple(dict.fromkeys(size for size in sizes if size))
