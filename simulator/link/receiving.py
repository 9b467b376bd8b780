"""Equalised symbols back to streams, as the receiver sees them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from semlink.simulator.link import code_blocks
from semlink.simulator.link.importance_stream import without_lost
from semlink.simulator.link.layout import take
from semlink.simulator.link.sending import Prepared
from semlink.simulator.values import ReceivedStream, Stream


def receive(prepared: Prepared, x_hat: Tensor, a: Tensor) -> tuple[ReceivedStream, ...]:
    """Streams as the receiver sees them, from x_hat and `a` `[images, total]` by place.

    A lost stream takes those with it that it tells about. A lost length header hides where the later streams of its
    image begin.
    """
    x_hat, a = (prepared.allocation.taken(values) for values in (x_hat, a))
    lost = np.zeros(x_hat.shape[0], bool)
    received: list[ReceivedStream] = []
    told: dict[str, np.ndarray] = {}
    for index, stream in enumerate(prepared.sent.streams):
        x, reliability = take(x_hat, prepared.layout, index), take(a, prepared.layout, index)
        gone = lost | ~told.get(stream.told_by, ~lost)
        if index in prepared.blocks:
            result, header_lost = _receive_bits(stream, *prepared.blocks[index], x, reliability, gone)
            received.append(result)
            told[stream.name] = np.array(result.ok)
            lost = lost | header_lost
        elif stream.ideal:
            received.append(_receive_ideal(stream, reliability, gone))
        else:
            counts = prepared.layout.counts[index]
            received.append(_receive_analog(stream, spread(x, counts), spread(reliability, counts), gone))
    return without_lost(prepared.sent, received) if prepared.allocation.joint else tuple(received)


def spread(flat: Tensor, counts: np.ndarray) -> Tensor:
    """Values of all images, flat, as `[images, most]`, zeros where an image has fewer."""
    if (counts == counts[0]).all():
        return flat.reshape(len(counts), int(counts[0]))
    whole = flat.new_zeros(len(counts), int(counts.max()))
    there = torch.arange(whole.shape[1]) < torch.from_numpy(counts)[:, None]
    return whole.index_put((there,), flat)


def _receive_analog(stream: Stream, x: Tensor, a: Tensor, lost: np.ndarray) -> ReceivedStream:
    if lost.any():
        seen = torch.from_numpy(~lost)[:, None].to(x.device)
        x, a = x * seen, a * seen
    return ReceivedStream(stream.name, "analog", x_hat=x, a=a)


def _receive_bits(
    stream: Stream, blocks: list[code_blocks.CodeBlock], uses: np.ndarray, x: Tensor, a: Tensor, lost: np.ndarray
) -> tuple[ReceivedStream, np.ndarray]:
    parts: list[list[bytes | None]] = [[] for _ in uses]
    fixed = stream.uses is not None
    answers = code_blocks.demodulate(blocks, uses, fixed, x.detach().numpy(), a.detach().numpy())
    for block, answer in zip(blocks, answers, strict=True):
        parts[block.image].append(None if lost[block.image] else answer)
    found = tuple(code_blocks.assemble(p, fixed) for p in parts)
    verdicts = tuple(tuple(part is not None for part in p) for p in parts)
    header_lost = np.array([not fixed and p[0] is None for p in parts])
    ok = tuple(p is not None for p in found)
    return ReceivedStream(stream.name, "bits", payload=found, ok=ok, blocks_ok=verdicts), header_lost


def _receive_ideal(stream: Stream, a: Tensor, lost: np.ndarray) -> ReceivedStream:
    """An ideal code: all bits arrive when the mutual information of the image's own symbols carries them."""
    sinr = (a / (1 - a).clamp_min(1e-9)).reshape(len(lost), -1)
    carried = torch.log2(1 + sinr).double().sum(1).tolist()
    ok = tuple(
        8 * len(p) <= c + 1e-6 * c and not gone for p, c, gone in zip(stream.payload, carried, lost, strict=True)
    )
    found = tuple(p if good else None for p, good in zip(stream.payload, ok, strict=True))
    return ReceivedStream(stream.name, "bits", payload=found, ok=ok, blocks_ok=tuple((good,) for good in ok))
