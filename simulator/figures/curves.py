"""Curves with 95 % intervals: a metric against SNR or rate, a panel a channel or what an experiment compares."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from semlink.simulator.analysis.comparison import Result, interval_of
from semlink.simulator.analysis.statistics import Interval, Line, left_out
from semlink.simulator.analysis.tables import rate
from semlink.simulator.figures.bands import UNBOUNDED, band, fit, name_lost
from semlink.simulator.figures.looks import Look, looks
from semlink.simulator.figures.style import DASHES, SNR, beside, dress, figure_of, legend_below, y_label
from semlink.simulator.figures.wording import channel_title, wrapped
from semlink.simulator.protocols import Variable
from semlink.simulator.words import labels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANELS_A_ROW = 3
MOST_TICKS = 12
CLOSEST = 0.06  # of the range, between two ticks
ZERO = Interval(0.0, 0.0, 0.0, 1)
Axis = Literal["snr_db", "rho_total"]
Name = tuple[str, float]  # of a curve: the codec, and its rate or SNR

_AXIS_LABELS = {"snr_db": SNR, "rho_total": "channel uses per source dimension (rho, CBR)"}


@dataclass(frozen=True)
class Panel:
    """What is drawn in one panel: by the names of curves, means with their intervals at places of the x axis."""

    title: str
    curves: Mapping[str, Sequence[tuple[float, Interval]]]
    y: str = ""
    variable: Variable = UNBOUNDED


def panel_of(
    title: str,
    results: Sequence[Result],
    y: str = "",
    of: Callable[[Result], Interval] = lambda result: result.value,
    variable: Variable = UNBOUNDED,
) -> Panel:
    """Results against SNR, a curve for each label. of: what is drawn of them, which is `variable`."""
    points = {name: [(r.line.snr_db, of(r)) for r in results if r.label == name] for name in (r.label for r in results)}
    return Panel(title, points, y, variable)


def curves(
    lines: Sequence[Line],
    metric: str,
    variable: Variable,
    x: Axis = "snr_db",
    difference: bool = False,
    codecs: Sequence[str] = (),
) -> Figure:
    """One metric against SNR or rate: a panel per channel with a shared y axis, a curve with its 95 % band per codec
    and rate (or, against rate, per codec and SNR). Failed conditions are gaps.

    difference: the lines are differences, so 0 is marked. codecs: all of the run, where not all are drawn.
    """
    chosen = [line for line in lines if line.metric == metric]
    panels = sorted(
        {(line.channel, line.csi) for line in chosen if line.csi} or {(line.channel, "") for line in chosen}
    )
    titles = labels(channel for channel, _ in panels)
    names = sorted({_curve(line, x) for line in chosen})
    styles = _styles(names, codecs)
    columns = max(1, min(PANELS_A_ROW, len(panels)))
    rows = max(1, math.ceil(len(panels) / columns))
    figure = figure_of(1.2 + 3.6 * columns, 1.1 + 3.0 * rows + 0.12 * len(names))
    grid = figure.subplots(rows, columns, sharey=True, sharex=True, squeeze=False)
    for axes, panel in zip(grid.flat, panels, strict=False):
        _panel(axes, [line for line in chosen if line.channel == panel[0]], styles, x, variable)
        axes.set_title(wrapped(channel_title(titles[panel[0]], panel[1])), fontsize=10)
        if difference:
            axes.axhline(0, color="black", linewidth=0.8)
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    for axes in grid[-1]:
        axes.set_xlabel(_AXIS_LABELS[x], fontsize=10)
    drawn = [interval_of(line) for line in chosen]
    fit(grid[0, 0], drawn + ([ZERO] if difference else []), variable)
    name_lost(grid[0, 0], drawn)
    figure.supylabel(beside(figure, y_label(metric, variable)), fontsize=10)
    _count(figure, drawn, left_out(chosen))
    legend_below(figure, list(grid.flat)[: len(panels)])
    return figure


def against_rate(lines: Sequence[Line], metric: str, variable: Variable) -> Figure:
    """One metric against rate, at the lowest, middle and highest SNR of the lines."""
    some = low_mid_high([line.snr_db for line in lines])
    codecs = [line.codec for line in lines]
    return curves([line for line in lines if line.snr_db in some], metric, variable, "rho_total", codecs=codecs)


def against_bits(
    title: str, results: Sequence[Result], metric: str, bits: str, snr_db: float, variable: Variable
) -> Panel:
    """A metric at one SNR against the mean of `bits`, of the labels whose rows have it, for `panels`."""
    at = [r for r in results if r.line.snr_db == snr_db]
    places = {(r.label, r.line.rho): r.line.mean for r in at if r.line.metric == bits and r.line.n}
    points: dict[str, list[tuple[float, Interval]]] = {}
    for r in sorted((r for r in at if (r.label, r.line.rho) in places), key=lambda r: places[r.label, r.line.rho]):
        if r.line.metric == metric:
            points.setdefault(r.label, []).append((places[r.label, r.line.rho], r.value))
    return Panel(f"{title}, {snr_db:g} dB", points, variable=variable)


def low_mid_high(values: Sequence[float]) -> list[float]:
    """Lowest, middle and highest of them."""
    found = sorted(set(values))
    return sorted({found[0], found[len(found) // 2], found[-1]})


def panels(rows: Sequence[Sequence[Panel]], size: tuple[float, float], y: str = "", x: str = SNR) -> Figure:
    """A grid of panels. size: of one in inches. y: what all show, on one axis a row; none: each its own. x: of all."""
    columns = max(map(len, rows))
    figure = figure_of(1.0 + size[0] * columns, 1.2 + size[1] * len(rows))
    grid = figure.subplots(len(rows), columns, sharex=True, sharey="row" if y else False, squeeze=False)
    found = looks(name for row in rows for panel in row for name in panel.curves)
    for line, row in zip(grid, rows, strict=True):
        for axes, panel in zip(line, row, strict=True):
            drawn = [i for p in (row if y else [panel]) for points in p.curves.values() for _, i in points]
            _bands(axes, panel, found)
            fit(axes, drawn, panel.variable)
            name_lost(axes, drawn)
    for axes in grid[-1]:
        axes.set_xlabel(x, fontsize=9)
    figure.supylabel(beside(figure, y), fontsize=10)
    _count(figure, [i for curve in figure.curves for _, i in curve.points])
    legend_below(figure, list(grid.flat), columns=5)
    return figure


def _count(figure: Figure, drawn: Sequence[Interval], more: str = "") -> None:
    """Of how many pictures, or clips, means are, above all panels."""
    from semlink.simulator.figures.sheet import counted

    figure.suptitle(f"{counted(drawn)}{more}", fontsize=8)


def _bands(axes: Axes, panel: Panel, found: Mapping[str, Look]) -> None:
    for name, points in panel.curves.items():
        style = {"color": found[name].colour, "marker": found[name].marker, "markersize": 4}
        band(axes, points, name, style, 1.4, panel.variable)
    _ticks(axes, sorted({x for points in panel.curves.values() for x, _ in points}))
    dress(axes)
    axes.set_title(panel.title, fontsize=9)
    axes.set_ylabel(panel.y, fontsize=9)


def _ticks(axes: Axes, places: Sequence[float], labels: Sequence[str] | None = None) -> None:
    """A tick at each of some rising places, unless there are too many or two would write over each other."""
    gaps = [after - before for before, after in itertools.pairwise(places)]
    apart = not gaps or min(gaps) >= CLOSEST * (places[-1] - places[0])
    if len(places) <= MOST_TICKS and apart:
        axes.set_xticks(places, labels)


def _curve(line: Line, x: Axis) -> Name:
    return (line.codec, line.rho if x == "snr_db" else line.snr_db)


def _panel(
    axes: Axes, lines: Sequence[Line], styles: Mapping[Name, Mapping[str, Any]], x: Axis, variable: Variable
) -> None:
    said = labels(codec for codec, _ in styles)
    for name, style in styles.items():
        points = sorted((line for line in lines if _curve(line, x) == name), key=lambda line: getattr(line, x))
        if points:
            drawn = [(getattr(p, x), interval_of(p)) for p in points]
            band(axes, drawn, f"{said[name[0]]}, {_second(name[1], x)}", style, 1.6, variable)
    if x == "snr_db":
        _ticks(axes, sorted({line.snr_db for line in lines}))
    else:
        rates = sorted({line.rho for line in lines})
        _ticks(axes, rates, [rate(rho) for rho in rates])
    dress(axes, 9)


def _styles(names: Sequence[Name], others: Sequence[str]) -> dict[Name, dict[str, Any]]:
    """A colour and marker per codec, a dash per rate (or SNR)."""
    found = looks((*(codec for codec, _ in names), *others))
    seconds = sorted({second for _, second in names})
    return {
        (codec, second): {
            "color": found[codec].colour,
            "marker": found[codec].marker,
            "linestyle": DASHES[seconds.index(second) % len(DASHES)],
            "markersize": 5,
        }
        for codec, second in names
    }


def _second(value: float, x: Axis) -> str:
    return f"rho {rate(value)}" if x == "snr_db" else f"{value:g} dB"
