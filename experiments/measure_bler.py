"""Measure the block error rate of every scheme and block size over AWGN, and write simulator/bits/tables/bler.json.

`python experiments/measure_bler.py` takes about 15 minutes on one core; link adaptation reads its result.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from semlink.simulator.bits.information import GRID_DB, mutual_information
from semlink.simulator.bits.mcs import TABLE, Mcs
from semlink.simulator.engine import coding
from semlink.simulator.errors import SemlinkError
from semlink.simulator.rng import generator
from semlink.simulator.study.cli import start


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


LONG = 128  # symbols; curves of shorter blocks are told well by points a step apart
DEEP = 2.0  # widths above the centre, where 2 per cent of the blocks should be lost


def measure(mcs: Mcs, symbols: int, snr_db: float, blocks: int, settings: Settings) -> float:
    """Share of blocks whose CRC fails, or passes with wrong bits, at that Es/N0."""
    rng = generator("bler", settings.seed, mcs.name, symbols, round(snr_db, 3))
    sent = rng.integers(0, 256, (blocks, mcs.information_bytes(symbols)), dtype=np.uint8)
    x = coding.encode(sent, mcs, symbols)
    a = 1 / (1 + 10 ** (-snr_db / 10))
    noise = rng.standard_normal((*x.shape, 2)).view(np.complex128)[..., 0]
    x_hat = (a * x + np.sqrt(a * (1 - a) / 2) * noise).astype(np.complex64)
    found, ok = coding.decode(x_hat, np.full(x.shape, a, np.float32), mcs, symbols)
    return float(np.mean(~ok | (found != sent).any(1)))


def waterfall(mcs: Mcs, symbols: int, settings: Settings) -> dict[float, float]:
    """Points of the curve by SNR, from all blocks lost to none, begun where the mutual information meets the rate."""
    points: dict[float, float] = {}
    alone = float(np.interp(mcs.efficiency * mcs.repeat, mutual_information(mcs.order), GRID_DB))
    snr = alone - 10 * np.log10(mcs.repeat)
    while not points or points[max(points)] > 0.02 and len(points) < 20:
        points[round(snr, 3)] = measure(mcs, symbols, snr, settings.blocks, settings)
        snr += settings.step_db
    while points[min(points)] < 0.9 and len(points) < 30:
        lower = min(points) - settings.step_db
        points[round(lower, 3)] = measure(mcs, symbols, lower, settings.blocks, settings)
    return dict(sorted(points.items()))


def fit(points: Mapping[str, Mapping[str, float]]) -> dict[str, tuple[float, float]]:
    """Centre and width in dB of 0.5 erfc((snr - centre) / (sqrt(2) width)) by block size, of one scheme.

    Widths go as 1 / sqrt(symbols), as the dispersion of a finite block does (Polyanskiy, Poor and Verdu 2010), with one
    factor for all sizes: curves of long blocks fall between two points and do not tell their own (see `deepened`).
    """
    from scipy.optimize import curve_fit
    from scipy.special import erfc

    sizes = list(points)
    where = np.concatenate([np.full(len(points[size]), i) for i, size in enumerate(sizes)])
    snr = np.array([float(s) for size in sizes for s in points[size]])
    rates = np.array([rate for size in sizes for rate in points[size].values()])
    roots = np.sqrt([float(size) for size in sizes])

    def curve(x: np.ndarray, factor: float, *centres: float) -> np.ndarray:
        return 0.5 * erfc((x - np.asarray(centres)[where]) / (np.sqrt(2) * factor / roots[where]))

    own = [np.interp(-0.5, -rates[where == i], snr[where == i]) for i in range(len(sizes))]
    (factor, *centres), _ = curve_fit(curve, snr, rates, p0=(8.0, *own))
    pairs = zip(sizes, centres, factor / roots, strict=True)
    return {size: (round(float(centre), 3), round(float(width), 3)) for size, centre, width in pairs}


def deepened(curve: tuple[float, float], tail: tuple[float, float]) -> tuple[float, float]:
    """The curve with the width that a point (SNR, error rate) of its tail tells; it never gets narrower."""
    from scipy.special import erfcinv

    (centre, width), (snr, rate) = curve, tail
    deep = np.sqrt(2) * erfcinv(2 * min(rate, 0.4)) if rate else np.inf
    return centre, max(width, round(float((snr - centre) / deep), 3))


def main(settings: Settings) -> int:
    """Measure the shapes that the table does not hold yet; it is written after each, so a stopped run continues."""
    table = read(settings)
    shapes = [(m, s) for m in TABLE for s in m.block_sizes()]
    new = [(m, s) for m, s in shapes if str(s) not in table["points"].get(m.name, {})]
    for mcs, symbols in tqdm(new, desc="block error rates", unit="shape"):
        points = {str(snr): rate for snr, rate in waterfall(mcs, symbols, settings).items()}
        table["points"].setdefault(mcs.name, {})[str(symbols)] = points
        write(table, settings)
    table["waterfall"] = {m.name: fit(table["points"][m.name]) for m in TABLE}
    long = [(m, s) for m, s in shapes if s >= LONG and str(s) not in table["tails"].get(m.name, {})]
    for mcs, symbols in tqdm(long, desc="tails", unit="shape"):
        centre, width = table["waterfall"][mcs.name][str(symbols)]
        snr = round(centre + DEEP * width, 3)
        tail = snr, measure(mcs, symbols, snr, settings.tail_blocks, settings)
        table["tails"].setdefault(mcs.name, {})[str(symbols)] = tail
        write(table, settings)
    for name, tails in table["tails"].items():
        own = table["waterfall"][name]
        own |= {size: deepened(own[size], tail) for size, tail in tails.items()}
    write(table, settings)
    print(f"{len(new)} new shapes in {settings.out}")
    return 0


def read(settings: Settings) -> dict[str, Any]:
    """The table so far. SemlinkError when it was measured with other settings."""
    same = {"blocks": settings.blocks, "tail_blocks": settings.tail_blocks, "iterations": coding.ITERATIONS}
    empty: dict[str, Any] = {**same, "points": {}, "tails": {}, "waterfall": {}}
    table = json.loads(settings.out.read_text()) if settings.out.exists() else empty
    if any(table.get(key) != value for key, value in same.items()):
        raise SemlinkError(f"{settings.out} was measured with other settings; choose another --out")
    return table


def write(table: dict[str, Any], settings: Settings) -> None:
    """Leave the table."""
    settings.out.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    start(main, Settings())
