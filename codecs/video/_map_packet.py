"""What `semmap` tells of a frame beside its key frame: which scene it is of, how that has moved, and its map."""

from __future__ import annotations

from dataclasses import dataclass

from semlink.codecs.video._offers import HOLD, MODES

NUMBERS, SCENES = 16, 8  # of frames and of scenes, in turn
ALONE, WITH_KEY, WITH_LAST, NO_MAP = range(4)  # what a map is told from
CELLS = (4, 8, 16, 32)  # px
PALETTE = 16  # bytes
MOST_MOTION = 255  # bytes


@dataclass(frozen=True)
class Note:
    """number: of the frame. scene: its number. street: whether classes are a street's. mode, motion: of the key frame.

    origin: ALONE, WITH_KEY, WITH_LAST or NO_MAP. cell: px of a cell. labels: the map as bytes. palette: of a scene that
    begins with this frame, else empty; then cut: whether nothing goes on from before, and step: of the uses of the key
    frame, 0 for none.
    """

    number: int
    scene: int
    street: bool
    origin: int
    cell: int
    labels: bytes
    mode: int = HOLD
    motion: bytes = b""
    palette: bytes = b""
    cut: bool = False
    step: int = 0

    def pack(self) -> bytes:
        """As bytes: two, then palette and step or motion with its length, then the map."""
        begins = bool(self.palette)
        first = self.number % NUMBERS << 4 | begins << 3 | (self.cut if begins else self.mode)
        second = self.scene % SCENES << 5 | self.origin << 3 | CELLS.index(self.cell) << 1 | self.street
        told = bytes([self.step]) + self.palette if begins else b""
        motion = bytes([len(self.motion)]) + self.motion if not begins and self.mode != HOLD else b""
        return bytes([first, second]) + told + motion + self.labels


def unpack(data: bytes) -> Note | None:
    """The note of any bytes; None for those that `pack` never makes."""
    if len(data) < 2:
        return None
    first, second, rest = data[0], data[1], data[2:]
    low = first & 7
    known = (first >> 4, second >> 5, bool(second & 1), second >> 3 & 3, CELLS[second >> 1 & 3])
    if first & 8:
        if len(rest) < 1 + PALETTE or low > 1:
            return None
        return Note(*known, rest[1 + PALETTE :], palette=rest[1 : 1 + PALETTE], cut=bool(low), step=rest[0])
    if low >= MODES or (low != HOLD and (not rest or len(rest) <= rest[0])):
        return None
    if low == HOLD:
        return Note(*known, rest)
    return Note(*known, rest[1 + rest[0] :], low, rest[1 : 1 + rest[0]])
