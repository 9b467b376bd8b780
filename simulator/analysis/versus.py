"""Every codec of a sweep against a reference codec at the same rate, over the same channel, pictures and fades."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from semlink.simulator.analysis.comparison import Entry, Result, compare
from semlink.simulator.analysis.statistics import Line
from semlink.simulator.analysis.tables import ends
from semlink.simulator.errors import SemlinkError
from semlink.simulator.protocols import Variable
from semlink.simulator.records.rows import Rows
from semlink.simulator.words import short


def versus(rows: Rows, reference: str, metrics: Sequence[str]) -> list[Result]:
    """The other codecs wherever they and the reference (a canonical word) were measured, over their common pictures.

    Channel by channel, metric by metric, rate by rate; what failed is an empty interval. SemlinkError when the rows
    hold nothing of the reference.
    """
    asked = {m.condition for m in rows.measurements}
    rhos, snrs = (sorted({getattr(c, name) for c in asked}) for name in ("rho", "snr_db"))
    codecs = sorted({c.codec for c in asked})
    if reference not in codecs:
        raise SemlinkError(f"no codec {reference!r} in these rows; they hold {', '.join(codecs)}")
    found = []
    for channel in sorted({c.channel for c in asked}):
        entries = {codec: Entry(codec, codec, channel) for codec in codecs}
        for result in compare(rows, list(entries.values()), (reference,), metrics, rhos, snrs):
            at = result.line.rho, result.line.snr_db
            if result.minus and entries[result.label].at(*at) in asked and entries[reference].at(*at) in asked:
                found.append(result)
    return found


def difference_lines(results: Iterable[Result], reference: str) -> list[Line]:
    """The differences as lines of a summary; their metric is `difference_name`."""
    return [_difference(r, reference) for r in results]


def difference_name(metric: str, reference: str) -> str:
    """`psnr minus digital`."""
    return f"{metric} minus {short(reference)}"


def difference_of(variable: Variable, reference: str) -> Variable:
    """What such a difference is."""
    label = f"{variable.label} minus that of {short(reference)}"
    return replace(variable, label=label, least=-math.inf, most=math.inf)


def _difference(result: Result, reference: str) -> Line:
    line, minus = result.line, result.minus[reference]
    mean, low, high = ends(minus)
    name = difference_name(line.metric, reference)
    return replace(line, metric=name, mean=mean, ci95_low=low, ci95_high=high, n=minus.n, lost=minus.lost)
