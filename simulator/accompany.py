"""Importance that the receiver must know travels as a bits stream of its own, before the stream it belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from semlink.simulator.side_information import pack, quantise, unpack
from semlink.simulator.values import ReceivedStream, Stream, Transmission

SUFFIX = ".importance"


def accompanied(transmission: Transmission) -> Transmission:
    """Streams with importance that the receiver does not know, each behind a robust stream that tells it.

    The transmitter goes on with the quantised importance, so that both ends compute the same.
    """
    streams: list[Stream] = []
    for stream in transmission.streams:
        if stream.importance is None or stream.importance_known:
            streams.append(stream)
            continue
        levels, values = quantise(stream.importance)
        streams.append(Stream(stream.name + SUFFIX, "bits", pack(levels), protection="robust"))
        streams.append(replace(stream, importance=values))
    return replace(transmission, streams=tuple(streams))


def without_lost(received: Sequence[ReceivedStream]) -> tuple[ReceivedStream, ...]:
    """Streams whose importance was lost count as lost: nobody can undo their allocation."""
    told = {s.name.removesuffix(SUFFIX): s for s in received if s.name.endswith(SUFFIX)}
    return tuple(_seen(s, told[s.name]) if s.name in told else s for s in received)


def _seen(stream: ReceivedStream, told: ReceivedStream) -> ReceivedStream:
    if stream.x_hat is None or stream.a is None or told.payload is None:
        return stream
    known = [unpack(payload, stream.x_hat.shape[1]) is not None for payload in told.payload]
    seen = torch.tensor(known, device=stream.a.device)[:, None]
    return replace(stream, x_hat=stream.x_hat * seen, a=stream.a * seen)
