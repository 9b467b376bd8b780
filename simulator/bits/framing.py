"""How the bytes of a stream become code blocks, and back; known to both ends.

A stream with fixed `uses` fills them: its blocks follow from the number alone, a length prefix of 1 to 4 bytes (LEB128)
is part of the payload. A stream without sends a header block first that tells its length.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from semlink.simulator.bits.mcs import Mcs, get
from semlink.simulator.errors import SemlinkError
from semlink.simulator.rng import generator

HEADER = get("qpsk-0.25")
HEADER_SYMBOLS = 128
LEAST_OF_LONG = 512  # symbols of a block of a long payload
HEADER_BYTES = HEADER.information_bytes(HEADER_SYMBOLS)


def blocks_in(uses: int, mcs: Mcs) -> tuple[int, ...]:
    """Block sizes (channel uses) that fill at most `uses`, largest first.

    A long payload has no short block at its end: that would be the first to be lost, and take all the rest with it.
    """
    blocks: list[int] = []
    least = min(LEAST_OF_LONG, uses // 16)
    for size in (size for size in mcs.block_sizes() if size >= least):
        count, uses = divmod(uses, size)
        blocks += [size] * count
    return tuple(blocks)


def blocks_for(length: int, mcs: Mcs) -> tuple[int, ...]:
    """Block sizes that carry `length` bytes: full large blocks, then the smallest that holds the rest."""
    sizes = mcs.block_sizes()
    full, rest = divmod(length, mcs.information_bytes(sizes[0]))
    last = [s for s in sizes if mcs.information_bytes(s) >= rest][-1:] if rest else []
    return (sizes[0],) * full + tuple(last)


def capacity(blocks: Sequence[int], mcs: Mcs) -> int:
    """Bytes that these blocks carry."""
    return sum(mcs.information_bytes(b) for b in blocks)


@lru_cache(maxsize=1 << 14)
def room(uses: int, mcs: Mcs) -> int:
    """Payload bytes that fit into fixed `uses`, length prefix taken off."""
    total = capacity(blocks_in(uses, mcs), mcs)
    return max(0, total - len(prefix(total)))


def prefix(length: int) -> bytes:
    """LEB128 of a length."""
    out = bytearray()
    while length >= 128:
        out.append(length & 127 | 128)
        length >>= 7
    return bytes([*out, length])


def framed(payload: bytes, uses: int, mcs: Mcs, stream: str) -> bytes:
    """Length prefix and payload, zero-filled to the blocks of `uses`, nothing where there is neither block nor payload.

    SemlinkError when it does not fit.
    """
    total = capacity(blocks_in(uses, mcs), mcs)
    data = prefix(len(payload)) + payload if payload or total else b""
    if len(data) > total:
        raise SemlinkError(
            f"stream {stream!r}: {len(payload)} bytes do not fit into {uses} uses at {mcs.name} "
            f"({room(uses, mcs)} bytes)"
        )
    return data.ljust(total, b"\0")


def unframed(data: bytes) -> bytes | None:
    """The payload of a framed one; None when its length prefix is impossible."""
    found = prefixed(data, 5)
    return found[0] if found else None


def prefixed(data: bytes, most: int) -> tuple[bytes, bytes] | None:
    """Bytes with their length before them, and what follows; None when a prefix of at most so many bytes is none."""
    length = shift = 0
    for place, byte in enumerate(data[:most]):
        length |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            start = place + 1
            return (data[start : start + length], data[start + length :]) if start + length <= len(data) else None
    return None


def header(length: int) -> bytes:
    """The header block's payload. SemlinkError for more than 4 GiB."""
    if length >= 1 << 32:
        raise SemlinkError(f"a stream of {length} bytes is too long")
    return length.to_bytes(4, "little").ljust(HEADER_BYTES, b"\0")


def header_length(data: bytes) -> int:
    """Length told by a header block."""
    return int.from_bytes(data[:4], "little")


def cut(data: bytes, blocks: Sequence[int], mcs: Mcs) -> list[bytes]:
    """The bytes of each block, the last one zero-filled."""
    parts, start = [], 0
    for symbols in blocks:
        size = mcs.information_bytes(symbols)
        parts.append(data[start : start + size].ljust(size, b"\0"))
        start += size
    return parts


@lru_cache(maxsize=32)
def interleaver(uses: int) -> np.ndarray:
    """Place of each symbol of a stream: a permutation known to both ends, so that every block meets the whole fade."""
    return generator("interleaver", uses).permutation(uses)
