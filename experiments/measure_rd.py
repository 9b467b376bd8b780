"""Measure PSNR against bits per pixel of the image coders on training pictures; writes codecs/tables/rate_quality.json.

The separated baselines choose their scheme by it. `python experiments/measure_rd.py` takes about 5 minutes on one core.
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
    """A training set, never a test set."""
    limit: int = 24
    """Pictures."""
    bpp: tuple[float, ...] = (0.04, 0.08, 0.15, 0.3, 0.5, 0.8, 1.2, 1.8, 2.7, 4.0)
    """Budgets in bits per pixel."""
    out: Path = Path(__file__).parent.parent / "codecs" / "tables" / "rate_quality.json"
    """The table to write."""


def main(settings: Settings) -> int:
    from semlink.codecs._sources.measuring import curve
    from semlink.codecs._sources.separated import to_uint8
    from semlink.simulator import data

    pictures = [to_uint8(p) for p in data.load(settings.data, limit=settings.limit)]
    settings.out.parent.mkdir(exist_ok=True)
    known = json.loads(settings.out.read_text())["coders"] if settings.out.exists() else {}
    for name in settings.coders:
        known[name] = {**curve(name, pictures, settings.bpp), "data": settings.data, "pictures": len(pictures)}
        settings.out.write_text(json.dumps({"coders": known}, indent=1) + "\n")
    print(f"{', '.join(known)} in {settings.out}")
    return 0


if __name__ == "__main__":
    start(main, Settings())
