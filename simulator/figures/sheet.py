"""A figure that remembers the numbers of its curves, and what it says of them: a table for pgfplots, and a caption."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from semlink.simulator.analysis.statistics import Interval

Point = tuple[float, Interval]


@dataclass(frozen=True)
class Drawn:
    """One curve in one panel."""

    axes: Axes
    label: str
    points: tuple[Point, ...]


class Sheet(Figure):
    """curves: what was drawn, in order. caption: what is to be said below it, where no curve says it."""

    def __init__(self, *args: Any, **settings: Any) -> None:  # as matplotlib's own
        super().__init__(*args, **settings)
        self.curves: list[Drawn] = []
        self.caption = ""


def remember(axes: Axes, label: str, points: Sequence[Point]) -> None:
    """Keep the numbers of a curve on a sheet; other figures keep none."""
    sheet = axes.get_figure()
    if isinstance(sheet, Sheet):
        sheet.curves.append(Drawn(axes, label, tuple(points)))


def table(sheet: Sheet) -> tuple[list[str], list[list[float]]]:
    """Names of columns and rows of numbers: x, and of each curve its mean and the ends of its interval; NaN for gaps.

    Names begin with the panel's title where there are several, and hold no comma, quote or brace, so that pgfplots
    reads them: `\\addplot table [x=x, y={AWGN: semlink rho 1/12}, col sep=comma] {psnr_vs_snr_curves.csv};`
    """
    several = len({id(curve.axes) for curve in sheet.curves}) > 1
    head, columns = ["x"], []
    for curve in sheet.curves:
        name = _plain(f"{title(curve.axes)}: {curve.label}" if several else curve.label)
        for end in ("", " low", " high"):
            head.append(name + end)
            columns.append({x: getattr(i, end.strip() or "mean") for x, i in curve.points})
    places = sorted({x for curve in sheet.curves for x, _ in curve.points})
    return head, [[x, *(column.get(x, math.nan) for column in columns)] for x in places]


def _plain(name: str) -> str:
    return " ".join(re.sub(r"[,\"'{}\[\]\\]", " ", name).split())


def counted(intervals: Sequence[Interval]) -> str:
    """Of how many values means are: `n = 24`, or `n = 20 to 24`; nothing where there are none."""
    found = sorted({interval.n for interval in intervals if interval.n})
    return f"n = {found[0]}" + (f" to {found[-1]}" if len(found) > 1 else "") if found else ""


def caption(sheet: Sheet) -> str:
    """What stands below the figure in a paper: axes, panels, curves, what bars are and of how many values."""
    if not sheet.curves:
        return sheet.caption
    return " ".join([*_sentences(sheet), *([sheet.caption] if sheet.caption else [])])


def _sentences(sheet: Sheet) -> Iterator[str]:
    panels = list({id(curve.axes): curve.axes for curve in sheet.curves}.values())
    each = dict.fromkeys(axes.get_ylabel() for axes in panels if axes.get_ylabel())
    shown = " ".join(sheet.get_supylabel().split()) or "; ".join(each)
    against = list(dict.fromkeys(axes.get_xlabel() for axes in sheet.axes if axes.get_xlabel()))
    yield f"{shown or 'Quality'} against {' and '.join(against)}."
    titles = [found for axes in panels if (found := title(axes))]
    if titles:
        yield f"Panels: {'; '.join(titles)}."
    yield f"Curves: {'; '.join(dict.fromkeys(curve.label for curve in sheet.curves))}."
    intervals = [interval for curve in sheet.curves for _, interval in curve.points]
    yield f"Bars are 95 % intervals{', ' if counted(intervals) else ''}{counted(intervals)}."
    if any(interval.lost for interval in intervals if interval.n):
        yield "Open markers: so many pictures lost bits."


def title(axes: Axes) -> str:
    """A panel's title in one line."""
    return " ".join(axes.get_title().split())
