"""Link statistics: how likely payloads arrive and what their symbols carry, from fades that no test meets.

With estimated channels `a` is right on average over all fades, but too high in a deep one, which is where blocks get
lost; so information is measured with known symbols.
"""

from __future__ import annotations

import numpy as np
import torch

from semlink.simulator.bits.information import constellation, received_information
from semlink.simulator.bits.mcs import TABLE
from semlink.simulator.bits.success import bits_of, chances
from semlink.simulator.link.air import Air, Slots, check_snr, noise_key
from semlink.simulator.link.layout import filler
from semlink.simulator.link.long_term import LongTerm
from semlink.simulator.rng import generator, key
from semlink.simulator.values import LinkStatistics

FADES = (64, 512)  # images sampled: the more, the fewer slots each takes
HEADS = (1 / 16, 1 / 8, 3 / 16, 1 / 4, 3 / 8, 1 / 2, 5 / 8, 3 / 4, 7 / 8, 15 / 16)  # payloads ahead of others
HEAD_STEP = 32  # symbols; the smallest block
SEED = key("adaptation") >> 33
SOUNDED = 1 << 20  # symbols whose information is measured, at most about


def link_statistics(long_term: LongTerm, snr_db: float, uses: int) -> LinkStatistics:
    """Sample `a` and received symbols over images and map them to success probabilities of every scheme."""
    fades = int(np.clip(4096 // long_term.settings.grid.slots(uses), *FADES))
    a = sound(long_term, filler(uses).repeat(fades, 1).numpy(), snr_db, SEED)[1].astype(np.float64)
    sinr = a / np.maximum(1 - a, 1e-9)
    information = np.log2(1 + sinr).mean(1)
    bits = {
        order: bits_of(sinr, order) + _surplus(long_term, snr_db, a.shape, order) for order in {m.order for m in TABLE}
    }
    heads = {head: chances(bits, head) for head in head_sizes(uses)}
    return LinkStatistics(uses, tuple(information.tolist()), chances(bits, uses), heads, tuple(a.mean(1).tolist()))


def _surplus(long_term: LongTerm, snr_db: float, shape: tuple[int, ...], order: int) -> np.ndarray:
    """Mean over a slot of the information of received QAM symbols beyond what their `a` says, float64 `shape`."""
    if long_term.settings.calibrated:
        return np.zeros(shape)
    (images, uses), places = shape, long_term.settings.places
    whole = -(-uses // places) * places
    levels = generator("sounding", order).integers(int(order**0.5), size=(images, whole, 2), dtype=np.uint8)
    x = constellation(order)[0].astype(np.float32)[levels].view(np.complex64)[..., 0]
    x_hat, a = sound(long_term, x, snr_db, SEED)
    slots = np.arange(whole) // places
    kept = slice(None, None, max(1, images * whole // SOUNDED))
    sinr = a[:, kept] / np.maximum(1 - a[:, kept], 1e-9)
    found = received_information(levels[:, kept], x_hat[:, kept], a[:, kept], order) - bits_of(sinr, order)
    means = [np.bincount(slots[kept], row) / np.bincount(slots[kept]) for row in found]
    return np.stack(means)[:, slots[:uses]]


def sound(long_term: LongTerm, x: np.ndarray, snr_db: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Send symbols `[images, uses]` of mean power 1 as they are, at uniform power: x_hat and `a`, shaped alike."""
    settings, (images, uses) = long_term.settings, x.shape
    count, snr = max(1, -(-uses // settings.places)), check_snr(snr_db, images)
    rest = filler(count * settings.places)[uses:].expand(images, -1)
    air = Air(long_term, Slots.of(np.full(images, count), 0, 0), snr, seed, noise_key(snr_db))
    precoder = air.feedback()[1] if settings.precoding == "svd" else None
    x_hat, a, _ = air.carry(torch.cat([torch.from_numpy(x), rest], 1), None, precoder)
    return x_hat[:, :uses].numpy(), a[:, :uses].numpy()


def head_sizes(uses: int) -> tuple[int, ...]:
    """Sizes of payloads at the head of `uses` symbols that link statistics know about, whole small blocks."""
    sizes = (int(share * uses) // HEAD_STEP * HEAD_STEP for share in HEADS)
    return tuple(dict.fromkeys(size for size in sizes if size))
