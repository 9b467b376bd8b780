"""Maps as few bytes, without loss: each cell is guessed from those told before it and from an older map, range coded.

A map is uint8 `[rows, columns]` of numbers below 8. What a cell may be is asked in an order: the older map's number
there, then those beside it; how likely each answer is, is known from maps of training clips and follows the map at
hand. Any bytes can be read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from semlink.codecs._sources.range_coder import RangeDecoder, RangeEncoder

NUMBERS = 8
ALONE, VOTES = 8, 4  # contexts of the first guess without an older map; of later guesses, by how many agree
WITH = 64  # contexts of the first guess with an older map
WEIGHT, STEP, MOST = 64, 3, 512  # of the usual odds, by which they follow, and at most
# chance of yes, in 64ths, by context: the first guess with an older map, without, and later guesses, second to fourth
_USUAL = [
    *(11, 25, 28, 37, 28, 36, 34, 47, 29, 34, 36, 45, 45, 53, 51, 56, 11, 36, 32, 51, 29, 49, 36, 53, 35, 46, 38, 57),
    *(49, 59, 53, 61, 10, 30, 38, 47, 32, 37, 45, 59, 29, 38, 46, 51, 48, 54, 58, 61, 8, 39, 41, 57, 32, 50, 53, 61),
    *(34, 53, 48, 60, 49, 61, 61, 63),
    *(24, 37, 22, 52, 33, 45, 34, 59),
    *(31, 42, 47, 32, 25, 34, 32, 32, 27, 32, 32, 32, 28, 36, 47, 58, 29, 38, 44, 50, 29, 37, 42, 58),
]

Tell = Callable[[int, bool], bool]  # context and, when packing, what is so: what is so


def pack(labels: np.ndarray, before: np.ndarray | None = None) -> bytes:
    """A map as bytes; before: an older one of that size, which the reader has too. ValueError for numbers beyond 7."""
    if labels.max(initial=0) >= NUMBERS:
        raise ValueError(f"a map with number {labels.max()}, of {NUMBERS}")
    coder = RangeEncoder()
    _walk(labels.tolist(), before, _following(lambda so, zero, one: coder.code(int(so), zero, one)))
    return coder.finish()


def unpack(payload: bytes, rows: int, columns: int, before: np.ndarray | None = None) -> np.ndarray:
    """The map of any bytes; what `pack` was given where they are its."""
    coder = RangeDecoder(payload)
    found = [[0] * columns for _ in range(rows)]
    _walk(found, before, _following(lambda so, zero, one: coder.code(zero, one)))
    return np.array(found, np.uint8)


def _following(code: Callable[[bool, int, int], int]) -> Tell:
    """Answers with odds that follow them; a context below 0 has fixed odds of 1 to -context against it."""
    odds = [[WEIGHT - yes, yes] for yes in _USUAL]

    def tell(context: int, so: bool) -> bool:
        if context < 0:
            return bool(code(so, -context, 1))
        own = odds[context]
        answer = code(so, own[0], own[1])
        own[answer] += STEP
        if own[0] + own[1] > MOST:
            own[:] = [max(1, count // 2) for count in own]
        return bool(answer)

    return tell


def _walk(cells: list[list[int]], before: np.ndarray | None, tell: Tell) -> None:
    """Tell all cells in raster order, and take down what is told."""
    old = None if before is None else np.pad(before, 1, mode="edge").tolist()
    for r, row in enumerate(cells):
        above = cells[r - 1] if r else None
        for c, number in enumerate(row):
            near = _near(row, above, c)
            if old is None:
                context = WITH + (near[1] == near[0]) + 2 * (near[2] == near[1]) + 4 * (near[3] == near[1])
                around: tuple[int, ...] = near
            else:
                there = old[r + 1]
                own, left, right, up, down = there[c + 1], there[c], there[c + 2], old[r][c + 1], old[r + 2][c + 1]
                context = (
                    (near[0] == own)
                    + 2 * (near[1] == own)
                    + 4 * (near[0] == left)
                    + 8 * (near[1] == up)
                    + 16 * (right == own)
                    + 32 * (down == own)
                )
                around = (own, *near, right, down)
            row[c] = _guessed(number, around, context, old is not None, tell)


def _near(row: list[int], above: list[int] | None, c: int) -> tuple[int, int, int, int]:
    """Left, above, above right, above left, as far as there are; the nearest in their place, 0 where nothing is."""
    if above is None:
        return (row[c - 1],) * 4 if c else (0, 0, 0, 0)
    up = above[c]
    left = row[c - 1] if c else up
    return left, up, above[c + 1] if c + 1 < len(above) else up, above[c - 1] if c else up


def _guessed(number: int, around: tuple[int, ...], context: int, with_old: bool, tell: Tell) -> int:
    """Ask for each number that is around, the nearest first, then for all others alike."""
    asked = list(dict.fromkeys(around))
    for place, guess in enumerate(asked):
        if place:
            votes = min(around.count(guess), VOTES) - 1
            context = WITH + ALONE + VOTES * (min(place, 3) - 1 + 3 * with_old) + votes
        if tell(context, guess == number):
            return guess
    others = [other for other in range(NUMBERS) if other not in asked]
    for left, guess in zip(range(len(others) - 1, -1, -1), others, strict=True):
        if not left or tell(-left, guess == number):
            return guess
    return asked[-1]  # bytes that `pack` never makes


def contexts(labels: np.ndarray, before: np.ndarray | None = None) -> Iterator[tuple[int, bool]]:
    """Every question with odds of its own, and its answer: what the usual odds are counted from."""
    told: list[tuple[int, bool]] = []
    _walk(labels.tolist(), before, lambda context, so: told.append((context, so)) or so)  # type: ignore[func-returns-value]
    return ((context, so) for context, so in told if context >= 0)
