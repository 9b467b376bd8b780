"""The best quality of an image coder within a number of bytes."""

from __future__ import annotations

import hashlib
import math
from collections import OrderedDict
from collections.abc import Callable
from functools import partial

import numpy as np

from semlink.codecs._sources.coders import SourceCoder
from semlink.codecs._sources.mosaic import LARGE, mosaic

FILLED = 0.97  # share of the budget that a large picture's search is content with
TRIALS = 4  # encodings of a large picture, at most, before quality is lowered in large steps
LARGE_STEP = 4  # qualities
LOG_RANGE = 6.0  # of the bytes that a coder's qualities give, usually


def fit(source: SourceCoder, image: np.ndarray, max_bytes: int) -> tuple[bytes, int] | None:
    """(bytes, quality) of the highest quality of at most `max_bytes`; None when even the lowest is larger.

    image: uint8 `[H, W, 3]`. The search takes sizes for monotone in quality; what it returns always fits.
    Encodings are remembered, so that further budgets for the same picture cost little. Of a large picture few are made.
    """
    return (_fit_large if image[..., 0].size > LARGE else _fit)(source, image, max_bytes)


def _fit(source: SourceCoder, image: np.ndarray, max_bytes: int) -> tuple[bytes, int] | None:
    encoded = partial(_remembered, source, image, hashlib.blake2b(np.ascontiguousarray(image).data).digest())
    log_ratio: dict[int, float] = {}  # of size to budget, by index into `qualities`
    low, high = -1, len(source.qualities)  # index `low` fits (or is none), `high` does not (or is none)
    while high - low > 1 and max_bytes > 0:
        index = _guess(log_ratio, low, high, LOG_RANGE / len(source.qualities))
        log_ratio[index] = math.log(max(1, len(encoded(index))) / max_bytes)
        low, high = (index, high) if log_ratio[index] <= 0 else (low, index)
    return None if low < 0 else (encoded(low), source.qualities[low])


def _fit_large(source: SourceCoder, image: np.ndarray, max_bytes: int) -> tuple[bytes, int] | None:
    """The search on a mosaic, whose bytes tell the picture's; each encoding of the picture tells how well."""
    encoded = partial(_remembered, source, image, hashlib.blake2b(np.ascontiguousarray(image).data).digest())
    proxy = mosaic(image)
    budget = max_bytes * proxy[..., 0].size / image[..., 0].size
    best, tried = -1, set[int]()
    while len(tried) < TRIALS:
        found = _fit(source, proxy, int(budget))
        index = source.qualities.index(found[1]) if found else 0
        if index in tried or index < best:
            break
        tried.add(index)
        size = len(encoded(index))
        best = index if size <= max_bytes else best
        if FILLED * max_bytes <= size <= max_bytes:
            break
        budget *= max_bytes / size
    lower = min(tried)
    while best < 0 and lower > 0:
        lower = max(0, lower - LARGE_STEP)
        best = lower if len(encoded(lower)) <= max_bytes else best
    return None if best < 0 else (encoded(best), source.qualities[best])


def _guess(log_ratio: dict[int, float], low: int, high: int, usual: float) -> int:
    """Next index to try, strictly between: log size is nearly linear, so a secant step; each fifth bisects.

    usual: slope, where there is one point only.
    """
    nearest = sorted(log_ratio, key=lambda index: abs(log_ratio[index]))[:2]
    if not nearest or len(log_ratio) % 5 == 4:
        return (low + high) // 2
    first = nearest[0]
    slope = usual
    if len(nearest) > 1:
        slope = (log_ratio[nearest[1]] - log_ratio[first]) / (nearest[1] - first)
    target = first - log_ratio[first] / slope if slope > 0 else (low + high) // 2
    return min(max(math.floor(target), low + 1), high - 1)


def _remembered(source: SourceCoder, image: np.ndarray, digest: bytes, index: int) -> bytes:
    """The encoding at `qualities[index]`, from the memory of recent encodings where it is there."""
    key = (source.name, image.shape, digest, index)
    return _RECENT.get(key, lambda: source.encode(image, source.qualities[index]))


class _Recent:
    """A least-recently-used memory bounded in bytes, whatever the size of its entries."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.held = 0
        self.entries: OrderedDict[object, bytes] = OrderedDict()

    def get(self, key: object, make: Callable[[], bytes]) -> bytes:
        """The bytes under `key`, made when they are not held."""
        if key not in self.entries:
            self.entries[key] = make()
            self.held += len(self.entries[key])
        self.entries.move_to_end(key)
        value = self.entries[key]
        while self.held > self.max_bytes:
            self.held -= len(self.entries.popitem(last=False)[1])
        return value


_RECENT = _Recent(max_bytes=1 << 26)
