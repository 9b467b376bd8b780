"""A matrix of variants x channels as heat maps: the values, and both differences. Needs matplotlib."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from semlink.simulator.analysis.matrix import Cell, column_labels, digits, row_labels
from semlink.simulator.analysis.statistics import Interval
from semlink.simulator.analysis.tables import in_units
from semlink.simulator.figures import heatmap
from semlink.simulator.protocols import Variable
from semlink.simulator.records.rows import Rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STEMS = {"value": "matrix", "minus_matched": "minus_matched", "minus_best": "minus_best"}
TITLES = {
    "value": "",
    "minus_matched": "minus the network trained on the channel, paired; bold: the 95 % interval does not hold 0",
    "minus_best": "minus the best row, paired; bold: the 95 % interval does not hold 0",
}


def heatmaps(cells: Sequence[Cell], rows: Rows) -> Iterator[tuple[str, Figure]]:
    """Heat maps of one SNR with their names: the values, and both differences over the channels that have one."""
    for what, stem in STEMS.items():
        shown = {c.channel for c in cells if what == "value" or getattr(c, what).n}
        if shown:
            yield stem, _heatmap([c for c in cells if c.channel in shown], what, rows)


def _heatmap(cells: Sequence[Cell], what: str, rows: Rows) -> Figure:
    names, columns = row_labels(cells), column_labels(cells)
    marked = {(i, j) for i, v in enumerate(names) for j, channel in enumerate(columns) if v.trained_on == channel}
    metrics = dict.fromkeys(cell.metric for cell in cells)
    panels = [_panel([c for c in cells if c.metric == name], what, rows.variable(name)) for name in metrics]
    across = f"tested on, at {cells[0].snr_db:g} dB SNR (receiver's CSI in brackets; framed: trained on it)"
    wrapped = [label.replace(":", "\n").replace(",", "\n").replace("+", "\n+") for label in columns.values()]
    return heatmap.draw(panels, list(names.values()), wrapped, across, "fine-tuned on", marked, TITLES[what])


def _panel(cells: Sequence[Cell], what: str, variable: Variable) -> heatmap.Panel:
    """One metric as a heat map."""
    intervals: list[Interval] = [getattr(cell, what) for cell in cells]
    shape = (len({cell.variant for cell in cells}), -1)
    return heatmap.Panel(
        f"{variable.label}{in_units(variable)}, {variable.better} is better",
        np.array([i.mean for i in intervals]).reshape(shape),
        np.array([i.high - i.mean for i in intervals]).reshape(shape),
        variable.better,
        digits(variable, what),
        difference=what != "value",
    )
