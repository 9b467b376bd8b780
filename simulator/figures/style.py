"""How figures look, and how they are kept: sizes, axes, legends, files. Needs matplotlib.

Figures are made without pyplot, so there is no global state; `looks` has colours and markers.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Callable, Mapping, Sequence
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

    from semlink.simulator.figures.sheet import Sheet

DASHES = ("-", "--", ":", "-.")
SNR = "SNR Es/N0 (dB)"
CHARACTER = 0.07  # width of a character of a legend, in inches
UPRIGHT = 0.095  # the same of a label beside the panels, which are not as high as the figure
DPI = 150
PNG_BYTES, PDF_BYTES = 400_000, 8_000_000  # at most
PIXELS = 25_000_000  # of a file, at most
LEAST_DPI = 8
LARGEST = 48.0  # inches of a side
TRUETYPE = 42  # of fonts in files: publishers refuse Type 3


def figure_of(width: float, height: float) -> Sheet:
    """An empty figure of that size in inches, or of `LARGEST` where a side would be longer; a `Sheet`."""
    from semlink.simulator.figures.sheet import Sheet

    return Sheet(figsize=(min(width, LARGEST), min(height, LARGEST)), layout="constrained")


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
    legend_of(figure, named, size, columns)


def legend_of(figure: Figure, named: Mapping[str, Artist], size: float, columns: int = 3) -> None:
    """A legend below the figure, in at most so many columns and as many as fit side by side."""
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


def beside(figure: Figure, label: str, character: float = UPRIGHT) -> str:
    """A label of the whole figure's y axis in lines that fit its height. character: width of one, in inches."""
    return "\n".join(textwrap.wrap(label, max(12, int(figure.get_figheight() / character)), break_long_words=False))


def save(figure: Figure, stem: Path) -> tuple[Path, Path]:
    """`stem`.png of at most `PNG_BYTES`, and `stem`.pdf of at most `PDF_BYTES`, each all or nothing; their paths.

    What would be larger gets fewer pixels, a PNG a palette first. Fonts are embedded as TrueType. The same rows give
    the same files.
    """
    paths = stem.with_name(stem.name + ".png"), stem.with_name(stem.name + ".pdf")
    for path, image in zip(paths, (small_png(figure), small_pdf(figure)), strict=True):
        write_aside(path, partial(_write, image))
    return paths


def save_beside(sheet: Figure, stem: Path) -> list[Path]:
    """What a sheet says of itself, as `stem`_curves.csv, its curves, and `stem`.txt, a caption; their paths."""
    from semlink.simulator.figures import sheet as sheets

    if not isinstance(sheet, sheets.Sheet):
        return []
    texts = {"_curves.csv": _csv(*sheets.table(sheet)) if sheet.curves else "", ".txt": sheets.caption(sheet)}
    made = [(stem.with_name(stem.name + kind), text) for kind, text in texts.items() if text]
    for path, text in made:
        write_aside(path, partial(_write, f"{text.rstrip()}\n".encode()))
    return [path for path, _ in made]


def _csv(head: Sequence[str], rows: Sequence[Sequence[float]]) -> str:
    return "\n".join([",".join(head), *(",".join(f"{value:.6g}" for value in row) for row in rows)])


def small_png(figure: Figure, most: int = PNG_BYTES) -> bytes:
    """A figure as PNG of at most so many bytes."""
    image = drawn(figure, _dpi(figure))
    return image if len(image) <= most else _fewer_pixels(figure, with_palette(image), _as_palette, most)


def small_pdf(figure: Figure, most: int = PDF_BYTES) -> bytes:
    """A figure as PDF of at most so many bytes, as far as it is its pictures that make it large."""
    return _fewer_pixels(figure, _as_pdf(figure, _dpi(figure)), _as_pdf, most)


def drawn(figure: Figure, dpi: float) -> bytes:
    """A figure as PNG with so many pixels an inch."""
    return _drawn(figure, "png", dpi)


def _fewer_pixels(figure: Figure, image: bytes, draw: Callable[[Figure, float], bytes], most: int) -> bytes:
    dpi = _dpi(figure)
    while len(image) > most and dpi > LEAST_DPI:
        dpi *= min(0.95, 0.97 * (most / len(image)) ** 0.5)
        image = draw(figure, dpi)
    return image


def _dpi(figure: Figure) -> float:
    """Pixels an inch of a figure's files before any is found to be too large."""
    width, height = figure.get_size_inches()
    return min(float(DPI), (PIXELS / (width * height)) ** 0.5)


def _as_palette(figure: Figure, dpi: float) -> bytes:
    return with_palette(drawn(figure, dpi))


def _as_pdf(figure: Figure, dpi: float) -> bytes:
    return _drawn(figure, "pdf", dpi, metadata={"CreationDate": None})


def _drawn(figure: Figure, kind: str, dpi: float, **more: Any) -> bytes:
    from matplotlib import rc_context

    held = io.BytesIO()
    with rc_context({"pdf.fonttype": TRUETYPE, "ps.fonttype": TRUETYPE}):
        figure.savefig(held, format=kind, dpi=dpi, **more)
    return held.getvalue()


def _write(image: bytes, path: Path) -> None:
    path.write_bytes(image)


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
