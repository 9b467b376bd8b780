"""Measure what bases of thumbnails are quantised by, on training pictures; writes codecs/tables/semlink-thumbs.json."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from semlink.simulator.study.cli import start


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
    from semlink.codecs.semlink.hybrid.measuring_thumbs import table
    from semlink.simulator import data as sources
    from semlink.simulator.training.pictures import refuse_tests

    refuse_tests([settings.data])
    pictures = [to_uint8(picture) for picture in sources.load(settings.data, limit=settings.limit)]
    found = {**table(pictures), "data": settings.data, "pictures": len(pictures)}
    settings.out.write_text(json.dumps(found) + "\n")
    print(f"{settings.out}: error left by bits {found['left']}")
    return 0


if __name__ == "__main__":
    start(main, Settings())
