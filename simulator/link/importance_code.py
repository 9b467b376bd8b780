"""Importance as side information: 16 levels on a half-octave grid, packed without loss, unpacked from any bytes.

An allocation depends on importance up to a factor only, so each image's grid slides to where it costs least: 15 steps
of half an octave (a factor of 128), and a level for exactly zero. Both ends then allocate by the quantised values.
"""

from __future__ import annotations

import lzma
import math
import zlib
from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from torch import Tensor

from semlink.simulator.errors import SemlinkError

LEVELS = 16
_GRID = (0.0, *(2 ** (level / 2) for level in range(LEVELS - 1)))  # importance of a level, before normalisation
_DEPTHS = 128  # half octaves below the largest importance that are told apart when the grid is placed
_RUN = 4096  # longest run of one entry
_FILTERS = [{"id": lzma.FILTER_LZMA1, "dict_size": 1 << 16, "lc": 0, "lp": 0, "pb": 0}]


def quantise(importance: Tensor) -> tuple[Tensor, Tensor]:
    """Levels uint8 `[batch, k]` and their importance float32 `[batch, k]`, mean 1 per image, as `unpack` will give it.

    importance: `[batch, k]`, not negative, any scale; level 0 is for exactly 0, and an image without any importance is
    of equal importance everywhere. SemlinkError, which names the image, for NaN, infinite or negative values.
    """
    exact = importance.detach().cpu().double().numpy()
    wrong = ~(np.isfinite(exact) & (exact >= 0)).all(1)
    if wrong.any():
        raise SemlinkError(f"importance must be finite and not negative; image {int(wrong.argmax())} has other values")
    levels = torch.from_numpy(np.stack([_levels(row) for row in exact]))
    return levels, torch.stack([_values(row) for row in levels.numpy()]).to(importance.device)


def pack(levels: Tensor) -> list[bytes]:
    """Each image's levels uint8 `[batch, k]` as bytes, at most 1 + ceil(k / 2) of them; a constant map takes 3."""
    return [min(_packings(row), key=len) for row in levels.cpu().numpy()]


def unpack(payload: bytes | None, k: int) -> Tensor | None:
    """Importance float32 `[k]`, as `quantise` gave it; None for a lost payload (None) or one that `pack` never made."""
    if not payload or payload[0] >= len(_CODERS) * len(_FORMS):
        return None
    form, coder = divmod(payload[0], len(_CODERS))
    try:
        body = _CODERS[coder][1](payload[1:], 2 * k)
        levels = _FORMS[form][1](np.frombuffer(body, np.uint8), k)
    except (zlib.error, lzma.LZMAError, ValueError, EOFError):
        return None
    return _values(levels) if levels is not None else None


def _levels(importance: np.ndarray) -> np.ndarray:
    """Nearest levels of one image's importance on the best grid."""
    top = importance.max()
    if top == 0:
        return np.full(len(importance), LEVELS - 1, np.uint8)
    positive = importance > 0
    octaves = np.log2(importance / top, where=positive, out=np.full(len(importance), -np.inf))
    depth = np.rint(np.minimum(-2 * octaves, _DEPTHS - 1)).astype(np.int64)
    shift = _best_top(np.bincount(depth[positive], minlength=_DEPTHS))
    levels = np.clip(LEVELS - 1 + shift - depth, 1, LEVELS - 1)
    return np.where(positive, levels, 0).astype(np.uint8)


def _best_top(counts: np.ndarray) -> int:
    """Depth of the grid's top level at which clipping costs least; counts: symbols at each depth.

    The cost is the weighted error at high SNR, mean(w / sqrt(v)) mean(sqrt(v)) when p ~ sqrt(v) for v in place of w.
    """
    error, power = _costs()
    return int(((counts @ error) * (counts @ power)).argmin())


