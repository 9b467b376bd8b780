"""Motion of blocks as few bytes, without loss: half pixels, each against the median of its neighbours, range coded.

Flow is whole numbers of half pixels, int `[2, rows, columns]` (rows, columns), within LIMIT. Any bytes can be read.
"""

from __future__ import annotations

import numpy as np

from semlink.codecs.video._odds import EVEN, Odds, Tell, read, written

LIMIT = 255  # half pixels
CALM, BUSY = 1, 4  # by how much neighbours differ in all, at most, for the contexts "alike" and "nearly"
LENGTHS = 3  # first context of the number of digits
DIGITS = (2 * LIMIT).bit_length()
STEP = 8  # by which odds follow what was told


def pack(flow: np.ndarray) -> bytes:
    """Flow as bytes. ValueError beyond LIMIT."""
    if np.abs(flow).max(initial=0) > LIMIT:
        raise ValueError(f"flow reaches {np.abs(flow).max()} half pixels, more than {LIMIT}")
    return written(flow, Odds((STEP, STEP), STEP), _walk)


def unpack(payload: bytes, rows: int, columns: int) -> np.ndarray:
    """Flow int16 `[2, rows, columns]` of any bytes; what `pack` was given where they are its."""
    return read(payload, (2, rows, columns), Odds((STEP, STEP), STEP), _walk).astype(np.int16)


def _walk(flow: np.ndarray, tell: Tell) -> None:
    """Tell both components in raster order, and take down what is told."""
    for component in flow:
        for row, column in np.ndindex(*component.shape):
            near = _neighbours(component, row, column)
            expected, spread = sorted(near)[1], max(near) - min(near)
            context = 0 if spread <= CALM else 1 if spread <= BUSY else 2
            told = expected + _difference(int(component[row, column]) - expected, context, tell)
            component[row, column] = min(max(told, -LIMIT), LIMIT)


def _neighbours(component: np.ndarray, row: int, column: int) -> tuple[int, int, int]:
    """Left, above, above right, as far as there are; 0 where nothing is."""
    left = int(component[row, column - 1]) if column else None
    above = int(component[row - 1, column]) if row else None
    beside = int(component[row - 1, column + 1]) if row and column + 1 < component.shape[1] else above
    first = next((value for value in (left, above) if value is not None), 0)
    return tuple(first if value is None else value for value in (left, above, beside))  # type: ignore[return-value]


def _difference(value: int, context: int, tell: Tell) -> int:
    """Whether it is 0, its sign, how many digits its size has, and those behind the first."""
    if tell(context, value == 0):
        return 0
    negative, size, digits = tell(EVEN, value < 0), abs(value), 1
    while digits < DIGITS and tell(LENGTHS + digits, size.bit_length() > digits):
        digits += 1
    found = 1
    for place in range(digits - 2, -1, -1):
        found = 2 * found + tell(EVEN, bool(size >> place & 1))
    return -found if negative else found
