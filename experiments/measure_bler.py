"""Measure the block error rate of every scheme and block size over AWGN, and write simulator/tables/bler.json.

`python experiments/measure_bler.py` takes about 15 minutes on one core; link adaptation reads its result.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from semlink.simulator.cli import start
from semlink.simulator.engine import coding
from semlink.simulator.errors import SemlinkError
from semlink.simulator.information import GRID_DB, mutual_information
from semlink.simulator.mcs import TABLE, Mcs
from semlink.simulator.rng import generator


@dataclass(frozen=True)
class Settings:
    """Block error rates of all schemes over AWGN, measured through the simulator's own encoder and decoder."""

    blocks: int = 128
    """Code blocks per point."""
    step_db: float = 0.4
    """Distance of the points in dB."""
    seed: int = 0
    """Seed of bits and noise."""
    out: Path = Path(__file__).parent.parent / "simulator" / "tables" / "bler.json"
    """The table to write; shapes that it holds are kept."""


def measure(mcs: Mcs, symbols: int, snr_db: float, settings: Settings) -> float:
    """Share of blocks whose CRC fails, or passes with wrong bits, at that Es/N0."""
    rng = generator("bler", settings.seed, mcs.name, symbols, round(snr_db, 3))
    sent = rng.integers(0, 256, (settings.blocks, mcs.information_bytes(symbols)), dtype=np.uint8)
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
        points[round(snr, 3)] = measure(mcs, symbols, snr, settings)
        snr += settings.step_db
    while points[min(points)] < 0.9 and len(points) < 30:
        lower = min(points) - settings.step_db
        points[round(lower, 3)] = measure(mcs, symbols, lower, settings)
    return dict(sorted(points.items()))


def fit(points: dict[float, float]) -> tuple[float, float]:
    """Centre and width in dB of 0.5 erfc((snr - centre) / (sqrt(2) width))."""
    from scipy.optimize import curve_fit
    from scipy.special import erfc

    snr, rate = np.array(list(points)), np.array(list(points.values()))
    curve = lambda s, centre, width: 0.5 * erfc((s - centre) / (np.sqrt(2) * width))  # noqa: E731
    start = (float(np.interp(-0.5, -rate, snr)), 0.3)
    (centre, width), _ = curve_fit(curve, snr, rate, p0=start, bounds=([-30, 0.03], [60, 5]))
    return round(float(centre), 3), round(float(width), 3)


def main(settings: Settings) -> int:
    """Measure the shapes that the table does not hold yet; it is written after each, so a stopped run continues."""
    empty: dict[str, Any] = {"blocks": settings.blocks, "iterations": coding.ITERATIONS, "points": {}, "waterfall": {}}
    table = json.loads(settings.out.read_text()) if settings.out.exists() else empty
    if {k: table[k] for k in ("blocks", "iterations")} != {k: empty[k] for k in ("blocks", "iterations")}:
        raise SemlinkError(f"{settings.out} was measured with other settings; choose another --out")
    shapes = [(m, s) for m in TABLE for s in m.block_sizes() if str(s) not in table["waterfall"].get(m.name, {})]
    for mcs, symbols in tqdm(shapes, desc="block error rates", unit="shape"):
        points = waterfall(mcs, symbols, settings)
        table["points"].setdefault(mcs.name, {})[str(symbols)] = points
        table["waterfall"].setdefault(mcs.name, {})[str(symbols)] = fit(points)
        settings.out.write_text(json.dumps(table, indent=1) + "\n")
    print(f"{len(shapes)} new shapes in {settings.out}")
    return 0


if __name__ == "__main__":
    start(main, Settings())
