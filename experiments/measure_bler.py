"""Measure the block error rate of every scheme and block size over AWGN, and write simulator/bits/tables/bler.json.

`python experiments/measure_bler.py` takes about 15 minutes on one core; link adaptation reads its result.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from semlink.simulator.errors import SemlinkError
from semlink.simulator.study.cli import start

if TYPE_CHECKING:  # --help needs no NumPy
    from semlink.simulator.bits.mcs import Mcs

LONG = 128  # symbols; curves of shorter blocks are told well by points a step apart
DEEP = 2.0  # widths above the centre, where 2 per cent of the blocks should be lost


@dataclass(frozen=True)
class Settings:
    """Block error rates of all schemes over AWGN, measured through the simulator's own encoder and decoder."""

    blocks: int = 128
    """Code blocks per point."""
    step_db: float = 0.4
    """Distance of the points in dB."""
    tail_blocks: int = 1024
    """Code blocks of the point that tells how long a long block's curve is below."""
    seed: int = 0
    """Seed of bits and noise."""
    out: Path = Path(__file__).parent.parent / "simulator" / "bits" / "tables" / "bler.json"
    """The table to write; shapes that it holds are kept."""


def main(settings: Settings) -> int:
    """Measure the shapes that the table does not hold yet; it is written after each, so a stopped run continues."""
    from semlink.simulator.bits.mcs import TABLE
    from semlink.simulator.bits.waterfalls import deepened, fit

    table = read(settings)
    new = missing(table["points"])
    measure_points(new, table, settings)
    table["waterfall"] = {m.name: fit(table["points"][m.name]) for m in TABLE}
    measure_tails([(m, s) for m, s in missing(table["tails"]) if s >= LONG], table, settings)
    for name, tails in table["tails"].items():
        own = table["waterfall"][name]
        own |= {size: deepened(own[size], tail) for size, tail in tails.items()}
    write(table, settings)
    print(f"{len(new)} new shapes in {settings.out}")
    return 0


def missing(measured: dict[str, Any]) -> list[tuple[Mcs, int]]:
    """Schemes and sizes of blocks that a part of the table lacks."""
    from semlink.simulator.bits.mcs import TABLE

    return [(m, s) for m in TABLE for s in m.block_sizes() if str(s) not in measured.get(m.name, {})]


def measure_points(shapes: list[tuple[Mcs, int]], table: dict[str, Any], settings: Settings) -> None:
    """Points of the curves of shapes."""
    from semlink.simulator.engine.block_errors import waterfall

    for mcs, symbols in tqdm(shapes, desc="block error rates", unit="shape"):
        found = waterfall(mcs, symbols, settings.step_db, settings.blocks, settings.seed)
        points = {str(snr): rate for snr, rate in found.items()}
        table["points"].setdefault(mcs.name, {})[str(symbols)] = points
        write(table, settings)


def measure_tails(shapes: list[tuple[Mcs, int]], table: dict[str, Any], settings: Settings) -> None:
    """A point below the curves of shapes, where few blocks are lost."""
    from semlink.simulator.engine.block_errors import measure

    for mcs, symbols in tqdm(shapes, desc="tails", unit="shape"):
        centre, width = table["waterfall"][mcs.name][str(symbols)]
        snr = round(centre + DEEP * width, 3)
        tail = snr, measure(mcs, symbols, snr, settings.tail_blocks, settings.seed)
        table["tails"].setdefault(mcs.name, {})[str(symbols)] = tail
        write(table, settings)


def read(settings: Settings) -> dict[str, Any]:
    """The table so far. SemlinkError when it was measured with other settings."""
    from semlink.simulator.engine.coding import ITERATIONS
    from semlink.simulator.files import read_json

    same = {"blocks": settings.blocks, "tail_blocks": settings.tail_blocks, "iterations": ITERATIONS}
    empty: dict[str, Any] = {**same, "points": {}, "tails": {}, "waterfall": {}}
    wrong = "no table of block error rates; choose another --out"
    table = read_json(settings.out, wrong) if settings.out.exists() else empty
    if not isinstance(table, dict) or any(table.get(key) != value for key, value in same.items()):
        raise SemlinkError(f"{settings.out} was measured with other settings; choose another --out")
    return table


def write(table: dict[str, Any], settings: Settings) -> None:
    """Leave the table."""
    settings.out.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    start(main, Settings())
