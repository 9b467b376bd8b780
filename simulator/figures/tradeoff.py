"""Quality against number of steps and against decoding time. Needs matplotlib."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from semlink.simulator.analysis.comparison import Entry, compare
from semlink.simulator.analysis.statistics import Interval
from semlink.simulator.figures.looks import MARKERS, looks
from semlink.simulator.figures.style import dress, figure_of, y_label
from semlink.simulator.protocols import Variable
from semlink.simulator.records.rows import Rows
from semlink.simulator.words import labels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Steps = int | None
BUDGET, PLAIN = "*", "_"  # markers


@dataclass(frozen=True)
class Point:
    """A decoder's quality and decoding seconds per picture; steps: 0 without diffusion, None: by the noise level."""

    steps: Steps
    seconds: float
    quality: Interval


@dataclass(frozen=True)
class _Curve:
    """The points of one decoder, from few steps to many, the budget last."""

    label: str
    colour: str
    points: tuple[Point, ...]

    @property
    def plain(self) -> bool:
        """Whether it has no steps to choose."""
        return all(point.steps == 0 for point in self.points)

    @property
    def fixed(self) -> tuple[Point, ...]:
        """Points of a given number of steps."""
        return tuple(point for point in self.points if point.steps is not None)


def tradeoff(decoders: Mapping[str, Sequence[Point]], variable: Variable, title: str) -> Figure:
    """Two panels that share quality, with 95 % intervals: against number of steps, and against decoding seconds.

    A colour per decoder and a marker per number of steps, a star where steps follow the noise level (a dotted line in
    the first panel); decoders without steps are dashed lines there. What no decoder beats in both time and quality is
    joined in grey. Points that failed (n = 0) are left out.
    """
    curves = _curves(decoders, variable)
    markers = _markers(point.steps for curve in curves for point in curve.points)
    figure = figure_of(8.6, 3.7 + 0.14 * len(curves))
    left, right = figure.subplots(1, 2, sharey=True)
    _against_steps(left, curves, markers)
    _against_time(right, curves, markers, variable.better)
    left.set_ylabel(y_label("quality", variable), fontsize=9)
    for axes in (left, right):
        dress(axes, which="both")
    figure.suptitle(title, fontsize=9)
    _legend(figure, curves, markers)
    return figure


def points(
    rows: Rows, decoders: Mapping[str, Mapping[Steps, Entry]], metrics: tuple[str, str], rho: float, snr_db: float
) -> dict[str, list[Point]]:
    """Quality and decoding time of each decoder's numbers of steps. metrics: names of both in rows."""
    found: dict[str, list[Point]] = {}
    for label, entries in decoders.items():
        for steps, entry in entries.items():
            quality, time = compare(rows, [entry], (), metrics, (rho,), (snr_db,))
            found.setdefault(label, []).append(Point(steps, time.value.mean, quality.value))
    return found


def frontier(points: Iterable[Point], better: str) -> list[Point]:
    """Points that no other beats in both time and quality, from fast to slow. better: "higher" or "lower" quality."""
    sign = 1 if better == "lower" else -1
    best: list[Point] = []
    for point in sorted(points, key=lambda p: (p.seconds, sign * p.quality.mean)):
        if not best or sign * point.quality.mean < sign * best[-1].quality.mean:
            best.append(point)
    return best


def _curves(decoders: Mapping[str, Sequence[Point]], variable: Variable) -> list[_Curve]:
    measured = {label: [_within(p, variable) for p in points if p.quality.n] for label, points in decoders.items()}
    ordered = {
        label: tuple(sorted(points, key=lambda p: (p.steps is None, p.steps or 0)))
        for label, points in measured.items()
        if points
    }
    found, said = looks(ordered), labels(ordered)
    return [_Curve(said[label], found[label].colour, points) for label, points in ordered.items()]


def _within(point: Point, variable: Variable) -> Point:
    return replace(point, quality=point.quality.within(variable.least, variable.most))


def _markers(steps: Iterable[Steps]) -> dict[Steps, str]:
    found = set(steps)
    numbers = sorted(n for n in found if n)
    free = MARKERS.replace(BUDGET, "")
    markers: dict[Steps, str] = {n: free[i % len(free)] for i, n in enumerate(numbers)}
    return {**markers, **{n: marker for n, marker in ((None, BUDGET), (0, PLAIN)) if n in found}}


def _against_steps(axes: Axes, curves: Sequence[_Curve], markers: Mapping[Steps, str]) -> None:
    from semlink.simulator.figures.sheet import remember

    for curve in curves:
        remember(axes, f"{curve.label} by steps", [(p.steps or 0, p.quality) for p in curve.fixed])
        for point in (p for p in curve.points if not p.steps):
            axes.axhline(
                point.quality.mean, color=curve.colour, linestyle="--" if point.steps == 0 else ":", linewidth=1.2
            )
        stepped = {p.steps: p for p in curve.fixed if p.steps}
        axes.plot(list(stepped), [p.quality.mean for p in stepped.values()], color=curve.colour, linewidth=1.2)
        for steps, point in stepped.items():
            _mark(axes, steps, point, curve.colour, markers)
    numbers = [n for n in markers if n]
    if numbers:
        axes.set_xscale("log")
        axes.set_xticks(numbers, [str(n) for n in numbers])
        axes.minorticks_off()
    axes.set_xlabel("steps of the decoder", fontsize=9)


def _against_time(axes: Axes, curves: Sequence[_Curve], markers: Mapping[Steps, str], better: str) -> None:
    from semlink.simulator.figures.sheet import remember

    best = frontier((point for curve in curves for point in curve.points), better)
    axes.plot([p.seconds for p in best], [p.quality.mean for p in best], color="0.8", linewidth=5, zorder=1)
    for curve in curves:
        remember(axes, f"{curve.label} by seconds", [(p.seconds, p.quality) for p in curve.points])
        at = [p.seconds for p in curve.fixed]
        axes.plot(at, [p.quality.mean for p in curve.fixed], color=curve.colour, linewidth=1.2)
        for point in curve.points:
            _mark(axes, point.seconds, point, curve.colour, markers)
    axes.set_xscale("log")
    axes.set_xlabel("decoding seconds per picture, measured here", fontsize=9)


def _mark(axes: Axes, x: float, point: Point, colour: str, markers: Mapping[Steps, str]) -> None:
    quality, size = point.quality, 5 if point.steps else 11
    whiskers = [[quality.mean - quality.low], [quality.high - quality.mean]] if quality.n > 1 else None
    style: dict[str, Any] = {"color": colour, "marker": markers[point.steps], "markersize": size}
    axes.errorbar([x], [quality.mean], whiskers, elinewidth=0.8, capsize=1.5, **style)


def _legend(figure: Figure, curves: Sequence[_Curve], markers: Mapping[Steps, str]) -> None:
    from matplotlib.lines import Line2D

    lines = [
        Line2D([], [], color=curve.colour, linestyle="--" if curve.plain else "-", label=curve.label)
        for curve in curves
    ]
    marks = [Line2D([], [], color="black", linestyle="", marker=m, label=name_steps(n)) for n, m in markers.items()]
    marks.append(Line2D([], [], color="0.8", linewidth=5, label="nothing is better and faster"))
    columns = 2 if max((len(curve.label) for curve in curves), default=0) > 40 else 3
    figure.legend(handles=lines + marks, loc="outside lower center", ncols=columns, frameon=False, fontsize=8)


def name_steps(steps: Steps) -> str:
    """A number of steps in words."""
    if not steps:
        return "no diffusion" if steps == 0 else "steps by the noise level"
    return f"{steps} step{'s' if steps > 1 else ''}"
