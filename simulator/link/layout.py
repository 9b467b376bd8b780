"""Which symbol of an image's slots carries what: streams in declared order, then QPSK filler; known to both ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from semlink.simulator.rng import generator


@dataclass(frozen=True)
class SlotLayout:
    """counts: symbols of each stream in each image, int64 `[streams, images]`. per_slot: data symbols of a slot."""

    counts: np.ndarray
    per_slot: int

    @property
    def slots(self) -> np.ndarray:
        """Whole slots of each image, at least one: int64 `[images]`."""
        return np.maximum(1, -(-self.counts.sum(0) // self.per_slot))

    @property
    def total(self) -> int:
        """Symbols of the image with the most slots."""
        return int(self.slots.max()) * self.per_slot

    def span(self, stream: int) -> slice | None:
        """The symbols of a stream when they are the same in every image, else None."""
        upto = self.counts[: stream + 1]
        if (upto != upto[:, :1]).any():
            return None
        start = int(upto[:-1, 0].sum())
        return slice(start, start + int(upto[-1, 0]))

    def places(self, stream: int) -> tuple[Tensor, Tensor]:
        """Image and symbol index of every symbol of a stream, image by image."""
        counts = self.counts[stream]
        starts = self.counts[:stream].sum(0)
        images = np.arange(len(counts)).repeat(counts)
        within = np.arange(counts.sum()) - np.repeat(counts.cumsum() - counts, counts)
        return torch.from_numpy(images), torch.from_numpy(within + starts.repeat(counts))


def place(values: Sequence[Tensor], layout: SlotLayout) -> Tensor:
    """Stream symbols (flat, image by image) and filler on the slots: complex64 `[images, total]`, differentiable."""
    images = layout.counts.shape[1]
    rest = filler(layout.total)
    spans = [layout.span(stream) for stream in range(len(values))]
    if all(spans):
        parts = [flat.reshape(images, int(own[0])) for flat, own in zip(values, layout.counts, strict=True)]
        return torch.cat([*parts, rest[spans[-1].stop :].expand(images, -1).to(parts[0].device)], dim=1)
    buffer = rest.repeat(images, 1)
    for stream, flat in enumerate(values):
        buffer = buffer.index_put(layout.places(stream), flat.to(buffer.device))
    return buffer


def kept(values: Tensor, counts: np.ndarray) -> Tensor:
    """The first `counts[i]` of each image's values `[images, k]`, flat, image by image."""
    if (counts == values.shape[1]).all():
        return values.flatten()
    return values[torch.arange(values.shape[1]) < torch.from_numpy(counts)[:, None]]


def take(buffer: Tensor, layout: SlotLayout, stream: int) -> Tensor:
    """The symbols of one stream from `[images, total]`, flat, image by image."""
    span = layout.span(stream)
    return buffer[:, span].flatten() if span else buffer[layout.places(stream)]


@lru_cache(maxsize=8)
def filler(count: int) -> Tensor:
    """Unit-power QPSK, the same in every image: complex64 `[count]`."""
    turns = generator("filler").integers(4, size=count)
    return torch.from_numpy(np.exp(1j * (np.pi / 4 + np.pi / 2 * turns)).astype(np.complex64))
