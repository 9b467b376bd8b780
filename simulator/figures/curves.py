"""Figures from rows: curves with 95 % bands, one panel a channel, and strips of received pictures. Needs matplotlib.

Figures are made without pyplot, so there is no global state; colours are Okabe and Ito's, safe for the colour-blind.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from semlink.simulator.analysis.statistics import Line
from semlink.simulator.files import slug, write_aside
from semlink.simulator.protocols import Variable
from semlink.simulator.records.rows import Measurement, Rows
from semlink.simulator.records.store import Condition
from semlink.simulator.words import short

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C6D31")
MARKERS = "osD^vPX*"
DASHES = ("-", "--", ":", "-.")
PANELS_A_ROW = 3
CHARACTER = 0.07  # width of a character of a legend, in inches
Axis = Literal["snr_db", "rho_total"]

_AXIS_LABELS = {"snr_db": "SNR Es/N0 (dB)", "rho_total": "channel uses per source dimension (rho)"}


def curves(lines: Sequence[Line], metric: str, variable: Variable, x: Axis = "snr_db") -> Figure:
    """One metric against SNR or rate: a panel per channel with a shared y axis, a curve with its 95 % band per codec
    and rate (or, against rate, per codec and SNR). Failed conditions are gaps."""
    from matplotlib.figure import Figure

    chosen = [line for line in lines if line.metric == metric]
    panels = sorted(
        {(line.channel, line.csi) for line in chosen if line.csi} or {(line.channel, "") for line in chosen}
    )
    names = sorted({_curve(line, x) for line in chosen})
    columns = max(1, min(PANELS_A_ROW, len(panels)))
    rows = max(1, math.ceil(len(panels) / columns))
    figure = Figure(figsize=(1.2 + 3.6 * columns, 1.1 + 3.0 * rows + 0.12 * len(names)), layout="constrained")
    grid = figure.subplots(rows, columns, sharey=True, sharex=True, squeeze=False)
    for axes, panel in zip(grid.flat, panels, strict=False):
        _panel(axes, [line for line in chosen if line.channel == panel[0]], names, x)
        axes.set_title(f"{short(panel[0])} (CSI {panel[1] or 'unknown'})", fontsize=10)
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    for axes in grid[-1]:
        axes.set_xlabel(_AXIS_LABELS[x], fontsize=10)
    figure.supylabel(y_label(metric, variable), fontsize=10)
    handles, labels = _legend(list(grid.flat)[: len(panels)])
    columns = _legend_columns(labels, figure.get_figwidth())
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False, fontsize=9)
    return figure


def strip(
    measurements: Sequence[Measurement], picture: Callable[[Condition | None], Path], channel: str
) -> Figure | None:
    """The first picture of the set as sent and as received over `channel`: a row per codec and rate, columns at the
    lowest, middle and highest SNR, captions with the picture's PSNR. None when no picture was kept."""
    from matplotlib.figure import Figure

    kept = [m for m in measurements if m.condition.channel == channel and picture(m.condition).exists()]
    if not kept or not picture(None).exists():
        return None
    names = sorted({(m.condition.codec, m.condition.rho) for m in kept})
    snrs = _low_mid_high(sorted({m.condition.snr_db for m in kept}))
    original = _pixels(picture(None))
    height = 2.2 * original.shape[0] / original.shape[1]
    figure = Figure(figsize=(2.3 * (len(snrs) + 1), 0.6 + (height + 0.25) * len(names)), layout="constrained")
    grid = figure.add_gridspec(len(names), len(snrs) + 1)
    _show(figure.add_subplot(grid[0, 0]), original, "original")
    by_condition = {m.condition: m for m in kept}
    for row, (codec, rho) in enumerate(names):
        for column, snr in enumerate(snrs, start=1):
            axes = figure.add_subplot(grid[row, column])
            found = by_condition.get(Condition(codec, rho, channel, snr))
            _show_received(axes, found, picture, f"{snr:g} dB SNR" if row == 0 else "")
            if column == 1:
                axes.set_ylabel(f"{short(codec)}\nrho {rho:.3g}", fontsize=9)
    figure.suptitle(f"{short(channel)} (CSI {kept[0].csi})", fontsize=10)
    return figure


def save(figure: Figure, stem: Path) -> tuple[Path, Path]:
    """`stem`.png and `stem`.pdf, each all or nothing; returns their paths."""
    paths = stem.with_name(stem.name + ".png"), stem.with_name(stem.name + ".pdf")
    for path in paths:
        kind = path.suffix[1:]
        # The same rows give the same file.
        stable: dict[str, Any] = {"metadata": {"CreationDate": None}} if kind == "pdf" else {}
        write_aside(path, partial(figure.savefig, format=kind, dpi=150, **stable))
    return paths


