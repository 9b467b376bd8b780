"""The reference results: measure them all, and write their tables into the pages of docs/results.

`make reference` runs it (about an hour on two cores, real data needed). Tables are made from the rows alone; `--sets`
with no name behind it measures nothing and writes them anew.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from semlink.simulator.analysis.published import beside, read_levels
from semlink.simulator.errors import SemlinkError
from semlink.simulator.records.store import Condition
from semlink.simulator.records.sweep import Sweep
from semlink.simulator.study import cli
from semlink.simulator.study.markdown import rewrite, table
from semlink.simulator.study.peer_tables import peer_tables

if TYPE_CHECKING:
    from semlink.simulator.records.rows import Measurement

ROOT = Path(__file__).parent.parent
LEARNED, DIGITAL, MANY_RATES = ("adjscc", "deepjscc"), ("digital", "digital_capacity"), ("semlink",)
PUBLISHED_SNR, FADING_SNR = (1.0, 4.0, 7.0, 10.0, 13.0), (0.0, 5.0, 10.0, 15.0)
QUALITY = ("psnr", "ms_ssim", "lpips_alex")
UNSEEN = ("adjscc", "semlink", "semlink:aim=lpips", "digital")  # on pictures that nothing here was tuned on
SWEEPS: Mapping[str, tuple[Sweep, ...]] = {
    "cifar10": (
        Sweep(LEARNED, ("awgn",), PUBLISHED_SNR, (1 / 6, 1 / 12), ("psnr",), data="cifar10"),
        Sweep(MANY_RATES, ("awgn",), PUBLISHED_SNR, (1 / 3, 1 / 6, 1 / 12), ("psnr",), data="cifar10"),
    ),
    "cifar10_fading": (
        Sweep(("adjscc", *MANY_RATES), ("rayleigh", "tdl"), PUBLISHED_SNR, (1 / 6,), ("psnr",), data="cifar10",
              limit=1000),
    ),
    "cifar10_mosaic": (
        Sweep(DIGITAL, ("awgn",), PUBLISHED_SNR, (1 / 6,), ("psnr",), data="cifar10-mosaic", limit=32),
    ),
    "photographs_fading": (
        Sweep(("adjscc", *MANY_RATES, "digital"), ("tdl",), FADING_SNR, (1 / 12,), ("psnr", "lpips_alex"),
              data="imagenet-256"),
    ),
    "kodak": (
        Sweep((*LEARNED, *MANY_RATES, "digital"), ("awgn", "tdl"), FADING_SNR, (1 / 12,), QUALITY, data="kodak"),
        Sweep((*MANY_RATES, "digital"), ("rayleigh",), FADING_SNR, (1 / 12,), QUALITY, data="kodak"),
    ),
    "photos48": (
        Sweep(UNSEEN, ("awgn", "tdl", "rayleigh"), FADING_SNR, (1 / 12,), ("psnr", "lpips_alex"), data="photos48"),
    ),
    "photos48_rho24": (
        Sweep(UNSEEN, ("awgn", "tdl", "rayleigh"), FADING_SNR, (1 / 24,), ("psnr", "lpips_alex"), data="photos48"),
    ),
    "kodak_rates": (
        Sweep((*MANY_RATES, "digital"), ("awgn",), PUBLISHED_SNR, (1 / 48, 1 / 24, 1 / 16, 1 / 12), ("psnr",),
              data="kodak"),
    ),
}  # fmt: skip

PUBLISHED = ROOT / "results" / "reference" / "published.csv"
BESIDE = {"cifar10": "cifar10", "kodak": "kodak_rates"}  # sets of published levels and the folder that answers them
PAIRED = {  # sets in which semlink is set against the baseline
    "photos48": "photos48, 1/12",
    "photos48_rho24": "photos48, 1/24",
    "kodak": "Kodak",
    "photographs_fading": "256 px",
}
KEY = ("codec", "rho_total", "channel", "csi")


@dataclass(frozen=True)
class ReferenceFlags:
    """Measure the reference results and write their tables into the pages of docs/results."""

    sets: tuple[str, ...] = tuple(SWEEPS)
    """Which of the sets to measure, none for a bare --sets; the tables show what the folders hold."""
    out: Path = ROOT / "results" / "reference"
    """Folder of the results, one folder a set."""
    docs: Path = ROOT / "docs" / "results"
    """Folder of the pages whose tables are rewritten, between markers."""
    workers: int = 2
    """Processes that share the work."""


def main(flags: ReferenceFlags) -> int:
    """Measure, publish and write the tables."""
    unknown = set(flags.sets) - SWEEPS.keys()
    if unknown:
        raise SemlinkError(f"unknown set {', '.join(sorted(unknown))}; known: {', '.join(SWEEPS)}")
    failed = max((measure(name, flags) for name in flags.sets), default=0)
    written = contents(flags.out)
    changed = rewrite(flags.docs, written)
    print(f"tables {', '.join(written)} written; changed pages: {', '.join(p.name for p in changed) or 'none'}")
    return failed


def measure(name: str, flags: ReferenceFlags) -> int:
    """Measure a set and draw its figures; 1 when conditions failed."""
    from semlink.simulator.study import closing
    from semlink.simulator.sweep import runner

    outcomes = [runner.run(question, flags.out / name, flags.workers, beside=SWEEPS[name]) for question in SWEEPS[name]]
    closing.show(flags.out / name)
    return max(map(closing.failures, outcomes))


def contents(out: Path) -> dict[str, str]:
    """The tables of everything that the folder holds, by the name of their markers."""
    held = [name for name in SWEEPS if (out / name / "summary.csv").exists()]
    found = {name: tables(out / name / "summary.csv") for name in held}
    for name, summary in BESIDE.items():
        if summary in held:
            levels = [x for x in read_levels(PUBLISHED) if x["set"] == name]
            found[f"{name}_published"] = beside(levels, read_levels(out / summary / "summary.csv"))
    bench = out / "bench" / "bench.json"
    if bench.exists():
        found["bench"] = bench_tables(json.loads(bench.read_text()))
    peers = out / "bench" / "peers.json"
    if peers.exists():
        found["peers"] = peer_tables(json.loads(peers.read_text()))
    return {**found, "paired": paired(out)}


def tables(summary: Path) -> str:
    """Markdown tables of a summary: one row a codec, rate and channel, one column an SNR, one table a metric."""
    lines = read_levels(summary)
    wanted = [m for m in ("psnr", "psnr_of_mean_mse", "ms_ssim", "lpips_alex") if any(x["metric"] == m for x in lines)]
    return "\n".join(of_metric([x for x in lines if x["metric"] == metric], metric) for metric in wanted)


def of_metric(lines: list[dict[str, str]], metric: str) -> str:
    """One Markdown table of means and half-widths of 95 % intervals."""
    snrs = sorted({float(x["snr_db"]) for x in lines})
    rows = []
    for key in unique(tuple(x[k] for k in KEY) for x in lines):
        codec, rho, channel, csi = key
        own = {float(x["snr_db"]): x for x in lines if tuple(x[k] for k in KEY) == key}
        cells = [cell(own[snr], metric) if snr in own else "" for snr in snrs]
        rows.append((codec, f"1/{1 / float(rho):.3g}", f"{channel} ({csi})", *cells))
    return table((f"`{metric}`", "rho", "channel (CSI)", *decibels(snrs)), rows)


def paired(out: Path) -> str:
    """A Markdown table of PSNR of semlink minus digital on the same pictures and fades, with 95 % intervals."""
    from semlink.simulator.records import rows

    lines = []
    for name in (name for name in PAIRED if (out / name / "rows.h5").exists()):
        found = {m.condition: m for m in rows.read(out / name / "rows.h5").measurements if not m.error}
        for channel, csi in unique((c.channel, m.csi) for c, m in found.items()):
            cells = [minus({c: m for c, m in found.items() if c.channel == channel}, snr) for snr in FADING_SNR]
            if any(cells):
                lines.append((PAIRED[name], f"{channel} ({csi})", *cells))
    return table(("semlink minus digital, dB", "channel (CSI)", *decibels(FADING_SNR)), lines)


def minus(found: Mapping[Condition, Measurement], snr: float) -> str:
    """Mean and half-width of semlink minus digital at one SNR of a channel; empty where one of them is missing."""
    from semlink.simulator.analysis import statistics

    at = {c.codec: m for c, m in found.items() if c.snr_db == snr}
    own, other = (at.get(codec) for codec in ("semlink", "digital"))
    if own is None or other is None:
        return ""
    difference = statistics.paired_difference(own, other, "psnr")
    return f"{difference.mean:+.2f} ± {difference.high - difference.mean:.2f}"


def bench_tables(results: dict[str, dict[str, dict[str, float]]]) -> str:
    """Markdown tables of experiments/bench_link.py."""
    blocks = []
    for title, rows in results.items():
        columns = list(next(iter(rows.values())))
        blocks.append(
            table((title, *columns), [(name, *(f"{row[c]:.3g}" for c in columns)) for name, row in rows.items()])
        )
    return "\n".join(blocks)


def decibels(snrs: Iterable[float]) -> list[str]:
    """Heads of columns."""
    return [f"{snr:g} dB" for snr in snrs]


def cell(line: dict[str, str], metric: str) -> str:
    """Mean and half-width."""
    digits = 2 if metric.startswith("psnr") else 3
    half = (float(line["ci95_high"]) - float(line["ci95_low"])) / 2
    return f"{float(line['mean']):.{digits}f} ± {half:.{digits}f}"


def unique(keys: Iterable[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """In order of first appearance."""
    return list(dict.fromkeys(keys))


if __name__ == "__main__":
    cli.start(main, ReferenceFlags())
