"""How figures look, and how they are kept: colours, axes, legends, files. Needs matplotlib.

Figures are made without pyplot, so there is no global state; colours are Okabe and Ito's, safe for the colour-blind.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semlink.simulator.analysis.tables import in_units
from semlink.simulator.files import write_aside
from semlink.simulator.protocols import Variable

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C6D31")
MARKERS = "osD^vPX*"
DASHES = ("-", "--", ":", "-.")
SNR = "SNR Es/N0 (dB)"
CHARACTER = 0.07  # width of a character of a legend, in inches
DPI = 150
PNG_BYTES = 400_000  # at most
LEAST_DPI = 20


def figure_of(width: float, height: float) -> Figure:
    """An empty figure of that size in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def colour(place: int) -> str:
    """Of the curve or bar at that place."""
    return COLOURS[place % len(COLOURS)]


def marker(place: int) -> str:
    """Of the curve at that place."""
    return MARKERS[place % len(MARKERS)]


def dress(axes: Axes, size: float = 8, **grid: Any) -> None:
    """A light grid behind the data, no frame, and small numbers. grid: `which` ticks and `axis` have lines."""
    axes.grid(True, color="0.9", linewidth=0.8, **grid)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(which="both", labelsize=size)


def bare(axes: Axes) -> None:
    """Axes for a picture: no ticks, no frame."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def legend_below(figure: Figure, panels: Sequence[Axes], size: float = 9, columns: int = 3) -> None:
    """What the panels name, each once, below them in at most so many columns, and as many as fit side by side."""
    named: dict[str, Artist] = {
        label: handle for axes in panels for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    longest = max(map(len, named), default=1)
    fitting = int(figure.get_figwidth() / (0.55 + CHARACTER * longest))
    own = max(1, min(columns, len(named), fitting))
    figure.legend(
        list(named.values()),
        list(named),
        loc="outside lower center",
        ncols=own,
        frameon=False,
        fontsize=size,
        handlelength=2.6,  # shows dashes
    )


def y_label(metric: str, variable: Variable, between: str = ", ") -> str:
    """A metric with its unit and which way is better, for an axis."""
    better = f"{between}{variable.better} is better" if variable.better else ""
    return f"{variable.label or metric}{in_units(variable)}{better}"


def save(figure: Figure, stem: Path) -> tuple[Path, Path]:
    """`stem`.png of at most `PNG_BYTES`, and `stem`.pdf, each all or nothing; returns their paths.

    A PNG that would be larger gets a palette, and fewer pixels if need be. The same rows give the same files.
    """
    paths = stem.with_name(stem.name + ".png"), stem.with_name(stem.name + ".pdf")
    image = small_png(figure)
    write_aside(paths[0], lambda aside: aside.write_bytes(image))
    stable: dict[str, Any] = {"metadata": {"CreationDate": None}}
    write_aside(paths[1], partial(figure.savefig, format="pdf", dpi=DPI, **stable))
    return paths


def small_png(figure: Figure, most: int = PNG_BYTES) -> bytes:
    """A figure as PNG of at most so many bytes."""
    image, dpi = drawn(figure, DPI), float(DPI)
    if len(image) > most:
        image = with_palette(image)
    while len(image) > most and dpi > LEAST_DPI:
        dpi *= min(0.95, 0.97 * (most / len(image)) ** 0.5)
        image = with_palette(drawn(figure, dpi))
    return image


def drawn(figure: Figure, dpi: float) -> bytes:
    """A figure as PNG with so many pixels an inch."""
    held = io.BytesIO()
    figure.savefig(held, format="png", dpi=dpi)
    return held.getvalue()


def with_palette(image: bytes) -> bytes:
    """A PNG with white and the 255 colours that suit it best, mixed by dithering: smooth parts stay smooth."""
    from PIL import Image, ImageChops

    held = io.BytesIO()
    with Image.open(io.BytesIO(image)) as file:
        full = file.convert("RGB")
    best = full.quantize(255)
    best.putpalette([*(best.getpalette() or [])[: 3 * 255], 255, 255, 255])
    chosen = full.quantize(palette=best, dither=Image.Dither.FLOYDSTEINBERG)
    red, green, blue = full.split()
    darkest = ImageChops.darker(ImageChops.darker(red, green), blue)
    chosen.paste(255, mask=darkest.point([0] * 255 + [255]))  # Pillow takes other light colours for white
    chosen.save(held, format="PNG", optimize=True)
    return held.getvalue()
