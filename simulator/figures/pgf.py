"""Figures as PGF, drawn by LaTeX in the fonts of the paper that inputs them."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from semlink.simulator.errors import SemlinkError
from semlink.simulator.files import write_aside

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SYSTEMS = ("pdflatex", "lualatex", "xelatex")


def latex() -> str:
    """The LaTeX of this machine, which says how wide text is. SemlinkError where there is none."""
    for system in SYSTEMS:
        if shutil.which(system):
            return system
    raise SemlinkError(f"pgf needs a LaTeX; there is no {' or '.join(SYSTEMS)} here: install TeX Live, or take ieee")


def _write(held: bytes, path: Path) -> None:
    path.write_bytes(held)


def save_pgf(figure: Figure, stem: Path) -> list[Path]:
    r"""`stem`.pgf for `\input`, and the pictures that it shows as `stem`-img0.png and so on; their paths.

    SemlinkError where LaTeX is missing or lacks a package.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_pgf import LatexError

    with TemporaryDirectory() as folder, rc_context({"pgf.texsystem": latex(), "pgf.rcfonts": False}):
        try:
            figure.savefig(Path(folder) / f"{stem.name}.pgf", format="pgf")
        except (LatexError, RuntimeError) as error:
            told = next((line for line in str(error).splitlines() if line.startswith("!")), str(error).split("\n")[0])
            raise SemlinkError(f"{latex()} cannot measure text: {told.lstrip('! ')}; install what it lacks") from error
        made = {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}
    for name, held in made.items():
        write_aside(stem.with_name(name), partial(_write, held))
    return [stem.with_name(name) for name in made]
