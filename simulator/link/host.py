"""The link reckons on the host: what comes from another device crosses once each way, and so do gradients."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from semlink.simulator.engine.bridge import HOST, moved
from semlink.simulator.values import ReceivedStream, Stream, Transmission


def on_host(transmission: Transmission) -> tuple[Transmission, torch.device]:
    """The transmission with its tensors on the host, and the device that its analog payloads came from."""
    homes = [s.payload.device for s in transmission.streams if isinstance(s.payload, Tensor)]
    streams = tuple(map(_on_host, transmission.streams))
    return replace(transmission, streams=streams), homes[0] if homes else HOST


def _on_host(stream: Stream) -> Stream:
    payload = moved(stream.payload, HOST) if isinstance(stream.payload, Tensor) else stream.payload
    importance = None if stream.importance is None else moved(stream.importance, HOST)
    return replace(stream, payload=payload, importance=importance)


def back(stream: ReceivedStream, home: torch.device) -> ReceivedStream:
    """A received stream on that device."""
    x_hat, a = (None if v is None else moved(v, home) for v in (stream.x_hat, stream.a))
    return replace(stream, x_hat=x_hat, a=a)
