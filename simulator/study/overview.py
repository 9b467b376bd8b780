"""What a sweep's rows say at a glance: quality of every codec against SNR and rate, and against a reference codec."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from semlink.simulator.analysis import comparison, statistics
from semlink.simulator.analysis.versus import difference_lines, difference_name, difference_of, versus
from semlink.simulator.files import slug
from semlink.simulator.records.store import picture_path
from semlink.simulator.study.answer import Answer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from semlink.simulator.analysis.statistics import Line
    from semlink.simulator.records.rows import Rows


def overview(rows: Rows, out: Path, metrics: Sequence[str] = (), reference: str = "") -> Answer:
    """Tables and figures of all codecs in rows, and versus.csv where there is a reference.

    metrics: names in rows, or none for all that the sweep was asked for. reference: canonical word of the codec that
    the others are compared with, or none. SemlinkError for a metric or reference that rows do not hold.
    """
    lines = statistics.summarise(rows)
    measured = {line.metric for line in lines}  # not what is asked of a whole set, such as FID
    chosen = tuple(metrics) or tuple(name for name in rows.asked_metrics() if name in measured)
    statistics.check_known(chosen, lines)
    texts = [statistics.table(lines, metric, rows.variable(metric).units) for metric in chosen]
    found = versus(rows, reference, chosen) if reference else []
    minus = difference_lines(found, reference)
    texts += [
        statistics.table(minus, difference_name(metric, reference), rows.variable(metric).units, difference=True)
        for metric in chosen
        if minus
    ]
    csv = {"versus.csv": comparison.paired_columns(found, {reference: reference})} if reference else {}
    return Answer(texts, csv, _figures(rows, lines, minus, chosen, out, reference))


def has_rates(lines: Sequence[Line]) -> bool:
    """Whether a codec met a channel at several rates."""
    pairs = {(line.codec, line.channel) for line in lines}
    return len({(line.codec, line.channel, line.rho) for line in lines}) > len(pairs)


def _figures(
    rows: Rows, lines: Sequence[Line], minus: Sequence[Line], metrics: Sequence[str], out: Path, reference: str
) -> Iterator[tuple[str, Figure]]:
    from semlink.simulator.figures import curves, strips
    from semlink.simulator.figures.wording import file_names

    codecs = [line.codec for line in lines]
    for metric in metrics:
        variable = rows.variable(metric)
        yield f"{slug(metric)}_vs_snr", curves.curves(lines, metric, variable)
        if has_rates(lines):
            yield f"{slug(metric)}_vs_rho", curves.against_rate(lines, metric, variable)
        if minus:
            name, own = difference_name(metric, reference), difference_of(variable, reference)
            stem = f"{slug(metric)}_minus_{file_names(codecs)[reference]}_vs_snr"
            yield stem, curves.curves(minus, name, own, difference=True, codecs=codecs)
    names = file_names(sorted({m.condition.channel for m in rows.measurements}))
    for channel, name in names.items():
        pictures = strips.of_channel(rows.measurements, partial(picture_path, out), channel)
        if pictures is not None:
            yield f"pictures_{name}", pictures
