"""What is drawn for any range of images, in blocks of fixed size, so that neither batch nor order changes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import torch

from semlink.channels.base.fade import Channel, Fade, antennas
from semlink.channels.base.grid import Grid
from semlink.simulator.rng import generator, key

FADE_BLOCK = 32  # images per draw; a constant of the results, never tuned
KEPT = 8  # blocks in memory
T = TypeVar("T")


@dataclass(frozen=True)
class DrawnBlocks(Generic[T]):
    """Draws of `draw(block)`; image i is row i % FADE_BLOCK of block i // FADE_BLOCK.

    given: drawn elsewhere and used instead; its first row is image `first`.
    """

    draw: Callable[[int], T]
    given: T | None = None
    first: int = 0
    _drawn: dict[int, T] = field(default_factory=dict, repr=False)

    def gather(self, ask: Callable[..., np.ndarray | None], images: np.ndarray, *columns: np.ndarray) -> Any:
        """`ask(drawn, rows, *columns)` of every image's block, put together; None where no block has an answer.

        Answers may differ in the length of their last axis (zeros fill up).
        """
        if self.given is not None:
            return ask(self.given, images - self.first, *columns)
        blocks = images // FADE_BLOCK
        if blocks[0] == blocks[-1]:
            return ask(self._block(int(blocks[0])), images % FADE_BLOCK, *columns)
        chosen = [blocks == block for block in np.unique(blocks)]
        answers = [
            ask(self._block(int(block)), images[rows] % FADE_BLOCK, *(c[rows] for c in columns))
            for block, rows in zip(np.unique(blocks), chosen, strict=True)
        ]
        return _joined(answers, chosen)

    def _block(self, block: int) -> T:
        if block not in self._drawn:
            while len(self._drawn) >= KEPT:  # the first that were drawn: images come in order
                del self._drawn[next(iter(self._drawn))]
            self._drawn[block] = self.draw(block)
        return self._drawn[block]


def _joined(answers: list[np.ndarray | None], chosen: list[np.ndarray]) -> np.ndarray | None:
    found = [a for a in answers if a is not None]
    if not found:
        return None
    length = max(a.shape[-1] for a in found) if found[0].ndim > 1 else 0
    shape = (len(chosen[0]), *found[0].shape[1:-1], length) if length else (len(chosen[0]),)
    whole = np.zeros(shape, found[0].dtype)
    for answer, rows in zip(answers, chosen, strict=True):
        if answer is not None and length:
            whole[rows, ..., : answer.shape[-1]] = answer
        elif answer is not None:
            whole[rows] = answer
    return whole


class Fades:
    """Fades of a channel under a seed; `given` is drawn elsewhere and used instead, from image `first` on."""

    def __init__(self, channel: Channel, seed: int, given: Fade | None = None, first: int = 0) -> None:
        text, self._line_of_sight = identity(channel), float(channel.specular_power)
        self._antennas = antennas(channel)
        self._blocks = DrawnBlocks(lambda b: channel.draw(generator("fade", seed, text, b), FADE_BLOCK), given, first)

    def at(self, images: np.ndarray, slots: np.ndarray, grid: Grid) -> np.ndarray:
        """Responses complex64 `[n, rx, tx, symbols, subcarriers]` of slot `slots[i]` of image `images[i]`."""
        return self._shaped(self._blocks.gather(lambda fade, i, t: fade.at(i, t, grid), images, slots))

    def known(self, images: np.ndarray, slots: np.ndarray, grid: Grid) -> np.ndarray:
        """Gains behind the FFT, shaped like `at`."""
        return self._shaped(self._blocks.gather(lambda fade, i, t: fade.known(i, t, grid), images, slots))

    def tail(self, images: np.ndarray, slots: np.ndarray, grid: Grid) -> np.ndarray | None:
        """Taps beyond the prefix `[n, rx, tx, symbols, taps]`, or None where there are none."""
        taps = self._blocks.gather(lambda fade, i, t: fade.tail(i, t, grid), images, slots)
        return None if taps is None else self._shaped(taps)

    def local(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Local mean of |h|^2 of each image and its constant-modulus part, float32 `[n]` each."""
        power = self._blocks.gather(lambda fade, i: _row(fade.power, 1.0, i), images)
        specular = self._blocks.gather(lambda fade, i: _row(fade.specular, self._line_of_sight, i), images)
        return power, specular

    def _shaped(self, response: np.ndarray) -> np.ndarray:
        return response.reshape(len(response), *self._antennas, *response.shape[-2:])


def _row(values: np.ndarray | None, default: float, images: np.ndarray) -> np.ndarray:
    return np.full(len(images), default, np.float32) if values is None else values[images].astype(np.float32)


def identity(channel: Channel) -> str:
    """What fades and noise are keyed by: the channel's type and the settings that are not at their defaults.

    An impaired channel has the fades of the channel that it wraps. A channel may say its own by `identity`.
    """
    bare = getattr(channel, "channel", channel)
    if hasattr(bare, "identity"):
        return str(bare.identity)
    if not is_dataclass(bare):
        return repr(bare)
    changed = [f"{f.name}={getattr(bare, f.name)!r}" for f in fields(bare) if getattr(bare, f.name) != _default(f)]
    return f"{type(bare).__name__}({', '.join(changed)})"


def _default(setting: Any) -> Any:
    return setting.default_factory() if setting.default_factory is not MISSING else setting.default


class Noise:
    """Unit-variance CN(0, 1) noise of every slot of every image, keyed by the image's number and the SNR.

    An image's slots are drawn one after another from 0 on, whatever is asked for: however a transmission is cut into
    calls, a slot meets the same noise, and no two slots share any. Going on where the last call ended costs nothing,
    anything else the drawing of what lies before it.
    """

    def __init__(self, channel: Channel, seed: int, snr: str, grid: Grid) -> None:
        self._bits = np.random.Philox(key=key("noise", seed, identity(channel), snr))
        self._rng, self._start = np.random.Generator(self._bits), self._bits.state
        self._shape = (antennas(channel)[0], grid.symbols, grid.subcarriers, 2)
        self._next: tuple[int, int] | None = None  # image and slot at which the generator stands

    def take(self, images: np.ndarray, slots: np.ndarray) -> np.ndarray:
        """Noise of slot `slots[i]` of image `images[i]`: complex64 `[n, rx, symbols, subcarriers]`.

        Images do not fall, and the slots of an image follow each other.
        """
        pairs = torch.empty(len(images), *self._shape).numpy()  # torch aligns memory for the bridge, NumPy does not
        edges = np.flatnonzero(np.diff(images, prepend=-1, append=-1))
        for start, stop in zip(edges[:-1], edges[1:], strict=True):
            self._go_to(int(images[start]), int(slots[start]))
            self._rng.standard_normal(dtype=np.float32, out=pairs[start:stop])
            self._next = int(images[start]), int(slots[start]) + int(stop - start)
        pairs *= np.float32(np.sqrt(0.5))
        return pairs.view(np.complex64)[..., 0]

    def _go_to(self, image: int, slot: int) -> None:
        """Stand before a slot of an image."""
        if self._next == (image, slot):
            return
        if self._next is None or self._next[0] != image or self._next[1] > slot:
            self._begin(image)
            self._next = image, 0
        skipped = slot - self._next[1]
        if skipped:
            self._rng.standard_normal((skipped, *self._shape), np.float32)

    def _begin(self, image: int) -> None:
        """Go to the counter of an image; a new bit generator would take 20 microseconds."""
        self._start["state"]["counter"][2] = image
        self._bits.state = self._start
