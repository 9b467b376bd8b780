"""Which symbol of an image's slots carries what: streams in declared order, then QPSK filler; known to both ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Sequence

import numpy as np
import torch
from torch import Tensor

from semlink.simulator.rng import generator


@dataclass(frozen=True)
class Layout:
    """counts: symbols of each stream in each image, int64 `[streams, images]`. total: symbols of an image's slots."""

    counts: np.ndarray
    total: int

    def places(self, stream: int) -> tuple[Tensor, Tensor]:
        """Image and symbol index of every symbol of a stream, image by image."""
        counts = self.counts[stream]
        starts = self.counts[:stream].sum(0)
        images = np.arange(len(counts)).repeat(counts)
        within = np.arange(counts.sum()) - np.repeat(counts.cumsum() - counts, counts)
        return torch.from_numpy(images), torch.from_numpy(within + starts.repeat(counts))


def place(values: Sequence[Tensor], layout: Layout) -> Tensor:
    """Stream symbols (flat, image by image) and filler on the slots: complex64 `[images, total]`, differentiable."""
    buffer = filler(layout.total).repeat(layout.counts.shape[1], 1)
    for stream, flat in enumerate(values):
        images, symbols = layout.places(stream)
        buffer = buffer.index_put((images, symbols), flat.to(buffer.device))
    return buffer


def filler(count: int) -> Tensor:
    """Unit-power QPSK, the same in every image: complex64 `[count]`."""
    turns = generator("filler").integers(4, size=count)
    return torch.from_numpy(np.exp(1j * (np.pi / 4 + np.pi / 2 * turns)).astype(np.complex64))
