"""Measure what bases of thumbnails are quantised by, on training pictures; writes codecs/tables/semlink-thumbs.json."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from semlink.simulator.study.cli import start

BITS = 7  # of the finest quantiser
REACH, POINTS, ROUNDS = 12.0, 40001, 4000  # of the numerical Lloyd iteration, in standard deviations


@dataclass(frozen=True)
class Settings:
    """Variances of DCT coefficients of thumbnails, and quantisers for them."""

    data: str = "cifar10-train"
    """A training set of thumbnails of one size, never a test set."""
    limit: int = 20000
    """Pictures of it."""
    out: Path = Path(__file__).parent.parent / "codecs" / "tables" / "semlink-thumbs.json"
    """The table to write."""


def main(settings: Settings) -> int:
    from semlink.codecs._sources.separated import to_uint8
    from semlink.codecs.semlink.hybrid.thumbs import coefficients
    from semlink.simulator import data as sources
    from semlink.simulator.training.pictures import refuse_tests

    refuse_tests([settings.data])
    pictures = sources.load(settings.data, limit=settings.limit)
    first = second = np.zeros(1)
    for picture in pictures:
        found = coefficients(to_uint8(picture))
        first, second = first + found / len(pictures), second + found**2 / len(pictures)
    means = np.zeros_like(first)
    means[:, 0, 0] = first[:, 0, 0]
    quantisers = [lloyd_max(2**bits) for bits in range(1, BITS + 1)]
    table = {
        "means": [float(f"{m / np.sqrt(first[0].size):.4g}") for m in means[:, 0, 0]],
        "variances": [[[float(f"{v:.4g}") for v in row] for row in plane] for plane in second - means**2],
        "levels": [[round(float(v), 5) for v in half] for half, _ in quantisers],
        "left": [float(f"{left:.4g}") for _, left in quantisers],
        "data": settings.data,
        "pictures": len(pictures),
    }
    settings.out.write_text(json.dumps(table) + "\n")
    print(f"{settings.out}: error left by bits {table['left']}")
    return 0


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


if __name__ == "__main__":
    start(main, Settings())
