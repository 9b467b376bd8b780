"""Flags in long runs as few bytes, without loss: the lengths of gaps and runs in turn, each in an Exp-Golomb code.

A payload begins with a byte of the two orders of the code, of gaps and of runs, the best for these flags. Any bytes can
be unpacked: those that `pack` never makes give None.
"""

from __future__ import annotations

from itertools import zip_longest

import numpy as np
import torch
from torch import Tensor

_ORDERS = 16


def size(flags: Tensor) -> int:
    """Bytes that `pack` makes of flags bool `[n]`."""
    return _bytes(sum(int(_bits(part).min()) for part in _runs(flags)))


def pack(flags: Tensor) -> bytes:
    """Flags bool `[n]` as bytes."""
    runs = _runs(flags)
    orders = [int(_bits(part).argmin()) for part in runs]
    words = [[_word(value, order) for value in part.tolist()] for part, order in zip(runs, orders, strict=True)]
    bits = "".join(word for pair in zip_longest(*words, fillvalue="") for word in pair)
    length = _bytes(len(bits)) - 1
    return bytes([orders[0] << 4 | orders[1]]) + int(bits.ljust(8 * length, "0"), 2).to_bytes(length, "big")


def unpack(payload: bytes | None, n: int) -> Tensor | None:
    """The flags bool `[n]`; None for a lost payload (None) or one that `pack` never makes."""
    if not payload:
        return None
    orders, bits = (payload[0] >> 4, payload[0] & 15), "".join(f"{byte:08b}" for byte in payload[1:])
    flags = torch.zeros(1 + n, dtype=torch.bool)
    place = start = turn = 0
    while start <= n:
        first = bits.find("1", place)
        end = 2 * first - place + orders[turn] + 1
        if first < 0 or end > len(bits):
            return None
        length = int(bits[first:end], 2) - (1 << orders[turn]) + 1
        if start + length > 1 + n:
            return None
        flags[start : start + length] = turn
        place, start, turn = end, start + length, 1 - turn
    return flags[1:] if pack(flags[1:]) == payload else None


def _runs(flags: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Lengths, less one, of gaps and of runs; a flag before the first, not set, makes sure that a gap comes first."""
    after = np.concatenate([[False], flags.numpy()])
    edges = np.flatnonzero(after[1:] != after[:-1]) + 1
    lengths = np.diff(edges, prepend=0, append=len(after)) - 1
    return lengths[::2], lengths[1::2]


def _bits(values: np.ndarray) -> np.ndarray:
    """Length of these numbers in the code of each order."""
    unique, counts = np.unique(values, return_counts=True)
    orders = np.arange(_ORDERS)[:, None]
    digits = np.frexp(unique + (1 << orders))[1]
    return ((2 * digits - 1 - orders) * counts).sum(1)


def _word(value: int, order: int) -> str:
    """Exp-Golomb: value + 2^order in binary, after as many zeros as it has digits beyond order + 1."""
    digits = f"{value + (1 << order):b}"
    return digits.rjust(2 * len(digits) - 1 - order, "0")


def _bytes(bits: int) -> int:
    """Size of a payload: the orders, then so many bits."""
    return 1 + -(-bits // 8)