def draw(
    rows: Rows, lines: Sequence[Line], metrics: Sequence[str], out: Path, picture: Callable[[Condition | None], Path]
) -> list[Path]:
    """All figures of a sweep into `out`: a curve figure per metric, a strip per channel. Returns the files."""
    files: list[Path] = []
    for metric in metrics:
        if any(line.metric == metric for line in lines):
            figure = curves(lines, metric, rows.variable(metric))
            files += save(figure, out / f"{slug(metric)}_vs_snr")
    for channel in sorted({m.condition.channel for m in rows.measurements}):
        pictures = strip(rows.measurements, picture, channel)
        if pictures is not None:
            files += save(pictures, out / f"pictures_{slug(channel)}")
    return files


def _curve(line: Line, x: Axis) -> tuple[str, float]:
    return (line.codec, line.rho if x == "snr_db" else line.snr_db)


def _panel(axes: Axes, lines: Sequence[Line], names: Sequence[tuple[str, float]], x: Axis) -> None:
    for name, style in _styles(names).items():
        points = sorted((line for line in lines if _curve(line, x) == name), key=lambda line: getattr(line, x))
        if points:
            _draw_curve(axes, points, style, _name(name, x), x)
    measured = sorted({getattr(line, x) for line in lines})
    if x == "snr_db" and len(measured) <= 12:
        axes.set_xticks(measured)
    axes.grid(True, color="0.9", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=9)


def _styles(names: Sequence[tuple[str, float]]) -> dict[tuple[str, float], dict[str, str]]:
    """A colour and marker per codec, a dash per rate (or SNR)."""
    codecs, seconds = (list(dict.fromkeys(sorted(part))) for part in zip(*names, strict=True)) if names else ([], [])
    return {
        (codec, second): {
            "color": COLOURS[codecs.index(codec) % len(COLOURS)],
            "marker": MARKERS[codecs.index(codec) % len(MARKERS)],
            "linestyle": DASHES[seconds.index(second) % len(DASHES)],
        }
        for codec, second in names
    }


def _draw_curve(axes: Axes, points: Sequence[Line], style: dict[str, Any], label: str, x: Axis) -> None:
    at = [getattr(line, x) for line in points]
    axes.plot(at, [line.mean for line in points], **style, markersize=5, linewidth=1.6, label=label)
    low, high = [line.ci95_low for line in points], [line.ci95_high for line in points]
    axes.fill_between(at, low, high, color=style["color"], alpha=0.12, linewidth=0)


def _name(name: tuple[str, float], x: Axis) -> str:
    return f"{short(name[0])}, " + (f"rho {name[1]:.3g}" if x == "snr_db" else f"{name[1]:g} dB")


def _legend(panels: Sequence[Axes]) -> tuple[list[Artist], list[str]]:
    found = {label: handle for axes in panels for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    return list(found.values()), list(found)


def _legend_columns(labels: Sequence[str], inches: float) -> int:
    """At most three, and as many as fit side by side."""
    longest = max(map(len, labels), default=1)
    return max(1, min(3, len(labels), int(inches / (0.55 + CHARACTER * longest))))


def y_label(metric: str, variable: Variable) -> str:
    """A metric with its unit and which way is better, for an axis."""
    units = f" ({variable.units})" if variable.units not in ("", "1") else ""
    better = f", {variable.better} is better" if variable.better else ""
    return f"{variable.label or metric}{units}{better}"


def _low_mid_high(snrs: Sequence[float]) -> list[float]:
    return sorted({snrs[0], snrs[len(snrs) // 2], snrs[-1]})


def _pixels(path: Path) -> np.ndarray:
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def _show(axes: Axes, pixels: np.ndarray, title: str) -> None:
    axes.imshow(pixels, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    axes.set_title(title, fontsize=9)


def _show_received(
    axes: Axes, found: Measurement | None, picture: Callable[[Condition | None], Path], title: str
) -> None:
    if found is None:
        axes.set_axis_off()
        axes.set_title(title, fontsize=9)
        return
    _show(axes, _pixels(picture(found.condition)), title)
    if "psnr" in found.values and found.positions and found.positions[0] == 0:
        axes.set_xlabel(f"PSNR {found.values['psnr'][0]:.1f} dB", fontsize=8, labelpad=2)
