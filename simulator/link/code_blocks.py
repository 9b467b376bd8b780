"""Bits streams to symbols and back: framing, coding per block shape, verdicts; all images of a batch at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from semlink.simulator.bits import framing
from semlink.simulator.bits.framing import interleaver
from semlink.simulator.bits.mcs import PROTECTION, Mcs, get
from semlink.simulator.engine import coding
from semlink.simulator.values import Stream


@dataclass(frozen=True)
class CodeBlock:
    """One code block: its image, first symbol within the image's part of the stream, size and payload."""

    image: int
    start: int
    symbols: int
    mcs: Mcs
    data: bytes = b""


def schemes(stream: Stream) -> list[Mcs]:
    """The MCS of a bits stream in each image: its own, else the one of its protection class."""
    told = stream.mcs or PROTECTION[stream.protection]
    return [get(name) for name in ((told,) * len(stream.payload) if isinstance(told, str) else told)]


def reserved(stream: Stream) -> list[int | None]:
    """Uses that are reserved for a stream in each image."""
    return [*stream.uses] if isinstance(stream.uses, tuple) else [stream.uses] * len(stream.payload)


def blocks_of(stream: Stream) -> tuple[list[CodeBlock], np.ndarray]:
    """All blocks of a bits stream, and the uses charged per image (int64)."""
    blocks: list[CodeBlock] = []
    uses = []
    for image, (payload, mcs, fixed) in enumerate(zip(stream.payload, schemes(stream), reserved(stream), strict=True)):
        own = _variable(image, payload, mcs) if fixed is None else _fixed(image, payload, stream.name, fixed, mcs)
        blocks += own
        uses.append(own[-1].start + own[-1].symbols if fixed is None else fixed)
    return blocks, np.asarray(uses, np.int64)


def _fixed(image: int, payload: bytes, stream: str, uses: int, mcs: Mcs) -> list[CodeBlock]:
    data = framing.framed(payload, uses, mcs, stream)
    return _cut(image, 0, data, framing.blocks_in(uses, mcs), mcs)


def _variable(image: int, payload: bytes, mcs: Mcs) -> list[CodeBlock]:
    head = CodeBlock(image, 0, framing.HEADER_SYMBOLS, framing.HEADER, framing.header(len(payload)))
    return [head, *_cut(image, framing.HEADER_SYMBOLS, payload, framing.blocks_for(len(payload), mcs), mcs)]


def _cut(image: int, start: int, data: bytes, sizes: Sequence[int], mcs: Mcs) -> list[CodeBlock]:
    starts = start + np.cumsum([0, *sizes])
    parts = framing.cut(data, sizes, mcs)
    return [CodeBlock(image, int(s), size, mcs, part) for s, size, part in zip(starts, sizes, parts, strict=False)]


def places(stream_uses: np.ndarray, fixed: bool) -> list[np.ndarray]:
    """For each image, where in the concatenated stream its symbols go; a length header is not interleaved."""
    first = np.cumsum(stream_uses) - stream_uses
    head = 0 if fixed else framing.HEADER_SYMBOLS
    kept = np.arange(head)
    orders = [np.concatenate([kept, head + interleaver(int(u) - head)]) for u in stream_uses]
    return [start + order for start, order in zip(first, orders, strict=True)]


def modulate(blocks: Sequence[CodeBlock], uses: np.ndarray, fixed: bool, filler: np.ndarray) -> np.ndarray:
    """Symbols of the stream, image by image: complex64 `[sum of uses]`; uses without a block hold filler."""
    order = places(uses, fixed)
    out = filler[np.concatenate([np.arange(u) for u in uses])] if len(uses) else filler[:0]
    for (mcs, symbols), group in by_shape(blocks).items():
        data = np.frombuffer(b"".join(b.data for b in group), np.uint8).reshape(len(group), -1)
        for block, sent in zip(group, coding.encode(data, mcs, symbols), strict=True):
            out[order[block.image][block.start : block.start + symbols]] = sent
    return out


def demodulate(
    blocks: Sequence[CodeBlock], uses: np.ndarray, fixed: bool, x_hat: np.ndarray, a: np.ndarray
) -> list[bytes | None]:
    """Received payload of every block, None where its CRC fails; x_hat, a `[sum of uses]`, image by image."""
    order = places(uses, fixed)
    answers: dict[int, bytes | None] = {}
    for (mcs, symbols), group in by_shape(blocks).items():
        index = np.stack([order[b.image][b.start : b.start + symbols] for b in group])
        data, ok = coding.decode(x_hat[index], a[index], mcs, symbols)
        answers |= {id(b): d.tobytes() if good else None for b, d, good in zip(group, data, ok, strict=True)}
    return [answers[id(b)] for b in blocks]


def by_shape(blocks: Sequence[CodeBlock]) -> dict[tuple[Mcs, int], list[CodeBlock]]:
    """Blocks grouped by what is compiled once."""
    groups: dict[tuple[Mcs, int], list[CodeBlock]] = defaultdict(list)
    for block in blocks:
        groups[block.mcs, block.symbols].append(block)
    return groups


def assemble(parts: Sequence[bytes | None], fixed: bool) -> bytes | None:
    """An image's payload from its blocks' (the header first when the length is not fixed); None when one is lost."""
    if any(p is None for p in parts):
        return None
    data = b"".join(p for p in parts if p is not None)
    if fixed:
        return framing.unframed(data)
    length = framing.header_length(data)
    body = data[framing.HEADER_BYTES :]
    return body[:length] if length <= len(body) else None
