"""What decoders take of a reception, for every codec alike: symbols that are not finite are lost symbols, and a payload
that arrived and is none of its kind is marked."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import cast

from torch import Tensor

from semlink.simulator.forms import finite
from semlink.simulator.values import ReceivedStream, Reception

log = logging.getLogger(__name__)


def sound_symbols(stream: ReceivedStream) -> tuple[Tensor, Tensor]:
    """`x_hat` and `a` of an analog stream, `[batch, k]`; both 0 where one is NaN or infinite, which is logged."""
    x_hat, a = stream.x_hat, stream.a
    assert x_hat is not None and a is not None, f"{stream.name} is no analog stream"
    x_hat, a, lost = finite(x_hat, a)
    if lost:
        log.warning("%s: %d symbols that are not finite are treated as lost", stream.name, lost)
    return x_hat, a


def sound(reception: Reception) -> Reception:
    """A reception whose analog streams are as `sound_symbols` gives them; bits as they are."""
    return replace(reception, streams=tuple(map(_sound, reception.streams)))


def payloads_of(reception: Reception, name: str) -> Sequence[bytes | None]:
    """The payloads of a bits stream, one per picture; None where it was lost or never sent."""
    for stream in reception.streams:
        if stream.name == name:
            return cast("Sequence[bytes | None]", stream.payload)
    first = reception.streams[0]
    return [None] * len(cast(Sequence[object], first.payload if first.x_hat is None else first.x_hat))


def undecoded(payloads: Iterable[bytes | None], found: Iterable[object]) -> tuple[bool, ...]:
    """Of which pictures a payload arrived of which nothing was found: None, or False."""
    return tuple(p is not None and (f is None or f is False) for p, f in zip(payloads, found, strict=True))


def any_of(*marks: Iterable[bool]) -> tuple[bool, ...]:
    """Which pictures are marked in one of several."""
    return tuple(map(any, zip(*marks, strict=True)))


def _sound(stream: ReceivedStream) -> ReceivedStream:
    if stream.kind != "analog":
        return stream
    x_hat, a = sound_symbols(stream)
    return replace(stream, x_hat=x_hat, a=a)
