"""Published levels beside measured ones, point by point, as a Markdown table."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path

from semlink.simulator.files import reading

Level = Mapping[str, str]
KINDS = (
    {"scheme", "channel", "rho", "snr_db", "psnr"},
    {"codec", "channel", "metric", "snr_db", "rho_total", "mean"},
)
NUMBERS = {"rho", "snr_db", "psnr", "rho_total", "mean"}


def read_levels(path: Path) -> list[dict[str, str]]:
    """The lines of a CSV file: published levels (set, channel, scheme, rho, snr_db, psnr, source) or a summary.

    SemlinkError for one that lacks a column, or with a line of other columns or without numbers.
    """
    with reading(path, "no CSV file with a line of names"), open(path, newline="") as file:
        lines = list(csv.DictReader(file))
        for number, line in enumerate(lines, 2):
            _check(line, number)
        return lines


def _check(line: Level, number: int) -> None:
    """ValueError that says where, and what is wrong."""
    if None in line or None in line.values():
        raise ValueError(f"line {number} has other columns than the first")
    lacks = min((kind - line.keys() for kind in KINDS), key=len)
    if lacks:
        raise ValueError(f"no column {', '.join(sorted(lacks))}")
    for name in sorted(NUMBERS & line.keys()):
        if line[name] and not math.isfinite(Fraction(line[name])):
            raise ValueError(f"{name} of line {number} is {line[name]!r}")


def beside(published: Sequence[Level], summary: Sequence[Level]) -> str:
    """A Markdown table with a row for every scheme, rate and channel, and a column for every published SNR.

    Measured rows stand in bold under the published ones of their rate and channel: mean PSNR of a summary's codecs.
    """
    snrs = sorted({float(line["snr_db"]) for line in published})
    head = "| PSNR | rho | channel | " + " | ".join(f"{snr:g} dB" for snr in snrs) + " |"
    rows = [head, "| --- " * (3 + len(snrs)) + "|"]
    for channel, rho in dict.fromkeys((line["channel"], line["rho"]) for line in published):
        rows.extend(_rows(published, summary, channel, rho, snrs))
    return "\n".join([*rows, ""])


def _rows(
    published: Sequence[Level], summary: Sequence[Level], channel: str, rho: str, snrs: Sequence[float]
) -> Iterator[str]:
    said = [line for line in published if (line["channel"], line["rho"]) == (channel, rho)]
    asked = {float(line["snr_db"]) for line in said}
    for scheme in dict.fromkeys(line["scheme"] for line in said):
        levels = {float(line["snr_db"]): float(line["psnr"]) for line in said if line["scheme"] == scheme}
        yield _row(f"{scheme}, published", rho, channel, levels, snrs)
    for codec in dict.fromkeys(line["codec"] for line in summary):
        levels = {float(x["snr_db"]): float(x["mean"]) for x in summary if _is(x, codec, channel, rho)}
        met = {snr: level for snr, level in levels.items() if snr in asked}
        if met:
            yield _row(f"**{codec}**", rho, channel, met, snrs)


def _is(line: Level, codec: str, channel: str, rho: str) -> bool:
    near = abs(float(line["rho_total"]) / float(Fraction(rho)) - 1) < 0.02
    return line["metric"] == "psnr" and line["codec"] == codec and line["channel"] == channel and near


def _row(scheme: str, rho: str, channel: str, levels: Mapping[float, float], snrs: Sequence[float]) -> str:
    cells = " | ".join(f"{levels[snr]:.2f}" if snr in levels else "" for snr in snrs)
    return f"| {scheme} | {rho} | {channel} | {cells} |"
