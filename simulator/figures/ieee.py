"""Figures as IEEE papers want them: 3.5 in wide for a column, 7.16 in across both, letters of 8 pt like Times."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from semlink.simulator.figures.style import UPRIGHT, beside, legend_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMN, PAGE = 3.5, 7.16  # inches
WIDEST = 5.5  # inches of a figure on a screen that goes into a column
POINTS = 8
FONT = "STIXGeneral"  # comes with matplotlib
LEAST = 2.2  # inches of height
LINE, MARKER = 1.0, 3.5  # points at most
CHARACTER = 0.058  # width of a character of 8 pt, in inches


def set_in_print(figure: Figure) -> None:
    """Change a finished figure: its width, its letters, thinner lines, and a legend below that fits its width.

    Numbers within panels keep their size where it is smaller.
    """
    width, height = figure.get_size_inches()
    own = COLUMN if width <= WIDEST else PAGE
    figure.set_size_inches(own, max(LEAST, own * height / width))
    for axes in figure.axes:
        _set_panel(axes, own)
    if label := " ".join(figure.get_supylabel().split()):
        figure.supylabel(beside(figure, label, UPRIGHT * POINTS / 10))
    for legend in list(figure.legends):
        names = (text.get_text() for text in legend.get_texts())
        shown = {name: handle for name, handle in zip(names, legend.legend_handles, strict=True) if handle is not None}
        legend.remove()
        legend_of(figure, shown, POINTS)
    _set_letters(figure)


def _set_panel(axes: Axes, width: float) -> None:
    """Thin lines, small ticks, and a title that fits its part of the width."""
    axes.tick_params(which="both", labelsize=POINTS, labelfontfamily=FONT)
    place = axes.get_subplotspec()
    most = max(12, int(width / (place.get_gridspec().ncols if place is not None else 1) / CHARACTER))
    for text in (axes.title, axes.xaxis.label):
        lines = (textwrap.fill(line, most, break_long_words=False) for line in text.get_text().splitlines())
        text.set_text("\n".join(lines))
    for line in axes.get_lines():
        line.set_linewidth(min(line.get_linewidth(), LINE))
        line.set_markersize(min(line.get_markersize(), MARKER))


def _set_letters(figure: Figure) -> None:
    from matplotlib.text import Text

    within = {id(text) for axes in figure.axes for text in axes.texts}
    for text in figure.findobj(Text):
        text.set_fontfamily(FONT)
        text.set_fontsize(min(text.get_fontsize(), POINTS) if id(text) in within else POINTS)
