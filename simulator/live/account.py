"""What a clip has spent: channel uses of every frame, first one, headers and feedback included."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from semlink.simulator.video import BURST

ANCHORS = "anchors"
KINDS = {"head": "heads", "anchor": ANCHORS, "control": "control", "feedback": "feedback"}  # by how a name begins
REST = "packets"  # motion, of codecs with anchors


@dataclass(frozen=True)
class Account:
    """Constant in size however long the clip.

    first: channel uses of the first group. total: by stream, and `feedback`. frames: so far. last: uses of the last
    BURST frames, a group's shared evenly among its frames. most: the largest sum of so many in a row.
    """

    frames: int = 0
    first: float = 0.0
    total: Mapping[str, int] = field(default_factory=dict)
    last: tuple[float, ...] = ()
    most: float = 0.0

    def after(self, frames: int, uses: Mapping[str, int], feedback: int = 0) -> Account:
        """With one more group."""
        group = {**uses, **({"feedback": feedback} if feedback else {})}
        spent = sum(group.values())
        total = {name: self.total.get(name, 0) + group.get(name, 0) for name in {**self.total, **group}}
        last, most = _windows(self.last, [spent / frames] * frames, self.most)
        return Account(self.frames + frames, self.first if self.frames else spent / frames, total, last, most)

    @property
    def uses(self) -> int:
        """All channel uses so far."""
        return sum(self.total.values())

    def rho(self, dimensions: int) -> float:
        """Channel uses per source dimension; dimensions: of a frame."""
        return self.uses / max(1, self.frames) / dimensions

    def split(self) -> dict[str, int]:
        """Channel uses by what they are for: anchors, packets, control, heads, feedback; of those that are there."""
        found: dict[str, int] = {}
        for name, uses in self.total.items():
            found[kind_of(name)] = found.get(kind_of(name), 0) + uses
        return found

    @property
    def peak(self) -> float:
        """The most that BURST frames in a row have spent, over the mean of so many; 1 for an even spender."""
        window = min(BURST, self.frames)
        return self.most / window / (self.uses / self.frames) if self.uses else 1.0

    @property
    def first_share(self) -> float:
        """Channel uses of the first frame, over the mean of a frame."""
        return self.first / (self.uses / self.frames) if self.uses else 1.0


def kind_of(stream: str) -> str:
    """What a stream of that name is for."""
    return next((kind for start, kind in KINDS.items() if stream.startswith(start)), REST)


def _windows(last: Sequence[float], new: Sequence[float], most: float) -> tuple[tuple[float, ...], float]:
    window = list(last)
    for uses in new:
        window = [*window, uses][-BURST:]
        most = max(most, sum(window))
    return tuple(window), most
