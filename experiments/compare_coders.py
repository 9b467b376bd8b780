"""Image coders at few bytes, each with the down-scaling ladder: PSNR, and paired differences to HEVC.

Writes coders.csv and the table of docs/results/photographs.md. What is measured is the source coder of the separated
baseline on test pictures; schemes are chosen by the curves of `measure_rd`, on training ones.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from semlink.simulator.errors import SemlinkError
from semlink.simulator.study import cli
from semlink.simulator.study.markdown import rewrite, table

ROOT = Path(__file__).parent.parent
COLUMNS = ("data", "size", "coder", "bytes", "psnr", "psnr_minus_first", "half_95", "pictures")


@dataclass(frozen=True)
class CompareCodersFlags:
    """PSNR of image coders with the ladder at few bytes, on pictures of two sizes."""

    coders: tuple[str, ...] = ("hevc", "jpegxl", "avif", "webp")
    """Image coders; differences are to the first."""
    data: tuple[str, ...] = ("imagenet-256", "photos48")
    """Sets of pictures of one size."""
    limit: int = 8
    """Pictures of each, spread over the set."""
    bytes: tuple[int, ...] = (300, 600, 1200, 2400, 4800)
    """Bytes for a picture."""
    out: Path = ROOT / "results" / "reference" / "coders"
    """Folder of coders.csv."""
    docs: Path = ROOT / "docs" / "results"
    """Folder of the page whose table is written anew."""


def main(flags: CompareCodersFlags) -> int:
    from semlink.simulator.files import write_table

    if not flags.coders:
        raise SemlinkError("no coders; give --coders hevc avif")
    lines = [line for name in flags.data for line in of_set(name, flags)]
    flags.out.mkdir(parents=True, exist_ok=True)
    write_table(flags.out / "coders.csv", COLUMNS, lines)
    written = rewrite(flags.docs, {"coders": coders_table(flags.out / "coders.csv")})
    print(f"{flags.out / 'coders.csv'}; changed pages: {', '.join(path.name for path in written) or 'none'}")
    return 0


def of_set(name: str, flags: CompareCodersFlags) -> Iterator[tuple[object, ...]]:
    """Lines of coders.csv on one set."""
    from semlink.codecs._sources.measuring import levels
    from semlink.codecs._sources.separated import to_uint8
    from semlink.simulator import data
    from semlink.simulator.analysis.statistics import mean_interval

    chosen = data.load(name, limit=flags.limit)
    pictures = [to_uint8(chosen.batch([place])[0]) for place in range(len(chosen))]
    size = "x".join(map(str, pictures[0].shape[1::-1]))
    found = {coder: levels(coder, pictures, flags.bytes) for coder in flags.coders}
    for coder, own in found.items():
        for place, count in enumerate(flags.bytes):
            minus = mean_interval((own - found[flags.coders[0]])[:, place])
            mean = float(own[:, place].mean())
            yield name, size, coder, count, mean, minus.mean, minus.high - minus.mean, len(pictures)


def coders_table(path: Path) -> str:
    """A Markdown table: PSNR of the first coder of each set, and the others' differences to it."""
    with open(path, newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    counts = sorted({int(x["bytes"]) for x in lines})
    rows = []
    for name, coder in dict.fromkeys((x["data"], x["coder"]) for x in lines):
        own = {int(x["bytes"]): x for x in lines if (x["data"], x["coder"]) == (name, coder)}
        first = next(x["coder"] for x in lines if x["data"] == name)
        label = f"{name}, {next(iter(own.values()))['size']} px" if coder == first else ""
        told = coder if coder == first else f"{coder} minus {first}"
        rows.append((label, told, *cells(own, counts, coder == first)))
    return table(("PSNR, dB", "coder", *(f"{count} bytes" for count in counts)), rows)


def cells(own: Mapping[int, Mapping[str, str]], counts: Sequence[int], first: bool) -> list[str]:
    """A coder's levels by bytes, or its paired differences with half-widths of their 95 % intervals."""
    if first:
        return [f"{float(own[count]['psnr']):.2f}" for count in counts]
    return [f"{float(own[c]['psnr_minus_first']):+.2f} ± {float(own[c]['half_95']):.2f}" for c in counts]


if __name__ == "__main__":
    cli.start(main, CompareCodersFlags())
