"""Paired differences to a baseline as bars with their intervals. Needs matplotlib."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from semlink.simulator.analysis.comparison import Result
from semlink.simulator.analysis.statistics import NOTHING, Interval
from semlink.simulator.analysis.tables import in_units
from semlink.simulator.figures.looks import looks
from semlink.simulator.figures.style import SNR, dress, figure_of, legend_below
from semlink.simulator.protocols import Variable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 0.8  # of a group of bars


def gains(results: Sequence[Result], variables: Mapping[str, Variable], baseline: str, title: str) -> Figure:
    """A panel per metric, a group of bars per SNR, a bar per entry: its paired difference to the baseline's.

    Every bar has its 95 % interval, and the legend says what share of the channel each entry used.
    """
    columns = min(2, len(variables))
    rows = math.ceil(len(variables) / columns)
    figure = figure_of(0.8 + 4.2 * columns, 1.2 + 2.7 * rows)
    grid = figure.subplots(rows, columns, sharex=True, squeeze=False)
    for axes, (metric, variable) in zip(grid.flat, variables.items(), strict=False):
        _bars(axes, [r for r in results if r.line.metric == metric], baseline)
        axes.set_title(f"{variable.label}{in_units(variable)}", fontsize=9)
    for axes in grid.flat[len(variables) :]:
        axes.set_visible(False)
    for axes in grid[-1]:
        axes.set_xlabel(SNR, fontsize=9)
    figure.supylabel(f"more than {baseline}{_total(results, baseline)}, 95 % intervals", fontsize=9)
    figure.suptitle(title, fontsize=9)
    legend_below(figure, [grid[0, 0]], 8, columns=4)
    return figure


def _bars(axes: Axes, results: Sequence[Result], baseline: str) -> None:
    snrs = sorted({r.line.snr_db for r in results})
    labels = [label for label in dict.fromkeys(r.label for r in results) if label != baseline]
    found_looks = looks(r.label for r in results)
    for place, label in enumerate(labels):
        own = {r.line.snr_db: r.minus.get(baseline, NOTHING) for r in results if r.label == label}
        found = [own.get(snr, NOTHING) for snr in snrs]
        at = np.arange(len(snrs)) + WIDTH * ((place + 0.5) / len(labels) - 0.5)
        axes.bar(
            at,
            [i.mean for i in found],
            0.92 * WIDTH / len(labels),
            yerr=_whiskers(found),
            color=found_looks[label].colour,
            error_kw={"elinewidth": 0.9, "capsize": 2},
            label=f"{label}{_total(results, label)}",
        )
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set_xticks(range(len(snrs)), [f"{snr:g}" for snr in snrs])
    dress(axes, axis="y")


def _whiskers(found: Sequence[Interval]) -> list[list[float]]:
    """Distances to the interval's ends, 2 x n; none where there is no interval."""
    return np.nan_to_num([[i.mean - i.low for i in found], [i.high - i.mean for i in found]]).tolist()


def _total(results: Sequence[Result], label: str) -> str:
    """The mean of rho_total over an entry's results, in words."""
    found = [r.line.rho_total for r in results if r.label == label and math.isfinite(r.line.rho_total)]
    return f" (rho {np.mean(found):.4f})" if found else ""
