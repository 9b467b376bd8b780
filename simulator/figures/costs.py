"""What work costs against how much of it there is, a panel a kind of amount. Needs matplotlib."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from semlink.simulator.figures.looks import looks
from semlink.simulator.figures.style import dress, figure_of, legend_below

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Costs = Mapping[str, Sequence[tuple[float, float, float, float]]]  # by side: amount; least, median and most seconds


def costs(panels: Mapping[str, Costs], y: str) -> Figure:
    """Seconds against amounts, both logarithmic, with bars from least to most.

    panels: by the name of the amount. y: what the seconds are.
    """
    styles = looks({side for sides in panels.values() for side in sides})
    figure = figure_of(1.2 + 3.2 * len(panels), 3.6)
    grid = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, (amount, sides) in zip(grid, panels.items(), strict=True):
        for side, points in sides.items():
            x, low, middle, high = zip(*points, strict=True)
            bars = np.abs(np.subtract([low, high], middle))
            look = styles[side]
            axes.errorbar(x, middle, bars, color=look.colour, marker=look.marker, label=side, capsize=2)
        amounts = sorted({point[0] for points in sides.values() for point in points})
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xticks(amounts, [f"{x:g}" for x in amounts])
        axes.minorticks_off()
        axes.set_xlabel(amount)
        dress(axes)
    grid[0].set_ylabel(y)
    legend_below(figure, grid)
    return figure
