"""Masks of cells as few bytes, without loss: a range coder with contexts, or the bare bitmap where that is shorter.

The context of a cell is what of its surroundings was coded before it; its odds start from what is usual for regions of
interest and follow the mask at hand. A payload as long as the bitmap is the bitmap; an empty mask takes no byte. Any
bytes can be unpacked: those that `pack` never makes give None.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from semlink.codecs._sources.range_coder import RangeDecoder, RangeEncoder
from semlink.simulator.bits import framing
from semlink.simulator.bits.mcs import PROTECTION, get
from semlink.simulator.errors import SemlinkError

NEIGHBOURS = ((0, -1), (-1, 0), (-1, -1), (-1, 1), (0, -2), (-2, 0))  # (row, column), nearest first
OVERHEAD = 0.021  # of a picture's uses, at most, for its mask: 256 of the 12,288 of 256x192 px at rho 1/12
LEAST = 128  # uses of a mask: 5 bytes, the bitmap of 40 cells
_WEIGHT, _STEP = 48, 2  # of the usual odds, and of a cell of the mask at hand
# chance of 1, in 48ths, by context (bit i: neighbour i): boxes, ellipses, blobs and label masks of CamVid frames
_USUAL = """
1 36 34 45 1 10 13 46 5 38 40 47 1 9 18 47
4 30 40 46 1 12 11 46 8 34 44 47 2 12 31 46
1 31 11 43 1 4 3 40 1 8 27 47 1 24 9 46
1 29 24 43 1 4 7 42 2 12 26 41 4 11 18 46
"""
_ODDS = tuple((_WEIGHT - ones, ones) for ones in map(int, _USUAL.split()))

Code = Callable[[int, int], int]


def reserved(uses: int) -> int:
    """Channel uses that the mask gets out of a picture's `uses`: one code block of about 2 %, but at least 128.

    One block, not what fills the 2 % best: at -2 dB a mask in blocks of 128 and 64 is lost in 43 % of the pictures, one
    in a block of 256 in 11 %, and it has 13 bytes in place of 7. SemlinkError for a picture of fewer than 256 uses.
    """
    if uses < 2 * LEAST:
        raise SemlinkError(f"a picture of {uses} channel uses is too small for a mask; it needs {2 * LEAST}")
    fitting = framing.blocks_in(int(OVERHEAD * uses), get(PROTECTION["robust"]))
    return max((LEAST, *fitting[:1]))


def room(uses: int) -> int:
    """Payload bytes of a mask stream of that many uses."""
    return framing.room(uses, get(PROTECTION["robust"]))


def fitted(mask: Tensor, size: int) -> Tensor:
    """The mask bool `[rows, columns]`, closed (morphologically) as little as needed to be packed into `size` bytes.

    No cell of interest is lost; in the worst case all cells are of interest.
    """
    if len(pack(mask)) <= size:
        return mask
    radius = 1
    while len(pack(closed := _closing(mask, radius))) > size and not bool(closed.all()):
        radius += 1
    return closed


def pack(mask: Tensor) -> bytes:
    """A mask bool `[rows, columns]` as at most ceil(rows columns / 8) bytes."""
    bitmap = _bitmap(mask)
    coded = _encode(mask)
    return coded if len(coded) < len(bitmap) else bitmap


def unpack(payload: bytes | None, rows: int, columns: int) -> Tensor | None:
    """The mask bool `[rows, columns]`; None for a lost payload (None) or one that `pack` never makes."""
    size = -(-rows * columns // 8)
    if payload is None or len(payload) > size:
        return None
    mask = _from_bitmap(payload, rows, columns) if len(payload) == size else _decode(payload, rows, columns)
    return mask if pack(mask) == payload else None


def _closing(mask: Tensor, radius: int) -> Tensor:
    """Dilated, then eroded, by squares; what lies outside the picture counts as of interest in the erosion."""
    side = 2 * radius + 1
    grown = F.max_pool2d(mask[None].float(), side, 1, radius)
    return (F.max_pool2d(-grown, side, 1, radius) < 0)[0]


def _bitmap(mask: Tensor) -> bytes:
    bits = mask.flatten().tolist()
    rows = [bits[i : i + 8] for i in range(0, len(bits), 8)]
    return bytes(sum(bit << place for place, bit in enumerate(row)) for row in rows)


def _from_bitmap(payload: bytes, rows: int, columns: int) -> Tensor:
    bits = [byte >> place & 1 for byte in payload for place in range(8)]
    return torch.tensor(bits[: rows * columns], dtype=torch.bool).reshape(rows, columns)


def _walk(rows: int, columns: int, code: Code) -> list[list[int]]:
    """The cells in raster order as `code` tells them; it is given the odds of 0 and 1, which follow what it tells."""
    odds = [list(pair) for pair in _ODDS]
    grid = [[0] * (columns + 3) for _ in range(rows + 2)]  # two cells of border above and left, one right
    for r in range(2, rows + 2):
        for c in range(2, columns + 2):
            context = sum(grid[r + dr][c + dc] << place for place, (dr, dc) in enumerate(NEIGHBOURS))
            grid[r][c] = bit = code(*odds[context])
            odds[context][bit] += _STEP
    return [row[2:-1] for row in grid[2:]]


def _encode(mask: Tensor) -> bytes:
    bits, coder = iter(mask.flatten().tolist()), RangeEncoder()
    _walk(mask.shape[0], mask.shape[1], lambda zero, one: coder.code(int(next(bits)), zero, one))
    return coder.finish()


def _decode(payload: bytes, rows: int, columns: int) -> Tensor:
    """Inverse of `_encode`; some mask for any bytes."""
    return torch.tensor(_walk(rows, columns, RangeDecoder(payload).code), dtype=torch.bool)
