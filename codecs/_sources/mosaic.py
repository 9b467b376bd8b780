"""A small picture made of pieces of a large one, on which quick trials tell what the large one would do."""

from __future__ import annotations

import numpy as np

LARGE = 1 << 19  # pixels; of more, trials are made on a mosaic
TILE = 128  # px, whole coding blocks at every step of the ladder
ACROSS = 5  # tiles in a row


def mosaic(image: np.ndarray, across: int = ACROSS) -> np.ndarray:
    """Evenly spread tiles of a picture `[H, W, C]`, at most `across` of TILE px in a row and column; all of a side
    that is not long enough for two."""
    rows, columns = (_starts(side, across) for side in image.shape[:2])
    high, wide = (TILE if len(starts) > 1 else side for side, starts in zip(image.shape, (rows, columns), strict=False))
    strips = [np.concatenate([image[y : y + high, x : x + wide] for x in columns], axis=1) for y in rows]
    return np.ascontiguousarray(np.concatenate(strips))


def _starts(side: int, across: int) -> np.ndarray:
    """Where tiles begin."""
    count = min(across, side // TILE)
    if count < 2:
        return np.zeros(1, int)
    return np.linspace(0, side - TILE, count).round().astype(int)
