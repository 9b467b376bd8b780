"""Measure PSNR against bits per pixel of the image coders on training pictures; writes codecs/tables/rate_quality.json.

The separated baselines choose their scheme by it. `python experiments/measure_rd.py` takes half an hour.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from semlink.simulator.study.cli import start


@dataclass(frozen=True)
class Settings:
    """Rate-quality curves of image coders on training pictures."""

    coders: tuple[str, ...] = ("hevc", "hevc444", "avif", "webp", "jpegxl", "jpeg2000", "jpeg")
    """Image coders to measure."""
    data: str = "imagenet-256-train"
    """A training set of photographs, never a test set."""
    limit: int = 24
    """Pictures of it."""
    bpp: tuple[float, ...] = (0.004, 0.008, 0.015, 0.025, 0.04, 0.08, 0.15, 0.3, 0.5, 0.8, 1.2, 1.8, 2.7, 4.0)
    """Budgets in bits per pixel."""
    small_data: str = "cifar10-train"
    """A training set of thumbnails."""
    small_limit: int = 100
    """Pictures of it."""
    small_bpp: tuple[float, ...] = (0.025, 0.08, 0.12, 0.2, 0.3, 0.45, 0.7, 1.1, 1.7, 2.6, 4.0)
    """Budgets of thumbnails."""
    out: Path = Path(__file__).parent.parent / "codecs" / "tables" / "rate_quality.json"
    """The table to write."""


def main(settings: Settings) -> int:
    from semlink.codecs._sources.measuring import curve
    from semlink.codecs._sources.separated import to_uint8
    from semlink.simulator import data
    from semlink.simulator.training.pictures import refuse_tests

    sets = {
        "natural": (settings.data, settings.limit, settings.bpp),
        "small": (settings.small_data, settings.small_limit, settings.small_bpp),
    }
    refuse_tests([data for data, _, _ in sets.values()])
    settings.out.parent.mkdir(exist_ok=True)
    known = json.loads(settings.out.read_text())["coders"] if settings.out.exists() else {}
    for kind, (name, limit, budgets) in sets.items():
        chosen = data.load(name)
        pictures = [to_uint8(p) for p in chosen.batch(range(0, len(chosen), len(chosen) // limit)[:limit])]
        for coder in settings.coders:
            found = {**curve(coder, pictures, budgets), "data": name, "pictures": limit}
            known.setdefault(kind, {})[coder] = found
            settings.out.write_text(json.dumps({"coders": known}, indent=1) + "\n")
    print(f"{', '.join(settings.coders)} in {settings.out}")
    return 0


if __name__ == "__main__":
    start(main, Settings())
