"""Figures of coding for regions: differences to a baseline as bars, and received pictures with the region outlined.

Needs matplotlib; made without pyplot, as in `plots`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from semlink.simulator.analysis.comparison import Result
from semlink.simulator.analysis.statistics import NOTHING, Interval
from semlink.simulator.data import pictures
from semlink.simulator.figures.curves import COLOURS
from semlink.simulator.protocols import Variable
from semlink.simulator.records.rows import Measurement
from semlink.simulator.records.store import picture_path
from semlink.simulator.words import short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 0.8  # of a group of bars
OUTLINE = "#FFD400"


@dataclass(frozen=True)
class Tile:
    """A picture float32 `[3, H, W]` in [0, 1], or None where there is none; what is written above and below it."""

    pixels: np.ndarray | None
    above: str
    below: str = ""


def received(out: Path, measurement: Measurement) -> Tile:
    """The first picture of the set as it was received under a condition, if `out` holds it."""
    path, values = picture_path(out, measurement.condition), measurement.values
    said = f"PSNR {values['psnr'][0]:.1f} dB, region {values['psnr_roi'][0]:.1f} dB"
    name = short(measurement.condition.codec).replace(":", ":\n", 1)
    return Tile(pictures.read(path) if path.exists() else None, name, said)


def gains(results: Sequence[Result], variables: Mapping[str, Variable], baseline: str, title: str) -> Figure:
    """A panel per metric, a group of bars per SNR, a bar per entry: its paired difference to the baseline's.

    Every bar has its 95 % interval, and the legend says what share of the channel each entry used.
    """
    from matplotlib.figure import Figure

    columns = min(2, len(variables))
    rows = math.ceil(len(variables) / columns)
    figure = Figure(figsize=(0.8 + 4.2 * columns, 1.2 + 2.7 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, sharex=True, squeeze=False)
    for axes, (metric, variable) in zip(grid.flat, variables.items(), strict=False):
        _bars(axes, [r for r in results if r.line.metric == metric], baseline)
        units = f" ({variable.units})" if variable.units not in ("", "1") else ""
        axes.set_title(f"{variable.label}{units}", fontsize=9)
    for axes in grid.flat[len(variables) :]:
        axes.set_visible(False)
    for axes in grid[-1]:
        axes.set_xlabel("SNR Es/N0 (dB)", fontsize=9)
    figure.supylabel(f"more than {baseline}{_total(results, baseline)}, 95 % intervals", fontsize=9)
    figure.suptitle(title, fontsize=9)
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(4, len(labels)), frameon=False, fontsize=8)
    return figure


def strip(rows: Sequence[tuple[str, Sequence[Tile]]], region: np.ndarray | None = None) -> Figure:
    """Pictures side by side, each row with a title; the first of a row has the region `[H, W]` outlined, if given."""
    from matplotlib.figure import Figure

    columns = max(len(tiles) for _, tiles in rows)
    shapes = [tile.pixels.shape[1:] for _, tiles in rows for tile in tiles if tile.pixels is not None]
    height = 2.7 * max((high / wide for high, wide in shapes), default=1.0)
    figure = Figure(figsize=(0.2 + 2.75 * columns, (height + 0.65) * len(rows)), layout="constrained")
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for line, (title, tiles) in zip(grid, rows, strict=True):
        for place, axes in enumerate(line):
            _tile(axes, tiles[place] if place < len(tiles) else Tile(None, ""))
        if region is not None:
            line[0].contour(region.astype(float), levels=[0.5], colors=OUTLINE, linewidths=1.2)
        line[0].set_ylabel(title, fontsize=8)
    return figure


def _bars(axes: Axes, results: Sequence[Result], baseline: str) -> None:
    snrs = sorted({r.line.snr_db for r in results})
    labels = [label for label in dict.fromkeys(r.label for r in results) if label != baseline]
    for place, label in enumerate(labels):
        own = {r.line.snr_db: r.minus.get(baseline, NOTHING) for r in results if r.label == label}
        found = [own.get(snr, NOTHING) for snr in snrs]
        at = np.arange(len(snrs)) + WIDTH * ((place + 0.5) / len(labels) - 0.5)
        axes.bar(
            at,
            [i.mean for i in found],
            0.92 * WIDTH / len(labels),
            yerr=_whiskers(found),
            color=COLOURS[place + 1],  # the first colour is the baseline's
            error_kw={"elinewidth": 0.9, "capsize": 2},
            label=f"{label}{_total(results, label)}",
        )
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set_xticks(range(len(snrs)), [f"{snr:g}" for snr in snrs])
    axes.grid(True, axis="y", color="0.9", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)


def _whiskers(found: Sequence[Interval]) -> list[list[float]]:
    """Distances to the interval's ends, 2 x n; none where there is no interval."""
    return np.nan_to_num([[i.mean - i.low for i in found], [i.high - i.mean for i in found]]).tolist()


def _total(results: Sequence[Result], label: str) -> str:
    """The mean of rho_total over an entry's results, in words."""
    found = [r.line.rho_total for r in results if r.label == label and math.isfinite(r.line.rho_total)]
    return f" (rho {np.mean(found):.4f})" if found else ""


def _tile(axes: Axes, tile: Tile) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    axes.set_title(tile.above, fontsize=7.5)
    axes.set_xlabel(tile.below, fontsize=8, labelpad=2)
    if tile.pixels is not None:
        axes.imshow(tile.pixels.transpose(1, 2, 0), interpolation="nearest")
