"""A picture codec within a video codec: made of a word, its streams under names of their own beside others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from semlink.codecs.video._state import nothing_arrived
from semlink.simulator.protocols import decoded
from semlink.simulator.values import ReceivedStream, Reception, Stream
from semlink.simulator.words import parse


def picture_codec(text: str, rho: float) -> Any:
    """The picture codec of a word whose settings are separated by semicolons, as `semlink:base=none;aim=psnr`."""
    from semlink import codecs

    word = parse(text.replace(";", ","))
    return codecs.create(word.name, rho=rho, **dict(word.settings))


def frame_of(codec: Any, reception: Reception) -> Tensor | None:
    """The picture codec's frame, float32 `[1, 3, H, W]` in [0, 1]; None where nothing of it arrived, or what did, in
    bits alone, is no picture."""
    if nothing_arrived(reception):
        return None
    frame, undecoded = decoded(codec, reception)
    if all(undecoded) and all(stream.kind == "bits" for stream in reception.streams):
        return None
    return frame.detach().to(torch.float32).clamp(0, 1)


def renamed(streams: tuple[Stream, ...], start: str, head: str) -> tuple[Stream, ...]:
    """Streams whose names begin with `start`, told by the stream `head` where nothing else tells them."""
    return tuple(
        replace(
            stream,
            name=start + stream.name,
            told_by=start + stream.told_by if stream.told_by else head,
            importance_told_by=start + stream.importance_told_by if stream.importance_told_by else "",
        )
        for stream in streams
    )


def inner(reception: Reception, start: str) -> tuple[ReceivedStream, ...]:
    """What arrived of the streams that begin so, under the names that their codec knows."""
    return tuple(replace(s, name=s.name[len(start) :]) for s in reception.streams if s.name.startswith(start))
