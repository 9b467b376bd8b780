"""Measure the error of the coarse pictures behind `ddnm` by SNR; writes codecs/tables/ddnm_sigma.json.

    python experiments/measure_sigma.py                                  # all that is shipped: two minutes on one core
    python experiments/measure_sigma.py --inner "adjscc:weights=mine.safetensors" --rho 1/24 --pools 2

The decoder of ddnm looks up there how far its coarse picture may be off. Entries that the table has already are
replaced, others stay.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from semlink.simulator.study.cli import start
from semlink.simulator.study.rates import Rate


@dataclass(frozen=True)
class Settings:
    """RMS error of a codec's pictures of pool x pool block means over AWGN, on training pictures."""

    inner: str = "adjscc"
    """The codec, spelled as ddnm's setting `inner`."""
    rho: tuple[Rate, ...] = (1 / 6, 1 / 12)
    """Its rates, relative to the coarse picture."""
    pools: tuple[int, ...] = (1, 2, 4)
    """Sides of the blocks."""
    data: tuple[str, ...] = ("imagenet-256-train", "tiny-imagenet-64-train")
    """Training sets, never test sets; where their coarse pictures differ in size, ddnm takes the nearest."""
    limit: int = 96
    """Pictures of each set."""
    snr: tuple[float, ...] = (-10, -7.5, -5, -2.5, 0, 2.5, 5, 7.5, 10, 12.5, 15, 17.5, 20)
    """SNRs in dB, rising."""
    out: Path = Path(__file__).parent.parent / "codecs" / "tables" / "ddnm_sigma.json"
    """The table to write."""


def main(settings: Settings) -> int:
    import torch

    from semlink.codecs._diffusion.inner import inner_codec
    from semlink.codecs._diffusion.measuring import curve
    from semlink.codecs._diffusion.range_null import pooled
    from semlink.simulator import data

    found = []
    for name in settings.data:
        pictures = torch.stack(list(data.load(name, limit=settings.limit)))
        for pool in settings.pools:
            coarse = pooled(pictures, pool)
            for rho in settings.rho:
                where = {"inner": settings.inner, "rho": round(rho, 6), "pool": pool, "side": coarse.shape[-1]}
                errors = curve(inner_codec(settings.inner, rho), coarse, settings.snr, f"{name} {pool} {rho:.3f}")
                found.append({**where, **errors, "data": name, "pictures": len(pictures)})
    write(settings.out, found)
    print(f"{len(found)} curves in {settings.out}")
    return 0


def write(path: Path, found: list[dict[str, Any]]) -> None:
    """Add curves to the table, a line each."""
    from semlink.codecs._diffusion.measuring import replaced
    from semlink.simulator.files import read_json, reading

    wrong = "no table of errors; give another --out"
    with reading(path, wrong):
        known = read_json(path, wrong)["entries"] if path.exists() else []
    lines = ",\n".join(" " + json.dumps(entry) for entry in replaced(known, found))
    path.write_text('{"entries": [\n' + lines + "\n]}\n", encoding="utf-8")


if __name__ == "__main__":
    start(main, Settings())
