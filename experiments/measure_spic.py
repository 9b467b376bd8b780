"""Measure what `spic` makes of maps and coarse pictures of given sizes: the table by which it shares channel uses.

    python experiments/measure_spic.py --out codecs/tables/spic.json

On camvid-drives-val, a drive on which nothing was trained; the segmenter that scores has no part in the codec.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from semlink.simulator.study.cli import start


@dataclass(frozen=True)
class MeasureSpicFlags:
    """Measure mIoU and LPIPS by the sizes of map and coarse picture."""

    out: Path = Path("results/spic.json")
    """Table to write."""
    data: str = "camvid-drives-val"
    """Pictures of the kind that the network was trained on, but not these."""
    limit: int = 24
    """So many of them, spread over the set."""
    codec: str = "spic"
    """The codec's word."""
    threads: int = 0
    """Threads of torch; 0: as many as there are cores."""


def main(flags: MeasureSpicFlags) -> int:
    import torch

    from semlink.codecs._regions import pyramid, unet
    from semlink.codecs.spic.measuring import table
    from semlink.simulator.data import load
    from semlink.simulator.plugins import make_codec
    from semlink.simulator.words import parse

    if flags.threads:
        torch.set_num_threads(flags.threads)
    judge, pictures = pyramid.load(), [*load(flags.data, flags.limit)]
    with torch.no_grad():
        found = table(make_codec(parse(flags.codec), 1 / 48), pictures, lambda shown: unet.segment(judge, shown))
    flags.out.parent.mkdir(parents=True, exist_ok=True)
    flags.out.write_text(json.dumps(found) + "\n")
    print(f"{flags.out}: {len(pictures)} pictures")
    return 0


if __name__ == "__main__":
    start(main, MeasureSpicFlags())
