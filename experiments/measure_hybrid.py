"""Measure what `semlink`'s layouts give on training pictures; writes codecs/tables/semlink-quality.json.

The codec shares channel uses between base and analog symbols by it. `python experiments/measure_hybrid.py` takes about
half an hour on one core.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from semlink.simulator.study.cli import start


@dataclass(frozen=True)
class Settings:
    """Quality of hybrid layouts on training pictures."""

    data: str = "imagenet-256-train"
    """A training set of photographs, never a test set."""
    limit: int = 8
    """Pictures of it."""
    bpp: tuple[float, ...] = (0.004, 0.015, 0.04, 0.08, 0.15, 0.3, 0.6, 1.2, 2.4)
    """Budgets of their bases in bits per pixel."""
    small_data: str = "cifar10-train"
    """A training set of thumbnails."""
    small_limit: int = 80
    """Pictures of it."""
    small_bpp: tuple[float, ...] = (0.025, 0.05, 0.08, 0.12, 0.2, 0.3, 0.45, 0.7, 1.1, 1.7, 2.6)
    """Budgets of their bases."""
    weights: Path | None = None
    """Hybrid weights; default: the shipped ones."""
    out: Path = Path(__file__).parent.parent / "codecs" / "tables" / "semlink-quality.json"
    """The table to write."""


def main(settings: Settings) -> int:
    from semlink import codecs
    from semlink.codecs.semlink.hybrid.measuring import quality
    from semlink.simulator import data as sources
    from semlink.simulator.training.pictures import refuse_tests

    codec = codecs.create("semlink", hybrid=settings.weights)
    sets = {
        "natural": (settings.data, settings.limit, settings.bpp),
        "small": (settings.small_data, settings.small_limit, settings.small_bpp),
    }
    refuse_tests([data for data, _, _ in sets.values()])
    levels, data = {}, {}
    for kind, (name, limit, budgets) in sets.items():
        chosen = sources.load(name)
        pictures = chosen.batch(range(0, len(chosen), len(chosen) // limit)[:limit])
        levels[kind] = quality(codec.hybrid, codec, pictures, budgets, kind)
        data[kind] = {"data": name, "pictures": limit}
    settings.out.write_text(json.dumps({"quality": levels, "data": data}) + "\n")
    print(f"quality of layouts in {settings.out}")
    return 0


if __name__ == "__main__":
    start(main, Settings())
