"""Importance that the receiver must know travels as a bits stream of its own, before the stream it belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from semlink.simulator.link.importance_code import pack, quantise, unpack
from semlink.simulator.values import ReceivedStream, Stream, Transmission

SUFFIX = ".importance"
SCALES = (-128, 127)  # half octaves


def accompanied(transmission: Transmission) -> Transmission:
    """Streams with importance that the receiver does not know, each behind a robust stream that tells it.

    Where there are several analog streams, a first byte has the mean importance in half octaves. The transmitter goes
    on with the quantised importance, so that both ends compute the same.
    """
    streams: list[Stream] = []
    for stream in transmission.streams:
        if stream.importance is None or stream.importance_known or stream.importance_told_by:
            streams.append(stream)
            continue
        levels, values = quantise(stream.importance)
        payload = pack(levels)
        if _scaled(transmission.streams):
            scales = _scales(stream.importance)
            payload = [bytes([scale - SCALES[0]]) + p for scale, p in zip(scales.tolist(), payload, strict=True)]
            values = values * 2 ** (scales[:, None] / 2)
        streams.append(Stream(stream.name + SUFFIX, "bits", payload, protection="robust"))
        streams.append(replace(stream, importance=values))
    return replace(transmission, streams=tuple(streams))


def without_lost(sent: Transmission, received: Sequence[ReceivedStream]) -> tuple[ReceivedStream, ...]:
    """Received streams, without analog ones of images in which the receiver cannot know their places and power.

    All analog streams share one allocation: it takes the importance of all of them, and every length before the last.
    """
    known = torch.ones(len(sent.streams[0].payload), dtype=torch.bool)
    sizes = {s.name: s.x_hat.shape[1] for s in received if s.x_hat is not None}
    last = max((i for i, s in enumerate(sent.streams) if s.kind == "analog"), default=0)
    telling = {s.importance_told_by for s in sent.streams}
    for got in received:
        if got.name in telling and got.payload is not None:
            known &= torch.tensor([payload is not None for payload in got.payload])
    for stream, got in list(zip(sent.streams, received, strict=True))[:last]:
        if got.payload is None:
            continue
        if stream.uses is None:
            known &= torch.tensor([blocks[0] for blocks in got.blocks_ok or ()])
        symbols = sizes.get(stream.name.removesuffix(SUFFIX))
        if symbols and stream.name.endswith(SUFFIX):
            told = [p and p[_scaled(sent.streams) :] for p in got.payload]
            known &= torch.tensor([unpack(p, symbols) is not None for p in told])
    return tuple(_seen(stream, known) for stream in received)


def _seen(stream: ReceivedStream, known: Tensor) -> ReceivedStream:
    if stream.x_hat is None or stream.a is None or bool(known.all()):
        return stream
    seen = known[:, None].to(stream.a.device)
    return replace(stream, x_hat=stream.x_hat * seen, a=stream.a * seen)


def _scaled(streams: Sequence[Stream]) -> bool:
    """Whether importance is compared between streams, so that its scale matters."""
    return sum(stream.kind == "analog" for stream in streams) > 1


def _scales(importance: Tensor) -> Tensor:
    """Mean importance of each image in half octaves, int `[batch]`; 0 where there is none."""
    mean = importance.double().mean(1)
    return (2 * torch.where(mean > 0, mean, 1.0).log2()).round().clamp(*SCALES).int()
