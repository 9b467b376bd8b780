"""Strips of pictures as they were sent and received, side by side. Need matplotlib."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from semlink.simulator.analysis.comparison import Entry
from semlink.simulator.analysis.tables import rate
from semlink.simulator.data import pictures
from semlink.simulator.figures.curves import low_mid_high
from semlink.simulator.figures.style import bare, figure_of
from semlink.simulator.records.rows import Measurement, Rows
from semlink.simulator.records.store import Condition, picture_path
from semlink.simulator.words import short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

OUTLINE = "#FFD400"
TILES_A_ROW = 5
CHARACTERS = 42  # side by side above a picture


@dataclass(frozen=True)
class Tile:
    """A picture float32 `[3, H, W]` in [0, 1], or None where there is none; what is written above and below it."""

    pixels: np.ndarray | None
    above: str
    below: str = ""


def delivered(
    out: Path,
    rows: Rows,
    panels: Mapping[str, Sequence[Entry]],
    at: tuple[float, float],
    said: tuple[Mapping[str, str], str],
    region: Callable[[np.ndarray], np.ndarray] | None = None,
) -> Iterator[tuple[str, Figure]]:
    """The first picture of the set as sent, and as each panel's entries delivered it; nothing if it was not kept.

    Each panel begins a row, and has another behind `TILES_A_ROW` pictures. at: rate and SNR. said: what is written
    below a picture: metrics by label, and how values are spelt, as in "{:.1f} dB". region: where a picture
    `[3, H, W]` is of interest, bool `[H, W]`, to be outlined in the sent one.
    """
    if not picture_path(out, None).exists():
        return
    original = pictures.read(picture_path(out, None))
    sent = Tile(original, "original, region outlined" if region else "original")
    lines = []
    for title, entries in panels.items():
        tiles = [sent, *received(out, rows, [entry.at(*at) for entry in entries], *said)]
        name = f"{title}, {at[1]:g} dB, rho {rate(at[0])}"
        lines += [(name, tiles[i : i + TILES_A_ROW]) for i in range(0, len(tiles), TILES_A_ROW)]
    yield "pictures", strip(lines, region(original) if region else None)


def received(out: Path, rows: Rows, conditions: Iterable[Condition], said: Mapping[str, str], spelt: str) -> list[Tile]:
    """The first picture as it was received under each condition that did not fail, if `out` holds it."""
    found = {m.condition: m for m in rows.measurements if not m.error}
    kept = [c for c in conditions if c in found and picture_path(out, c).exists()]
    return [_received(out, found[c], said, spelt) for c in kept]


def strip(rows: Sequence[tuple[str, Sequence[Tile]]], region: np.ndarray | None = None) -> Figure:
    """Pictures side by side, each row with a title. region `[H, W]`: outlined in the very first, wherever that is shown
    again at the beginning of a row."""
    columns = max(len(tiles) for _, tiles in rows)
    shapes = [tile.pixels.shape[1:] for _, tiles in rows for tile in tiles if tile.pixels is not None]
    height = 2.7 * max((high / wide for high, wide in shapes), default=1.0)
    figure = figure_of(0.2 + 2.75 * columns, (height + 0.65) * len(rows))
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for line, (title, tiles) in zip(grid, rows, strict=True):
        for place, axes in enumerate(line):
            _tile(axes, tiles[place] if place < len(tiles) else Tile(None, ""))
        if region is not None and tiles[0] is rows[0][1][0]:
            line[0].contour(region.astype(float), levels=[0.5], colors=OUTLINE, linewidths=1.2)
        line[0].set_ylabel(title, fontsize=8)
    return figure


def of_channel(
    measurements: Sequence[Measurement], picture: Callable[[Condition | None], Path], channel: str
) -> Figure | None:
    """The first picture of the set as sent and as received over `channel`: a row per codec and rate, columns at the
    lowest, middle and highest SNR, captions with the picture's PSNR. None when no picture was kept."""
    kept = {m.condition: m for m in measurements if m.condition.channel == channel and picture(m.condition).exists()}
    if not kept or not picture(None).exists():
        return None
    names = sorted({(c.codec, c.rho) for c in kept})
    snrs = low_mid_high([c.snr_db for c in kept])
    original = pictures.read(picture(None))
    height = 2.2 * original.shape[1] / original.shape[2]
    figure = figure_of(2.3 * (len(snrs) + 1), 0.6 + (height + 0.25) * len(names))
    grid = figure.add_gridspec(len(names), len(snrs) + 1)
    _tile(figure.add_subplot(grid[0, 0]), Tile(original, "original"), 9)
    for row, (codec, rho) in enumerate(names):
        for column, snr in enumerate(snrs, start=1):
            axes = figure.add_subplot(grid[row, column])
            found = kept.get(Condition(codec, rho, channel, snr))
            _tile(axes, _at_snr(found, picture, "" if row else f"{snr:g} dB SNR"), 9)
            if column == 1:
                axes.set_ylabel(f"{short(codec)}\nrho {rho:.3g}", fontsize=9)
    figure.suptitle(f"{short(channel)} (CSI {next(iter(kept.values())).csi})", fontsize=10)
    return figure


def _received(out: Path, m: Measurement, said: Mapping[str, str], spelt: str) -> Tile:
    numbers = [f"{label} {spelt.format(m.values[name][0])}" for label, name in said.items() if name in m.values]
    return Tile(pictures.read(picture_path(out, m.condition)), broken(short(m.condition.codec)), ", ".join(numbers))


def broken(word: str) -> str:
    """A codec's word in lines that are no wider than a picture, broken where it has punctuation."""
    lines = [""]
    for part in re.split(r"(?<=[,;])", word.replace(":", ":\n", 1)):
        if len(lines[-1].rpartition("\n")[2]) + len(part.partition("\n")[0]) > CHARACTERS:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


def _at_snr(m: Measurement | None, picture: Callable[[Condition | None], Path], above: str) -> Tile:
    if m is None:
        return Tile(None, above)
    known = "psnr" in m.values and m.positions and m.positions[0] == 0
    said = f"PSNR {m.values['psnr'][0]:.1f} dB" if known else ""
    return Tile(pictures.read(picture(m.condition)), above, said)


def _tile(axes: Axes, tile: Tile, size: float = 7.5) -> None:
    bare(axes)
    axes.set_title(tile.above, fontsize=size)
    axes.set_xlabel(tile.below, fontsize=8, labelpad=2)
    if tile.pixels is not None:
        axes.imshow(tile.pixels.transpose(1, 2, 0), interpolation="nearest")
