"""Codecs against baselines on the same pictures and fades: means, paired differences, a table and a CSV of them."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from semlink.simulator.analysis import set_miou
from semlink.simulator.analysis.statistics import COLUMNS, NOTHING, Interval, Line, mean_interval, paired_difference
from semlink.simulator.files import write_aside
from semlink.simulator.metrics import of_set
from semlink.simulator.protocols import Variable
from semlink.simulator.records.rows import Measurement, Rows
from semlink.simulator.records.store import Condition
from semlink.simulator.words import short

RATES = ("main", "total")


@dataclass(frozen=True)
class Entry:
    """What is compared, under a label: canonical words of a codec and the channel that it meets."""

    label: str
    codec: str
    channel: str


@dataclass(frozen=True)
class Result:
    """One metric of an entry under a condition, and its paired difference to each baseline, by label.

    A baseline has none to itself, and what failed is an empty interval.
    """

    label: str
    line: Line
    minus: Mapping[str, Interval]


def compare(
    rows: Rows,
    entries: Sequence[Entry],
    baselines: Sequence[str],
    metrics: Sequence[str],
    rhos: Sequence[float],
    snrs: Sequence[float],
) -> list[Result]:
    """Every entry at every rate and SNR. baselines: labels of entries. metrics: also those of `set_miou`."""
    found = {m.condition: m for m in rows.measurements if not m.error}
    results = []
    for metric in metrics:
        for rho in rhos:
            for snr in sorted(set(snrs)):
                at = {e.label: found.get(Condition(e.codec, rho, e.channel, snr)) for e in entries}
                for entry in entries:
                    minus = {b: _minus(at[entry.label], at.get(b), metric) for b in baselines if b != entry.label}
                    line = _line(Condition(entry.codec, rho, entry.channel, snr), at[entry.label], metric)
                    results.append(Result(entry.label, line, minus))
    return results


def table(results: Sequence[Result], variable: Variable, title: str) -> str:
    """One metric and rate: per entry a line of means against SNR, and a line of differences for each baseline."""
    snrs = sorted({r.line.snr_db for r in results})
    units, digits = (f" ({variable.units})", 2) if variable.units not in ("", "1") else ("", 3)
    images = max((r.line.n for r in results), default=0)
    wide = 2 + max(len(short(r.label)) for r in results)
    lines = [
        f"{variable.label}{units}, {title}, {images} images: mean +- 95 %, differences paired",
        f"{'':{wide}}{'rho_total':>10}" + "".join(f"{f'{snr:g} dB':>18}" for snr in snrs),
    ]
    for label in dict.fromkeys(r.label for r in results):
        own = sorted((r for r in results if r.label == label), key=lambda r: r.line.snr_db)
        totals = [r.line.rho_total for r in own if math.isfinite(r.line.rho_total)]
        total = f"{sum(totals) / len(totals):.5f}" if totals else "-"
        lines.append(
            f"{short(label):{wide}}{total:>10}" + "".join(f"{_cell(_interval(r.line), digits):>18}" for r in own)
        )
        for other in own[0].minus:
            name = f"  minus {short(other)}"
            lines.append(f"{name:{wide + 10}}" + "".join(f"{_cell(r.minus[other], digits, '+'):>18}" for r in own))
    return "\n".join(lines)


def write_csv(results: Iterable[Result], roles: Mapping[str, str], path: Path) -> None:
    """The columns of summary.csv after a label, then the difference to each baseline with its interval.

    roles: name in the columns' heads by baseline label.
    """
    ends = ("", "_ci95_low", "_ci95_high")
    heads = dict.fromkeys(roles.values())

    def write(aside: Path) -> None:
        with open(aside, "w", newline="") as handle:
            writer = csv.writer(handle, lineterminator="\n")
            writer.writerow(("label", *COLUMNS, *(f"minus_{head}{end}" for head in heads for end in ends)))
            for r in results:
                minus = {roles[label]: interval for label, interval in r.minus.items()}
                found = [minus.get(head, NOTHING) for head in heads]
                numbers = [n for i in found for n in (i.mean, i.low, i.high)]
                own = (getattr(r.line, column) for column in COLUMNS)
                writer.writerow((r.label, *map(_spell, (*own, *numbers))))

    write_aside(path, write)


def _minus(own: Measurement | None, other: Measurement | None, metric: str) -> Interval:
    if own is None or other is None:
        return NOTHING
    if metric.endswith(of_set.SUFFIX):
        return set_miou.difference(own, other, metric.removesuffix(of_set.SUFFIX))
    return paired_difference(own, other, metric) if metric in own.values and metric in other.values else NOTHING


def _line(c: Condition, m: Measurement | None, metric: str) -> Line:
    value = NOTHING if m is None else _value(m, metric)
    csi, rates = ("", (math.nan,) * 2) if m is None else (m.csi, [float(m.values[f"rho_{r}"].mean()) for r in RATES])
    main, total = rates
    ends = value.mean, value.low, value.high
    return Line(c.codec, c.channel, csi, c.snr_db, main, total, metric, *ends, n=value.n, rho=c.rho)


def _value(m: Measurement, metric: str) -> Interval:
    if metric.endswith(of_set.SUFFIX):
        return set_miou.interval(m, metric.removesuffix(of_set.SUFFIX))
    return mean_interval(m.values[metric]) if metric in m.values else NOTHING


def _interval(line: Line) -> Interval:
    return Interval(line.mean, line.ci95_low, line.ci95_high, line.n)


def _cell(interval: Interval, digits: int, sign: str = "") -> str:
    if not interval.n:
        return "failed"
    half = max(interval.high - interval.mean, interval.mean - interval.low)
    return f"{interval.mean:{sign}.{digits}f}" + (f" +-{half:.{digits}f}" if math.isfinite(half) else "")


def _spell(value: object) -> str:
    return f"{value:.7g}" if isinstance(value, float) else str(value)
