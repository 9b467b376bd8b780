"""The fades of any range of images, drawn in blocks of fixed size, so that neither batch nor order changes them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from semlink.channels._fade import Channel, Fade
from semlink.channels._grid import Grid
from semlink.simulator.rng import generator

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
    """Unit-variance CN(0, 1) noise of consecutive slots, keyed per block of images, SNR and channel."""

    def __init__(
        self, channel: Channel, seed: int, snr: str, slots_per_image: int, grid: Grid, first_image: int
    ) -> None:
        self._name = ("noise", seed, repr(channel), snr)
        self._shape = (grid.symbols, grid.subcarriers)
        self._per_block = slots_per_image * FADE_BLOCK
        self._position = first_image * slots_per_image
        self._rng: np.random.Generator | None = None

    def take(self, slots: int) -> np.ndarray:
        """The noise of the next `slots` slots: complex64 `[slots, symbols, subcarriers]`."""
        parts = []
        while slots:
            block, within = divmod(self._position, self._per_block)
            if self._rng is None or within == 0:
                self._rng = generator(*self._name, block)
                self._draw(within)
            count = min(slots, self._per_block - within)
            parts.append(self._draw(count))
            self._position += count
            slots -= count
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _draw(self, slots: int) -> np.ndarray:
        assert self._rng is not None
        pairs = self._rng.standard_normal((slots, *self._shape, 2), dtype=np.float32)
        pairs *= np.float32(np.sqrt(0.5))
        return pairs.view(np.complex64)[..., 0]
