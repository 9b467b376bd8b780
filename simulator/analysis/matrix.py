"""Who was trained on which channel and what it is worth on each: a matrix of variants x channels, from rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from semlink.simulator.analysis.comparison import difference, value
from semlink.simulator.analysis.statistics import Interval
from semlink.simulator.analysis.tables import Columns, ends, in_units, named_ends
from semlink.simulator.protocols import Variable
from semlink.simulator.records.rows import Measurement, Rows
from semlink.simulator.records.store import Condition
from semlink.simulator.records.sweep import Sweep
from semlink.simulator.words import labels, parse

KINDS = ("value", "minus_matched", "minus_best")


@dataclass(frozen=True)
class Variant:
    """A row of the matrix. codec: canonical word. trained_on: the one channel that its network was tuned on, or ""."""

    codec: str
    trained_on: str = ""
    csi: str = ""

    def label(self, name: str, trained_on: str) -> str:
        """For people. name: of the codec, or none where there is only one; trained_on: label of that channel."""
        if self.trained_on:
            return ", ".join(filter(None, (name, trained_on)))
        return name if "weights" in dict(parse(self.codec).settings) else f"{name}, as shipped"


@dataclass(frozen=True)
class Cell:
    """One variant on one channel; both differences are paired, this variant minus the other."""

    variant: Variant
    channel: str
    csi: str
    snr_db: float
    metric: str
    value: Interval
    minus_matched: Interval
    minus_best: Interval

    @property
    def matched(self) -> bool:
        """Whether the variant was trained on this channel."""
        return self.variant.trained_on == self.channel


def fill(chosen: Sequence[Variant], asked: Sweep, rows: Rows) -> list[Cell]:
    """The matrix of each SNR and metric, row by row; what failed or was not measured are cells without numbers."""
    found = {m.condition: m for m in rows.measurements if not m.error}
    return [
        cell
        for snr in asked.snr_db
        for metric in rows.asked_metrics()
        for cell in _matrix(chosen, asked, snr, metric, rows.variable(metric).better == "lower", found)
    ]


def _matrix(
    chosen: Sequence[Variant],
    asked: Sweep,
    snr: float,
    metric: str,
    lower: bool,
    found: Mapping[Condition, Measurement],
) -> Iterator[Cell]:
    columns: dict[str, dict[Variant, Measurement]] = {}
    for channel in (str(parse(word)) for word in asked.channels):
        there = {v: found.get(Condition(v.codec, asked.rho[0], channel, float(snr))) for v in chosen}
        columns[channel] = {v: m for v, m in there.items() if m is not None and metric in m.values}
    for one in chosen:
        for channel, column in columns.items():
            yield _cell(one, channel, snr, metric, lower, column)


def _cell(
    one: Variant, channel: str, snr: float, metric: str, lower: bool, column: Mapping[Variant, Measurement]
) -> Cell:
    own = column.get(one)
    means = {v: value(m, metric).mean for v, m in column.items()}
    best = min(means, key=lambda v: means[v] if lower else -means[v], default=one)
    matched = next((v for v in column if v.trained_on == channel and same_codec(v, one)), None)
    csi = next((m.csi for m in column.values()), "")
    others = (None if other is None else column.get(other) for other in (matched, best))
    minus_matched, minus_best = (difference(own, other, metric) for other in others)
    return Cell(one, channel, csi, snr, metric, value(own, metric), minus_matched, minus_best)


def same_codec(one: Variant, other: Variant) -> bool:
    """Whether they differ in weights alone."""
    words = (parse(variant.codec).split(("weights",))[0] for variant in (one, other))
    return next(words) == next(words)


def row_labels(cells: Sequence[Cell]) -> dict[Variant, str]:
    """The variants in order of appearance with their labels, all different."""
    chosen = list(dict.fromkeys(cell.variant for cell in cells))
    trained = _channel_labels({v.trained_on: v.csi for v in chosen})
    several = not all(same_codec(v, chosen[0]) for v in chosen)
    whole = labels(v.codec for v in chosen)
    bare = labels(str(parse(v.codec).split(("weights",))[0]) for v in chosen) if several else {}
    names = {
        v: bare.get(str(parse(v.codec).split(("weights",))[0]), "") if v.trained_on else whole[v.codec] for v in chosen
    }
    found = {v: v.label(names[v], trained[v.trained_on]) for v in chosen}
    counts = Counter(found.values())
    return {v: label if counts[label] == 1 else f"{whole[v.codec]}, {label}" for v, label in found.items()}


def column_labels(cells: Sequence[Cell]) -> dict[str, str]:
    """The channels in order of appearance with their labels, all different."""
    return _channel_labels({cell.channel: cell.csi for cell in cells})


def _channel_labels(csi: Mapping[str, str]) -> dict[str, str]:
    """Each channel's word without the csi setting, unless two are told apart by it, and the CSI in brackets behind."""
    plain = {channel: str(parse(channel).split(("csi",))[0]) if channel else "" for channel in csi}
    said = Counter((plain[channel], csi[channel]) for channel in csi)
    chosen = {c: plain[c] if said[plain[c], csi[c]] == 1 else c for c in csi}
    names = labels(chosen.values())
    return {c: names[chosen[c]] + (f" ({csi[c]})" if csi[c] else "") for c in csi}


