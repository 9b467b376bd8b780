"""Strips of pictures as they were sent and received, side by side. Need matplotlib."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from semlink.simulator.analysis.comparison import Entry
from semlink.simulator.analysis.statistics import lost
from semlink.simulator.analysis.tables import rate
from semlink.simulator.data import pictures
from semlink.simulator.figures.curves import low_mid_high
from semlink.simulator.figures.style import bare, figure_of
from semlink.simulator.figures.wording import channel_title
from semlink.simulator.records.rows import UNDECODED, Measurement, Rows
from semlink.simulator.records.store import Condition, picture_path
from semlink.simulator.words import labels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

OUTLINE = "#FFD400"
TILES_A_ROW = 5
MOST_ROWS = 40
CHARACTERS = 42  # side by side above a picture
PIXELS = 640  # of a side, at most: more than a figure shows
FLATTEST, TALLEST = 1 / 4, 2.0  # heights of a tile over its width
NARROWEST = 8.0  # what is longer than so many times its width is no longer drawn to scale


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
    sent = Tile(reduced(original), f"{_titled(original)}, region outlined" if region else _titled(original))
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
    names = labels(c.codec for c in kept)
    return [_received(out, found[c], names[c.codec], said, spelt) for c in kept]


def strip(rows: Sequence[tuple[str, Sequence[Tile]]], region: np.ndarray | None = None) -> Figure:
    """Pictures side by side, each row with a title. region `[H, W]`: outlined in the very first, wherever that is shown
    again at the beginning of a row. Behind `MOST_ROWS` the rest is left out, and said to be."""
    shown = rows[:MOST_ROWS]
    columns = max(len(tiles) for _, tiles in shown)
    shapes = [tile.pixels.shape[1:] for _, tiles in shown for tile in tiles if tile.pixels is not None]
    height = 2.7 * max((_tile_ratio(shape) for shape in shapes), default=1.0)
    figure = figure_of(0.2 + 2.75 * columns, (height + 0.65) * len(shown))
    if len(rows) > MOST_ROWS:
        figure.suptitle(_left_out(rows).removeprefix(", "), fontsize=9)
    grid = figure.subplots(len(shown), columns, squeeze=False)
    for line, (title, tiles) in zip(grid, shown, strict=True):
        for place, axes in enumerate(line):
            _tile(axes, tiles[place] if place < len(tiles) else Tile(None, ""))
        if region is not None and tiles[0] is rows[0][1][0]:
            line[0].contour(_thinned(region, tiles[0]), levels=[0.5], colors=OUTLINE, linewidths=1.2)
        line[0].set_ylabel(title, fontsize=8)
    figure.caption = f"The first picture as sent and as each delivered it: {'; '.join(title for title, _ in shown)}."
    return figure


def of_channel(
    measurements: Sequence[Measurement], picture: Callable[[Condition | None], Path], channel: str
) -> Figure | None:
    """The first picture of the set as sent and as received over `channel`: a row per codec and rate, columns at the
    lowest, middle and highest SNR, captions with the picture's PSNR. None when no picture was kept.

    Behind `MOST_ROWS` the rest is left out, and said to be.
    """
    kept = {m.condition: m for m in measurements if m.condition.channel == channel and picture(m.condition).exists()}
    if not kept or not picture(None).exists():
        return None
    names = sorted({(c.codec, c.rho) for c in kept})
    snrs = low_mid_high([c.snr_db for c in kept])
    original = pictures.read(picture(None))
    shown, codecs = names[:MOST_ROWS], labels(codec for codec, _ in names)
    height = 2.2 * _tile_ratio(original.shape[1:])
    figure = figure_of(2.3 * (len(snrs) + 1), 0.6 + (height + 0.25) * len(shown))
    grid = figure.add_gridspec(len(shown), len(snrs) + 1)
    _tile(figure.add_subplot(grid[0, 0]), Tile(reduced(original), _titled(original)), 9)
    for row, (codec, rho) in enumerate(shown):
        for column, snr in enumerate(snrs, start=1):
            axes = figure.add_subplot(grid[row, column])
            found = kept.get(Condition(codec, rho, channel, snr))
            _tile(axes, _at_snr(found, picture, "" if row else f"{snr:g} dB SNR"), 9)
            if column == 1:
                axes.set_ylabel(f"{broken(codecs[codec])}\nrho {rate(rho)}", fontsize=9)
    title = labels(m.condition.channel for m in measurements)[channel]
    told = channel_title(title, next(iter(kept.values())).csi)
    figure.suptitle(f"{told}{_left_out(names)}", fontsize=10)
    what, whose = ("frame", "that of its clip") if any(map(_of_clip, kept.values())) else ("picture", "its own")
    figure.caption = f"The first {what} as sent and as it came over {told}; the quality is {whose}."
    return figure


def reduced(pixels: np.ndarray) -> np.ndarray:
    """A picture `[3, H, W]` of at most `PIXELS` a side, by means over cells of it."""
    high, wide = (-(-side // PIXELS) for side in pixels.shape[1:])
    rows, columns = pixels.shape[1] // high, pixels.shape[2] // wide
    cells = pixels[:, : rows * high, : columns * wide].reshape(3, rows, high, columns, wide)
    return cells.mean((2, 4))


def _thinned(region: np.ndarray, tile: Tile) -> np.ndarray:
    """A region `[H, W]` on the pixels that a tile shows of its picture."""
    shape = region.shape if tile.pixels is None else tile.pixels.shape[1:]
    rows, columns = (np.arange(n) * side // n for n, side in zip(shape, region.shape, strict=True))
    return region[np.ix_(rows, columns)].astype(float)


def _tile_ratio(shape: tuple[int, ...]) -> float:
    """Height over width of the place for a picture of that shape."""
    return min(max(shape[0] / shape[1], FLATTEST), TALLEST)


def _is_narrow(shape: tuple[int, ...]) -> bool:
    return max(shape) > NARROWEST * min(shape)


def _titled(original: np.ndarray) -> str:
    height, width = original.shape[1:]
    return f"original, {width}x{height} px, not to scale" if _is_narrow((height, width)) else "original"


def _left_out(rows: Sequence[object]) -> str:
    return f", {len(rows) - MOST_ROWS} more rows left out" if len(rows) > MOST_ROWS else ""


def _received(out: Path, m: Measurement, name: str, said: Mapping[str, str], spelt: str) -> Tile:
    numbers = [f"{what} {spelt.format(m.values[metric][0])}" for what, metric in said.items() if metric in m.values]
    pixels = reduced(pictures.read(picture_path(out, m.condition)))
    return Tile(pixels, broken(name), ", ".join(numbers + _loss(m)))


def _loss(m: Measurement) -> list[str]:
    """What is said of the first picture of the set where it did not arrive whole."""
    if 0 not in lost(m):
        return []
    undecoded = m.values.get(UNDECODED, np.zeros(1))
    return ["not decodable" if undecoded[m.positions.index(0)] > 0 else "bits lost"]


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
    said = [f"{'whole clip: ' if _of_clip(m) else ''}PSNR {m.values['psnr'][0]:.1f} dB"] if known else []
    return Tile(reduced(pictures.read(picture(m.condition))), above, ", ".join(said + _loss(m)))


def _of_clip(m: Measurement) -> bool:
    """Whether numbers are means over the frames of a clip, of which the first is shown."""
    return "psnr_p5" in m.values


def _tile(axes: Axes, tile: Tile, size: float = 7.5) -> None:
    bare(axes)
    axes.set_title(tile.above, fontsize=size)
    axes.set_xlabel(tile.below, fontsize=8, labelpad=2)
    if tile.pixels is not None:
        narrow = _is_narrow(tile.pixels.shape[1:])
        axes.imshow(tile.pixels.transpose(1, 2, 0), interpolation="nearest", aspect="auto" if narrow else "equal")
