"""Heat maps with every number and the half-width of its interval in the cell, one panel a metric. Needs matplotlib.

Values use cividis and differences purple against orange: both stay apart for the colour-blind, and lighter (purple) is
always better.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from semlink.simulator.figures.style import figure_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap, Normalize
    from matplotlib.figure import Figure

CELL = (1.0, 0.46)  # inches
LINE = 0.16  # height of a line of small text, in inches
CHARACTER = 0.066  # width of a character of the title, in inches
NOTHING = "0.93"  # the grey of a cell without a number


@dataclass(frozen=True)
class Panel:
    """One map. values: float `[rows, columns]`, NaN where nothing was measured; halves: of their 95 % intervals.

    title: what is shown. better: "higher" or "lower". digits: behind the point. difference: values are
    differences, so the colours are centred on 0, signs are shown and numbers are bold unless their interval holds 0.
    """

    title: str
    values: np.ndarray
    halves: np.ndarray
    better: str = "higher"
    digits: int = 2
    difference: bool = False


def draw(
    panels: Sequence[Panel],
    rows: Sequence[str],
    columns: Sequence[str],
    across: str = "",
    down: str = "",
    marked: Collection[tuple[int, int]] = (),
    title: str = "",
) -> Figure:
    """The panels one below the other with common columns, labelled below the last; cells of `marked` have a frame.

    rows, columns: labels, of one or more lines. across, down: what columns and rows are.
    """
    tallest = max(label.count("\n") + 1 for label in columns)
    longest = max(len(line) for label in rows for line in label.splitlines())
    width = max(1.6 + 0.075 * longest + CELL[0] * len(columns), CHARACTER * max(map(len, (title, across))))
    height = 0.45 + LINE * bool(title) + LINE * tallest + len(panels) * (0.3 + CELL[1] * len(rows))
    figure = figure_of(width, height)
    grid = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for axes, panel in zip(grid, panels, strict=True):
        _panel(axes, panel, marked)
        axes.set_yticks(range(len(rows)), rows, fontsize=8)
        axes.set_ylabel(down, fontsize=9)
    if title:
        figure.suptitle(title, fontsize=9)
    grid[-1].set_xticks(range(len(columns)), columns, fontsize=7)
    grid[-1].set_xlabel(across, fontsize=9)
    return figure


def _panel(axes: Axes, panel: Panel, marked: Collection[tuple[int, int]]) -> None:
    from matplotlib.patches import Rectangle

    colours, norm = _colours(panel)
    image = axes.imshow(np.ma.masked_invalid(panel.values), cmap=colours, norm=norm, aspect="auto")
    for row, column in np.ndindex(*panel.values.shape):
        _write(axes, panel, (row, column), colours(norm(panel.values[row, column])))
    for row, column in marked:
        axes.add_patch(Rectangle((column - 0.47, row - 0.46), 0.94, 0.92, fill=False, edgecolor="black", linewidth=1.6))
    axes.set_facecolor(NOTHING)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_title(panel.title, fontsize=9, loc="left")
    bar = axes.figure.colorbar(image, ax=axes, pad=0.01, fraction=0.03)
    bar.ax.tick_params(labelsize=7)
    if panel.better == "lower":  # what is better stays on top
        bar.ax.invert_yaxis()
    bar.outline.set_visible(False)


def _colours(panel: Panel) -> tuple[Colormap, Normalize]:
    from matplotlib import colormaps
    from matplotlib.colors import Normalize

    finite = panel.values[np.isfinite(panel.values)]
    name = "PuOr" if panel.difference else "cividis"
    colours = colormaps[name if panel.better != "lower" else f"{name}_r"]
    if panel.difference:
        most = float(np.abs(finite).max(initial=0)) or 1.0
        return colours, Normalize(-most, most)
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    return colours, Normalize(low, high if high > low else low + 1)


def _write(axes: Axes, panel: Panel, place: tuple[int, int], background: tuple[float, ...]) -> None:
    (row, column), value, half = place, float(panel.values[place]), float(panel.halves[place])
    if not math.isfinite(value):
        axes.text(column, row, "–", ha="center", va="center", color="0.4", fontsize=9)
        return
    ink = _ink(background)
    weight = "bold" if panel.difference and abs(value) > half else "normal"
    same = panel.difference and value == half == 0  # with itself
    number = "0" if same else f"{value:{'+' if panel.difference else ''}.{panel.digits}f}".replace("-", "−")
    show = math.isfinite(half) and not same
    up = 0.13 if show else 0
    axes.text(column, row - up, number, ha="center", va="center", color=ink, fontsize=9, fontweight=weight)
    if show:
        axes.text(column, row + 0.25, f"±{half:.{panel.digits}f}", ha="center", va="center", color=ink, fontsize=6.5)


def _ink(colour: tuple[float, ...]) -> str:
    """Black or white, whichever has the higher contrast on that colour (WCAG 2 relative luminance)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour[:3]]
    luminance = float(np.dot((0.2126, 0.7152, 0.0722), linear))
    return "black" if (luminance + 0.05) ** 2 > 0.05 * 1.05 else "white"
