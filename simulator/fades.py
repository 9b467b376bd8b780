"""The fades of any range of images, drawn in blocks of fixed size, so that neither batch nor order changes them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch

from semlink.channels._fade import Channel, Fade
from semlink.channels._grid import Grid
from semlink.simulator.rng import generator, key

FADE_BLOCK = 32  # images per draw; a constant of the results, never tuned


@dataclass(frozen=True)
class Fades:
    """Fades of a channel under a seed; image i is image i % FADE_BLOCK of block i // FADE_BLOCK.

    given: a fade drawn elsewhere that is used instead, image for image.
    """

    channel: Channel
    seed: int
    given: Fade | None = None
    _blocks: dict[int, Fade] = field(default_factory=dict, repr=False)

    def at(self, images: np.ndarray, slots: np.ndarray, grid: Grid) -> np.ndarray:
        """Responses complex64 `[n, symbols, subcarriers]` of slot `slots[i]` of image `images[i]`."""
        if self.given is not None:
            return self.given.at(images, slots, grid)
        blocks = images // FADE_BLOCK
        if blocks[0] == blocks[-1]:
            return self._block(int(blocks[0])).at(images % FADE_BLOCK, slots, grid)
        response = np.empty((len(images), grid.symbols, grid.subcarriers), np.complex64)
        for block in np.unique(blocks):
            chosen = blocks == block
            response[chosen] = self._block(int(block)).at(images[chosen] % FADE_BLOCK, slots[chosen], grid)
        return response

    def _block(self, block: int) -> Fade:
        if block not in self._blocks:
            for old in [b for b in self._blocks if b < block - 2]:  # bounded memory: images come in order
                del self._blocks[old]
            rng = generator("fade", self.seed, repr(self.channel), block)
            self._blocks[block] = self.channel.draw(rng, FADE_BLOCK)
        return self._blocks[block]


class Noise:
    """Unit-variance CN(0, 1) noise, slot after slot of each image; it is keyed by the image's number and the SNR."""

    def __init__(self, channel: Channel, seed: int, snr: str, grid: Grid) -> None:
        self._bits = np.random.Philox(key=key("noise", seed, repr(channel), snr))
        self._rng = np.random.Generator(self._bits)
        self._shape = (grid.symbols, grid.subcarriers, 2)
        self._image: int | None = None

    def take(self, images: np.ndarray) -> np.ndarray:
        """Noise of the next slot of each of `images` (not falling): complex64 `[slots, symbols, subcarriers]`."""
        pairs = torch.empty(len(images), *self._shape).numpy()  # torch aligns memory for the bridge, NumPy does not
        edges = np.flatnonzero(np.diff(images, prepend=-1, append=-1))
        for start, stop in zip(edges[:-1], edges[1:], strict=True):
            if images[start] != self._image:
                self._begin(int(images[start]))
            self._rng.standard_normal(dtype=np.float32, out=pairs[start:stop])
        pairs *= np.float32(np.sqrt(0.5))
        return pairs.view(np.complex64)[..., 0]

    def _begin(self, image: int) -> None:
        """Go to the counter of an image; a new bit generator would take 20 microseconds."""
        self._image = image
        state = self._bits.state
        state["state"]["counter"][:] = (0, 0, image, 0)
        self._bits.state = {**state, "buffer_pos": 4, "has_uint32": 0}
