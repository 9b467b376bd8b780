"""Whole numbers that are mostly 0, on a grid of cells, as few bytes, without loss: range coded. Any bytes can be read.

Numbers are int `[planes, rows, columns]` within LIMIT. Odds follow what was told, for the first plane and the others
apart, by how many of a cell's neighbours and of its numbers in earlier planes are not 0.
"""

from __future__ import annotations

import numpy as np

from semlink.codecs.video._odds import EVEN, Odds, Tell, read, written

LIMIT = 31
FIRST = (24, 8)  # odds of 0 to another number, at first
STEP = 16  # by which odds follow what was told


def pack(numbers: np.ndarray) -> bytes:
    """Numbers as bytes. ValueError beyond LIMIT."""
    if np.abs(numbers).max(initial=0) > LIMIT:
        raise ValueError(f"numbers reach {np.abs(numbers).max()}, more than {LIMIT}")
    return written(numbers, Odds(FIRST, STEP), _walk)


def unpack(payload: bytes, planes: int, rows: int, columns: int) -> np.ndarray:
    """Numbers int `[planes, rows, columns]` of any bytes; what `pack` was given where they are its."""
    return read(payload, (planes, rows, columns), Odds(FIRST, STEP), _walk)


def _walk(numbers: np.ndarray, tell: Tell) -> None:
    """Tell all planes in raster order, and take down what is told."""
    busy = np.zeros((numbers.shape[1] + 1, numbers.shape[2] + 2), int)  # cells with a number in an earlier plane
    for plane, own in enumerate(numbers):
        near = np.zeros_like(busy)
        for row, column in np.ndindex(*own.shape):
            around = near[row + 1, column] + near[row, column + 1] + near[row, column + 2] + near[row, column]
            context = (min(plane, 1), min(int(around), 3), int(busy[row + 1, column + 1]))
            own[row, column] = _number(int(own[row, column]), context, tell)
            near[row + 1, column + 1] = own[row, column] != 0
        busy |= near


def _number(value: int, context: tuple[int, ...], tell: Tell) -> int:
    """Whether it is another than 0, its sign, and its size one by one."""
    if not tell(context, value != 0):
        return 0
    negative, size = tell(EVEN, value < 0), 1
    while size < LIMIT and tell((context[0], min(size, 6)), abs(value) > size):
        size += 1
    return -size if negative else size
