"""A clip at fewer frames per second: those of its frames that are nearest before each moment."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from semlink.simulator.data.clip_source import Source

TINY = 1e-9  # of a frame


@dataclass(frozen=True)
class Slower:
    """Frame k of a source is the one that stands at k / fps; `fps` is below the source's own."""

    source: Source
    fps: float

    @property
    def name(self) -> str:
        """The source's."""
        return self.source.name

    @property
    def frames(self) -> int:
        """As many as begin within the source."""
        return math.ceil(self.source.frames / self._step - TINY)

    @property
    def cuts(self) -> tuple[int, ...]:
        """The first frames that are shown of new shots; shots that no frame is left of have none."""
        found = dict.fromkeys(math.ceil(cut / self._step - TINY) for cut in self.source.cuts)
        return tuple(cut for cut in found if cut < self.frames)

    @property
    def _step(self) -> float:
        """Frames of the source from one to the next."""
        return self.source.fps / self.fps

    def read(self, height: int, width: int) -> Iterator[np.ndarray]:
        """uint8 frames `[height, width, 3]`."""
        wanted = 0
        for number, frame in enumerate(self.source.read(height, width)):
            if number == int(wanted * self._step + TINY):
                wanted += 1
                yield frame


def slower(source: Source, fps: float | None) -> Source:
    """A source at no more than so many frames per second; None: as it is."""
    return source if fps is None or fps >= source.fps else Slower(source, fps)
