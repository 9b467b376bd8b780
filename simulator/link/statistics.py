"""Link statistics: how likely payloads arrive and what their symbols carry, from fades that no test meets.

With estimated channels `a` is right on average over all fades, but too high in a deep one, which is where blocks get
lost; so information is measured with known symbols. Many fades count, because the best of many schemes by too few is
one that was lucky; so of each image only as many slots are sounded as its fade has something new to tell in.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from semlink.simulator.bits.information import constellation, received_information
from semlink.simulator.bits.mcs import TABLE
from semlink.simulator.bits.success import bits_of, chances
from semlink.simulator.link.air import Air, Slots, check_snr, noise_key
from semlink.simulator.link.long_term import LongTerm
from semlink.simulator.link.settings import LinkSettings
from semlink.simulator.rng import generator, key
from semlink.simulator.values import LinkStatistics

CLASSES = 16  # of images, by reliability
FADES = (256, 1024)  # images sampled, whole classes: the more, the fewer slots each takes
SLOTS = (2, 32)  # of an image, sounded
SOUNDED = 4096  # slots in all, at about, unless that makes too few images
HEADS = (1 / 16, 1 / 8, 3 / 16, 1 / 4, 3 / 8, 1 / 2, 5 / 8, 3 / 4, 7 / 8, 15 / 16)  # payloads ahead of others
SHORT = (64, 128)  # symbols of headers
HEAD_STEPS = (512, 128, 32)  # symbols
SEED = key("adaptation") >> 33
ORDERS = tuple(sorted({m.order for m in TABLE}))
DIGITS = 6  # that statistics are told to, so that those read from a file are the same


@dataclass(frozen=True)
class Sample:
    """Slots that stand for all `whole` slots of an image: their numbers, rising; and images that are sampled."""

    slots: np.ndarray
    whole: int
    images: int


def link_statistics(long_term: LongTerm, snr_db: float, uses: int) -> LinkStatistics:
    """Sample `a` and received symbols over images and map them to success probabilities of every scheme."""
    places = long_term.settings.places
    sample = sample_of(long_term.settings, max(1, -(-uses // places)))
    levels, x = sounding_symbols(sample.images, len(sample.slots) * places)
    x_hat, a = sound(long_term, x, snr_db, SEED, sample)
    seen = round(uses * len(sample.slots) / sample.whole) if len(sample.slots) < sample.whole else uses
    known = long_term.settings.calibrated
    bits = {order: _information(order, levels, x_hat, a, None if known else places)[:, :seen] for order in ORDERS}
    a = a[:, :seen].astype(np.float64)
    arrival = {
        size: chances({o: b[:, : max(1, round(seen * size / uses))] for o, b in bits.items()}, size)
        for size in (*head_sizes(uses), uses)
    }
    by_class = np.argsort(a.mean(1), kind="stable").reshape(CLASSES, -1)
    return LinkStatistics(
        uses,
        _rounded(-np.log2(np.maximum(1 - a, 1e-9)).mean(1)),
        _rounded(a.mean(1)[by_class].mean(1)),
        {size: {name: _rounded(p[by_class].mean(1)) for name, p in of.items()} for size, of in arrival.items()},
    )


def sample_of(settings: LinkSettings, whole: int) -> Sample:
    """Few slots of each image where its fade is slow, more where it is fast; the fewer, the more images.

    An image of W slots whose gains have the correlation r has W^2 / sum |r|^2 independent ones.
    """
    apart = np.arange(whole) * settings.grid.slot_time
    told = np.abs(settings.channel.correlation(apart, np.zeros(whole))) ** 2
    weight = np.where(apart == 0, 1, 2) * (1 - np.arange(whole) / whole)
    independent = whole / float(weight @ told)
    count = min(whole, int(np.clip(np.ceil(2 * independent), *SLOTS)))
    images = int(np.clip(SOUNDED // count, *FADES)) // CLASSES * CLASSES
    return Sample(((np.arange(count) + 0.5) * whole / count).astype(int), whole, images)


def sounding_symbols(images: int, symbols: int) -> tuple[np.ndarray, np.ndarray]:
    """QAM of all orders by turns: levels uint8 `[images, symbols, 2]` and complex64 `[images, symbols]`."""
    levels, x = np.zeros((images, symbols, 2), np.uint8), np.zeros((images, symbols), np.complex64)
    for turn, order in enumerate(ORDERS):
        own = generator("sounding", order).integers(
            int(order**0.5), size=levels[:, turn :: len(ORDERS)].shape, dtype=np.uint8
        )
        levels[:, turn :: len(ORDERS)] = own
        x[:, turn :: len(ORDERS)] = constellation(order)[0].astype(np.float32)[own].view(np.complex64)[..., 0]
    return levels, x


def _information(order: int, levels: np.ndarray, x_hat: np.ndarray, a: np.ndarray, places: int | None) -> np.ndarray:
    """What each symbol would carry as QAM of that order, float32 shaped like `a`.

    places: symbols of a slot, over which the information of symbols of that order beyond what their `a` says is
    averaged; None: `a` says all.
    """
    expected = bits_of(a / np.maximum(1 - a.astype(np.float64), 1e-9), order)
    if places is None:
        return expected.astype(np.float32)
    turns = slice(ORDERS.index(order), None, len(ORDERS))
    surplus = received_information(levels[:, turns], x_hat[:, turns], a[:, turns], order) - expected[:, turns]
    slots = np.arange(a.shape[1]) // places
    edges = np.searchsorted(slots[turns], np.arange(slots[-1] + 1))
    means = np.add.reduceat(surplus, edges, axis=1) / np.diff(np.append(edges, surplus.shape[1]))
    return (expected + means[:, slots]).astype(np.float32)


def sound(
    long_term: LongTerm, x: np.ndarray, snr_db: float, seed: int, sample: Sample
) -> tuple[np.ndarray, np.ndarray]:
    """Send symbols `[images, symbols]` as they are in the sampled slots, at uniform power: x_hat and `a` alike."""
    settings = long_term.settings
    slots = Slots.of(np.full(sample.images, len(sample.slots)), 0, 0)
    air = Air(long_term, slots.at(sample.slots), check_snr(snr_db, sample.images), seed, noise_key(snr_db))
    precoder = air.feedback()[1] if settings.precoding == "svd" else None
    x_hat, a, _ = air.carry(torch.from_numpy(x), None, precoder)
    return x_hat.numpy(), a.numpy()


def head_sizes(uses: int) -> tuple[int, ...]:
    """Sizes of payloads at the head of `uses` symbols that link statistics know about, whole blocks."""
    step = next((step for step in HEAD_STEPS if 32 * step <= uses), HEAD_STEPS[-1])
    sizes = (int(share * uses) // step * step for share in HEADS)
    return tuple(sorted({size for size in (*SHORT, *sizes) if 0 < size < uses}))


def _rounded(values: np.ndarray) -> tuple[float, ...]:
    return tuple(np.round(values, DIGITS).tolist())
