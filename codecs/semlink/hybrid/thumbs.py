"""Bases of thumbnails in any number of bytes, where an image coder's overhead is too much: quantised DCT coefficients.

The whole picture is one DCT along three orthogonal colour axes; each bit goes where it lowers the expected squared
error most, by variances measured on training thumbnails; each coefficient has the Lloyd-Max quantiser of a Laplacian
(Max, IRE Trans. Inform. Theory 1960) of its number of bits. Both ends derive the allocation from length and size.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any

import numpy as np
from scipy.fft import dctn, idctn

from semlink.codecs._learned.shipped import TABLES
from semlink.simulator.files import read_json

THUMBS = TABLES / "semlink-thumbs.json"
AXES = np.array([[1.0, 1, 1], [-1, 2, -1], [1, 0, -1]])
COLOURS = AXES / np.linalg.norm(AXES, axis=1, keepdims=True)
MOST = 96  # bytes; above, an image coder is better
GREY = 127.5


def encode(picture: np.ndarray, length: int) -> bytes:
    """Exactly `length` bytes of a uint8 `[H, W, 3]` picture."""
    places, bits = allocation(8 * length, *picture.shape[:2])
    values = coefficients(picture).ravel()[places] - _means(*picture.shape[:2])[places]
    spread = np.sqrt(_variances(*picture.shape[:2])[places])
    code = [_code(v / s, int(b)) for v, s, b in zip(values, spread, bits, strict=True)]
    return int("".join(code).ljust(8 * length, "0"), 2).to_bytes(length, "big")


def decode(data: bytes, height: int, width: int) -> np.ndarray:
    """The uint8 `[height, width, 3]` picture of any bytes."""
    places, bits = allocation(8 * len(data), height, width)
    spread = np.sqrt(_variances(height, width)[places])
    code = f"{int.from_bytes(data, 'big'):0{8 * len(data)}b}" if data else ""
    ends = np.cumsum(bits)
    found = _means(height, width).copy()
    for place, s, b, end in zip(places, spread, bits, ends, strict=True):
        found[place] += s * levels()[b][int(code[end - b : end], 2)]
    return pixels(found.reshape(3, height, width))


def coefficients(picture: np.ndarray) -> np.ndarray:
    """Orthonormal DCT `[3, H, W]` of a uint8 `[H, W, 3]` picture less grey."""
    colours = np.einsum("oc,hwc->ohw", COLOURS, picture.astype(np.float64) - GREY)
    return dctn(colours, axes=(1, 2), norm="ortho")


def pixels(coefficients: np.ndarray) -> np.ndarray:
    """Inverse of `coefficients`, rounded and clipped."""
    picture = np.einsum("oc,ohw->hwc", COLOURS, idctn(coefficients, axes=(1, 2), norm="ortho")) + GREY
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


@lru_cache(maxsize=256)
def allocation(bits: int, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Places of the coefficients that get bits, rising, and their numbers of bits, `bits` in all at most."""
    variances, left = _variances(height, width), _left()
    given = np.zeros(len(variances), int)
    gains = [(-v * (left[0] - left[1]), i) for i, v in enumerate(variances)]
    heapq.heapify(gains)
    for _ in range(min(bits, len(variances))):
        _, i = heapq.heappop(gains)
        given[i] += 1
        if given[i] + 1 < len(left):
            heapq.heappush(gains, (-variances[i] * (left[given[i]] - left[given[i] + 1]), i))
    places = np.flatnonzero(given)
    return places, given[places]


def _code(value: float, bits: int) -> str:
    own = levels()[bits]
    return f"{int(np.searchsorted((own[1:] + own[:-1]) / 2, value)):0{bits}b}"


@cache
def levels() -> tuple[np.ndarray, ...]:
    """Reproduction levels of unit variance for 0, 1, ... bits."""
    return (np.zeros(1), *(np.concatenate([-np.asarray(h)[::-1], h]) for h in _table()["levels"]))


@cache
def _left() -> tuple[float, ...]:
    """Squared error left of unit variance by number of bits."""
    return (1.0, *_table()["left"])


@lru_cache(maxsize=16)
def _variances(height: int, width: int) -> np.ndarray:
    """Flat `[3 H W]`; frequencies of other sizes take those of the nearest relative one."""
    table = np.asarray(_table()["variances"])
    rows, columns = (np.arange(side) * table.shape[1] // side for side in (height, width))
    scaled = table[:, rows][:, :, columns] * height * width / table[0].size
    flat: np.ndarray = scaled.ravel()
    return flat


@lru_cache(maxsize=16)
def _means(height: int, width: int) -> np.ndarray:
    """Flat `[3 H W]`: of the mean colour, 0 elsewhere."""
    means = np.zeros((3, height, width))
    means[:, 0, 0] = np.asarray(_table()["means"]) * np.sqrt(height * width)
    return means.ravel()


@cache
def _table() -> Mapping[str, Any]:
    """experiments/measure_thumbs.py makes it."""
    table: Mapping[str, Any] = read_json(THUMBS, "a damaged table; take it from the package again")
    return table
