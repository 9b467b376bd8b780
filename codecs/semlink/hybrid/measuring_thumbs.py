"""Statistics of the DCT coefficients of thumbnails, and quantisers for them: the table of `thumbs`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from semlink.codecs.semlink.hybrid.thumbs import coefficients

BITS = 7  # of the finest quantiser
REACH, POINTS, ROUNDS = 12.0, 40001, 4000  # of the numerical Lloyd iteration, in standard deviations


def table(pictures: Sequence[np.ndarray]) -> dict[str, Any]:
    """Means, variances, and positive levels and remaining error of the quantiser of each number of bits.

    pictures: uint8 `[H, W, 3]` of one size.
    """
    means, variances = moments(pictures)
    quantisers = [lloyd_max(2**bits) for bits in range(1, BITS + 1)]
    return {
        "means": [float(f"{m / np.sqrt(means[0].size):.4g}") for m in means[:, 0, 0]],
        "variances": [[[float(f"{v:.4g}") for v in row] for row in plane] for plane in variances],
        "levels": [[round(float(v), 5) for v in half] for half, _ in quantisers],
        "left": [float(f"{left:.4g}") for _, left in quantisers],
    }


def moments(pictures: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of the coefficients, `[3, H, W]` each; means but of the constant ones count as 0."""
    first = second = np.zeros(1)
    for picture in pictures:
        found = coefficients(picture)
        first, second = first + found / len(pictures), second + found**2 / len(pictures)
    means = np.zeros_like(first)
    means[:, 0, 0] = first[:, 0, 0]
    return means, second - means**2


def lloyd_max(count: int) -> tuple[np.ndarray, float]:
    """Positive levels of the Lloyd-Max quantiser of a Laplacian of unit variance, `count` in all, and its error."""
    x = np.linspace(0, REACH, POINTS)  # it is symmetric, with an edge at 0
    p = np.exp(-np.sqrt(2) * x)
    p /= p.sum()
    levels = -np.log(1 - (np.arange(count // 2) + 0.5) / (count // 2)) * 1.5 / np.sqrt(2)
    mass, moment = np.concatenate([[0], np.cumsum(p)]), np.concatenate([[0], np.cumsum(p * x)])
    for _ in range(ROUNDS):
        edges = np.searchsorted(x, (levels[1:] + levels[:-1]) / 2)
        ends = np.concatenate([[0], edges, [len(x)]])
        levels = np.diff(moment[ends]) / np.maximum(np.diff(mass[ends]), 1e-300)
    nearest = levels[np.searchsorted((levels[1:] + levels[:-1]) / 2, x)]
    return levels, float((p * (x - nearest) ** 2).sum() / (p * x**2).sum())
