"""What decoders take of a reception: symbols that are not finite are lost symbols, for every codec alike."""

from __future__ import annotations

import logging
from dataclasses import replace

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


def _sound(stream: ReceivedStream) -> ReceivedStream:
    if stream.kind != "analog":
        return stream
    x_hat, a = sound_symbols(stream)
    return replace(stream, x_hat=x_hat, a=a)