def cell_tables(cells: Sequence[Cell], rows: Rows) -> Iterator[str]:
    """Text tables of one SNR: per metric the means, and the differences to the network trained on the channel."""
    for metric in dict.fromkeys(cell.metric for cell in cells):
        own = [cell for cell in cells if cell.metric == metric]
        counts = sorted({cell.value.n for cell in own if cell.value.n})
        images = " to ".join(str(n) for n in dict.fromkeys((*counts[:1], *counts[-1:]))) or "no"
        units = in_units(rows.variable(metric))
        head = f"{metric}{units} at {own[0].snr_db:g} dB SNR: mean +- 95 % over {images} images"
        yield "\n".join([head, *_lines(own, "value", digits(rows.variable(metric), "value"))])
        if any(cell.minus_matched.n for cell in own):
            head = f"{metric}{units} minus that of the network trained on the channel, paired, +- 95 %"
            paired = [cell for cell in own if any(c.minus_matched.n for c in own if c.channel == cell.channel)]
            yield "\n".join([head, *_lines(paired, "minus_matched", digits(rows.variable(metric), "minus_matched"))])


def _lines(cells: Sequence[Cell], what: str, places: int) -> list[str]:
    rows, columns = row_labels(cells), column_labels(cells)
    width = max(map(len, ("tested on", *columns.values())))
    lines = [f"  {'tested on':{width}}" + "".join(f"{f'[{i}]':>18}" for i in range(len(rows)))]
    for channel, label in columns.items():
        own = [cell for cell in cells if cell.channel == channel]
        lines.append(f"  {label:{width}}" + "".join(f"{_spell(cell, what, places):>18}" for cell in own))
    return [*lines, *(f"  [{i}] {label}" for i, label in enumerate(rows.values()))]


def _spell(cell: Cell, what: str, places: int) -> str:
    interval: Interval = getattr(cell, what)
    if not interval.n:
        return "-"
    sign = "+" if what != "value" else ""
    half = interval.high - interval.mean
    return f"{interval.mean:{sign}.{places}f} +-{half:.{places}f}" + ("*" if cell.matched else " ")


def digits(variable: Variable, what: str) -> int:
    """Decimals worth showing of one of KINDS."""
    return 2 if variable.units == "dB" else 3 + (what != "value")


def cell_columns(cells: Iterable[Cell]) -> Columns:
    """A line per variant, channel, SNR and metric: mean, both differences and the ends of their intervals."""
    head = ("codec", "trained_on", "channel", "csi", "snr_db", "metric", "n")
    return Columns((*head, *(name for what in KINDS for name in named_ends(what))), map(_cell_columns, cells))


def _cell_columns(cell: Cell) -> tuple[object, ...]:
    names = (cell.variant.codec, cell.variant.trained_on, cell.channel, cell.csi, cell.snr_db, cell.metric)
    return (*names, cell.value.n, *(number for what in KINDS for number in ends(getattr(cell, what))))
