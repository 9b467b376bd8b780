"""The reference results: measure them all, and write their tables into README.md.

`make reference` runs it (about an hour on two cores, real data needed); README tables are made from the rows alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from semlink.simulator.analysis.published import beside, read_levels
from semlink.simulator.errors import SemlinkError
from semlink.simulator.records.store import Condition
from semlink.simulator.records.sweep import Sweep
from semlink.simulator.study import cli

ROOT = Path(__file__).parent.parent
LEARNED, DIGITAL, MANY_RATES = ("adjscc", "deepjscc"), ("digital", "digital_capacity"), ("semlink",)
PUBLISHED_SNR, FADING_SNR = (1.0, 4.0, 7.0, 10.0, 13.0), (0.0, 5.0, 10.0, 15.0)
QUALITY = ("psnr", "ms_ssim", "lpips_alex")
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
    "kodak_rates": (
        Sweep((*MANY_RATES, "digital"), ("awgn",), PUBLISHED_SNR, (1 / 48, 1 / 24, 1 / 16, 1 / 12), ("psnr",),
              data="kodak"),
    ),
}  # fmt: skip

PUBLISHED = ROOT / "results" / "reference" / "published.csv"
BESIDE = {"cifar10": "cifar10", "kodak": "kodak_rates"}  # sets of published levels and the folder that answers them
PAIRED = {"kodak": "Kodak", "photographs_fading": "256 px"}  # sets in which semlink is set against the baseline
KEY = ("codec", "rho_total", "channel", "csi")


@dataclass(frozen=True)
class ReferenceFlags:
    """Measure the reference results and write their tables into the README."""

    sets: tuple[str, ...] = tuple(SWEEPS)
    """Which of the sets to measure; the tables show what the folders hold."""
    out: Path = ROOT / "results" / "reference"
    """Folder of the results, one folder a set."""
    readme: Path = ROOT / "README.md"
    """File whose tables are rewritten."""
    workers: int = 2
    """Processes that share the work."""


def main(flags: ReferenceFlags) -> int:
    """Measure, publish and write the tables."""
    from semlink.simulator.study import closing
    from semlink.simulator.sweep import runner

    unknown = set(flags.sets) - SWEEPS.keys()
    if unknown:
        raise SemlinkError(f"unknown set {', '.join(sorted(unknown))}; known: {', '.join(SWEEPS)}")
    failed = 0
    for name in flags.sets:
        for question in SWEEPS[name]:
            failed += closing.failures(runner.run(question, flags.out / name, flags.workers))
        closing.show(flags.out / name)
    text = flags.readme.read_text()
    for name in SWEEPS:
        if (flags.out / name / "summary.csv").exists():
            text = replaced(text, name, tables(flags.out / name / "summary.csv"))
    for name, summary in BESIDE.items():
        if (flags.out / summary / "summary.csv").exists():
            levels = [x for x in read_levels(PUBLISHED) if x["set"] == name]
            text = replaced(text, f"{name}_published", beside(levels, read_levels(flags.out / summary / "summary.csv")))
    text = replaced(text, "paired", paired(flags.out))
    bench = flags.out / "bench" / "bench.json"
    if bench.exists():
        text = replaced(text, "bench", bench_tables(json.loads(bench.read_text())))
    flags.readme.write_text(text)
    print(f"tables of {', '.join(SWEEPS)} written into {flags.readme.name}")
    return min(failed, 1)


def tables(summary: Path) -> str:
    """Markdown tables of a summary: one row a codec, rate and channel, one column an SNR, one table a metric."""
    lines = read_levels(summary)
    wanted = [m for m in ("psnr", "psnr_of_mean_mse", "ms_ssim", "lpips_alex") if any(x["metric"] == m for x in lines)]
    return "\n".join(table([x for x in lines if x["metric"] == metric], metric) for metric in wanted)


def table(lines: list[dict[str, str]], metric: str) -> str:
    """One Markdown table of means and half-widths of 95 % intervals."""
    snrs = sorted({float(x["snr_db"]) for x in lines})
    head = f"| `{metric}` | rho | channel (CSI) | " + " | ".join(f"{s:g} dB" for s in snrs) + " |"
    rows = [head, "| --- " * (3 + len(snrs)) + "|"]
    for key in unique(tuple(x[k] for k in KEY) for x in lines):
        codec, rho, channel, csi = key
        own = {float(x["snr_db"]): x for x in lines if tuple(x[k] for k in KEY) == key}
        cells = " | ".join(cell(own[s], metric) if s in own else "" for s in snrs)
        rows.append(f"| {codec} | 1/{1 / float(rho):.3g} | {channel} ({csi}) | {cells} |")
    return "\n".join([*rows, ""])


def paired(out: Path) -> str:
    """A Markdown table of PSNR of semlink minus digital on the same pictures and fades, with 95 % intervals."""
    from semlink.simulator.analysis import statistics
    from semlink.simulator.records import rows

    head = "| semlink minus digital, dB | channel (CSI) | " + " | ".join(f"{s:g} dB" for s in FADING_SNR) + " |"
    lines = [head, "| --- " * (2 + len(FADING_SNR)) + "|"]
    for name in (name for name in PAIRED if (out / name / "rows.h5").exists()):
        found = {m.condition: m for m in rows.read(out / name / "rows.h5").measurements if not m.error}
        for channel, csi in unique((c.channel, m.csi) for c, m in found.items()):
            cells = []
            for snr in FADING_SNR:
                own, other = (found.get(Condition(codec, 1 / 12, channel, snr)) for codec in ("semlink", "digital"))
                if own and other:
                    minus = statistics.paired_difference(own, other, "psnr")
                    cells.append(f"{minus.mean:+.2f} ± {minus.high - minus.mean:.2f}")
            if cells:
                lines.append(f"| {PAIRED[name]} | {channel} ({csi}) | " + " | ".join(cells) + " |")
    return "\n".join([*lines, ""])


def bench_tables(results: dict[str, dict[str, dict[str, float]]]) -> str:
    """Markdown tables of experiments/bench_link.py."""
    blocks = []
    for title, rows in results.items():
        columns = list(next(iter(rows.values())))
        head = [f"| {title} | " + " | ".join(columns) + " |", "| --- " * (1 + len(columns)) + "|"]
        body = [f"| {name} | " + " | ".join(f"{row[c]:.3g}" for c in columns) + " |" for name, row in rows.items()]
        blocks.append("\n".join([*head, *body, ""]))
    return "\n".join(blocks)


def cell(line: dict[str, str], metric: str) -> str:
    """Mean and half-width."""
    digits = 2 if metric.startswith("psnr") else 3
    half = (float(line["ci95_high"]) - float(line["ci95_low"])) / 2
    return f"{float(line['mean']):.{digits}f} ± {half:.{digits}f}"


def unique(keys: Iterable[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """In order of first appearance."""
    return list(dict.fromkeys(keys))


def replaced(text: str, name: str, content: str) -> str:
    """The text between the markers of a set, replaced. SemlinkError when the markers are missing."""
    begin, end = f"<!-- {name} begin -->", f"<!-- {name} end -->"
    if begin not in text or end not in text:
        raise SemlinkError(f"the README has no markers {begin} ... {end}")
    before, rest = text.split(begin)
    return f"{before}{begin}\n{content}{end}{rest.split(end)[1]}"


if __name__ == "__main__":
    cli.start(main, ReferenceFlags())
