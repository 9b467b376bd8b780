"""The best quality of an image coder within a number of bytes."""

from __future__ import annotations

import hashlib
import math
from collections import OrderedDict
from collections.abc import Callable

import numpy as np

from semlink.codecs._sources.coders import SourceCoder
from semlink.codecs._sources.mosaic import LARGE, mosaic

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
    encoded = _encodings(source, image)
    log_ratio: dict[int, float] = {}  # of size to budget, by index into `qualities`
    low, high = -1, len(source.qualities)  # index `low` fits (or is none), `high` does not (or is none)
    while high - low > 1 and max_bytes > 0:
        index = _guess(log_ratio, low, high, LOG_RANGE / len(source.qualities))
        log_ratio[index] = math.log(max(1, len(encoded(index))) / max_bytes)
        low, high = (index, high) if log_ratio[index] <= 0 else (low, index)
    return None if low < 0 else (encoded(low), source.qualities[low])


def _fit_large(source: SourceCoder, image: np.ndarray, max_bytes: int) -> tuple[bytes, int] | None:
    """The search on a mosaic, whose bytes tell the picture's; each encoding of the picture tells how well."""
    encoded, proxy = _encodings(source, image), mosaic(image)
    small, ratio = _encodings(source, proxy), image.size / proxy.size
    low, high = -1, len(source.qualities)  # as in `_fit`
    for _ in range(TRIALS):
        found = _fit(source, proxy, int(max_bytes / ratio))
        index = min(source.qualities.index(found[1]) if found else 0, high - 1)
        if index <= low:
            break
        size = len(encoded(index))
        ratio = size / len(small(index))
        low, high = (index, high) if size <= max_bytes else (low, index)
    while low < 0 < high:
        high = max(0, high - LARGE_STEP)
        low = high if len(encoded(high)) <= max_bytes else -1
    return None if low < 0 else (encoded(low), source.qualities[low])


def _encodings(source: SourceCoder, image: np.ndarray) -> Callable[[int], bytes]:
    """The encodings of a picture by index into `qualities`, from the memory of recent ones where they are there."""
    digest = hashlib.blake2b(np.ascontiguousarray(image).data).digest()
    return lambda index: _remembered(source, image, digest, index)


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