@cache
def _costs() -> tuple[np.ndarray, np.ndarray]:
    """w / sqrt(v) and sqrt(v) of a symbol at each depth (rows) under each depth of the top level (columns)."""
    depth, top = np.arange(_DEPTHS)[:, None], np.arange(_DEPTHS)
    clipped = np.clip(depth, top, top + LEVELS - 2)
    return 2.0 ** (clipped / 4 - depth / 2), 2.0 ** (-clipped / 4)


def _values(levels: np.ndarray) -> Tensor:
    """Importance of one image's levels, mean 1, computed from how often each occurs: the same on every machine."""
    counts = np.bincount(levels, minlength=LEVELS)
    mean = math.fsum(n * v for n, v in zip(counts.tolist(), _GRID, strict=True)) / len(levels)
    return torch.from_numpy((np.asarray(_GRID) / (mean or 1.0)).astype(np.float32)[levels])


def _packings(levels: np.ndarray) -> list[bytes]:
    """All packings of one image; the first byte says which."""
    return [
        bytes([form * len(_CODERS) + coder]) + encode(write(levels).tobytes())
        for form, (write, _) in enumerate(_FORMS)
        for coder, (encode, _) in enumerate(_CODERS)
    ]


def _write_nibbles(levels: np.ndarray) -> np.ndarray:
    padded = np.append(levels, np.zeros(len(levels) % 2, np.uint8))
    return padded[::2] << 4 | padded[1::2]


def _read_nibbles(body: np.ndarray, k: int) -> np.ndarray | None:
    nibbles = np.stack([body >> 4, body & 15], 1).ravel()
    return nibbles[:k] if len(body) == -(-k // 2) else None


def _write_runs(levels: np.ndarray) -> np.ndarray:
    """16 bits an entry, length - 1 and level, low bytes first, then high bytes; the last entry lasts to the end."""
    edges = np.flatnonzero(np.diff(levels, prepend=levels[0] ^ 1))
    lengths = np.diff(edges, append=edges[-1] + 1)
    pieces = -(-lengths // _RUN)
    rest = np.full(pieces.sum(), _RUN)
    rest[pieces.cumsum() - 1] = lengths - (pieces - 1) * _RUN
    entries = (rest - 1) << 4 | np.repeat(levels[edges], pieces)
    return np.concatenate([entries & 255, entries >> 8]).astype(np.uint8)


def _read_runs(body: np.ndarray, k: int) -> np.ndarray | None:
    low, high = np.split(body.astype(np.int64), 2)
    lengths = (high << 4 | low >> 4) + 1
    before = int(lengths[:-1].sum())
    if not len(lengths) or before >= k:
        return None
    lengths[-1] = k - before
    return np.repeat((low & 15).astype(np.uint8), lengths)


def _inflated(body: bytes, most: int) -> bytes:
    tool = zlib.decompressobj(-zlib.MAX_WBITS)
    return _finished(tool.decompress(body, most + 1), tool.eof and not tool.unused_data)


def _unlzma(body: bytes, most: int) -> bytes:
    tool = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=_FILTERS)
    return _finished(tool.decompress(body, most + 1), tool.eof and not tool.unused_data)


def _finished(plain: bytes, whole: bool) -> bytes:
    if not whole:
        raise ValueError("cut off, too long, or followed by something")
    return plain


def _deflated(plain: bytes) -> bytes:
    tool = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS, 9)
    return tool.compress(plain) + tool.flush()


def _lzma(plain: bytes) -> bytes:
    return lzma.compress(plain, lzma.FORMAT_RAW, filters=_FILTERS)


_Coder = tuple[Callable[[bytes], bytes], Callable[[bytes, int], bytes]]
_Form = tuple[Callable[[np.ndarray], np.ndarray], Callable[[np.ndarray, int], np.ndarray | None]]
_CODERS: tuple[_Coder, ...] = ((bytes, lambda body, most: body), (_deflated, _inflated), (_lzma, _unlzma))
_FORMS: tuple[_Form, ...] = ((_write_nibbles, _read_nibbles), (_write_runs, _read_runs))
