"""A curve with its 95 % intervals, and how many pictures each of its points lost on the way. Needs matplotlib."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from semlink.simulator.analysis.statistics import Interval
from semlink.simulator.protocols import Variable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

REACH = 1.0
BESIDE = 3.0  # points between the bars of two curves
UNBOUNDED = Variable()


def band(
    axes: Axes,
    points: Sequence[tuple[float, Interval]],
    label: str,
    style: Mapping[str, Any],
    width: float,
    variable: Variable = UNBOUNDED,
) -> None:
    """A curve through the means, and their intervals as bars, no further than values can be.

    Bars of the curves of one panel stand side by side, so that each can be read where curves meet.
    """
    aside = _aside(len(axes.lines))
    from matplotlib.transforms import ScaledTranslation

    from semlink.simulator.figures.sheet import remember

    drawn = [(x, i.within(variable.least, variable.most)) for x, i in points]
    remember(axes, label, drawn)
    at = [x for x, _ in drawn]
    axes.plot(at, [i.mean for _, i in drawn], **style, linewidth=width, label=label)
    low, high = [i.low for _, i in drawn], [i.high for _, i in drawn]
    bars = axes.vlines(at, low, high, color=style["color"], alpha=0.6, linewidth=1.4)
    figure = axes.get_figure()
    assert figure is not None
    bars.set_transform(axes.transData + ScaledTranslation(aside / 72, 0, figure.dpi_scale_trans))
    _mark_lost(axes, [(x, i) for x, i in drawn if i.lost and i.n], style)


def name_lost(axes: Axes, drawn: Sequence[Interval]) -> None:
    """A legend's entry for open markers and the numbers beside them, where there are some."""
    counts = [i.n for i in drawn if i.lost and i.n]
    if counts:
        said = f"bits lost in n of {max(counts)} pictures"
        axes.scatter([], [], facecolors="white", edgecolors="0.3", label=said)


def fit(axes: Axes, drawn: Sequence[Interval], variable: Variable = UNBOUNDED) -> None:
    """Let the means fill the height: bands that go beyond them by more than `REACH` times their range are cut."""
    means = [i.mean for i in drawn if math.isfinite(i.mean)]
    span = max(means) - min(means) if means else 0.0
    if span > 0:
        within = [i.within(variable.least, variable.most) for i in drawn]
        ends = [end for i in within for end in (i.low, i.high) if math.isfinite(end)]
        low = max(min([*means, *ends]), min(means) - REACH * span)
        high = min(max([*means, *ends]), max(means) + REACH * span)
        axes.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))


def _aside(place: int) -> float:
    """Points by which the bars of the curve at that place stand beside its markers."""
    return BESIDE * ((place + 1) // 2) * (-1) ** place


def _mark_lost(axes: Axes, points: Sequence[tuple[float, Interval]], style: Mapping[str, Any]) -> None:
    colour, size = style["color"], (1 + style["markersize"]) ** 2
    at = [x for x, _ in points], [i.mean for _, i in points]
    if points:
        axes.scatter(*at, size, marker=style["marker"], facecolors="white", edgecolors=colour, zorder=3)
    for x, i in points:
        axes.annotate(str(i.lost), (x, i.mean), (4, 4), textcoords="offset points", color=colour, fontsize=7, zorder=4)
