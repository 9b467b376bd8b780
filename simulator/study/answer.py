"""What an experiment makes of its rows, and how that is published: tables, CSV files, figures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from semlink.simulator.analysis.statistics import Line, write_csv
from semlink.simulator.analysis.tables import Columns
from semlink.simulator.records import rows
from semlink.simulator.study import report, sheets
from semlink.simulator.study.said import said

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Answer:
    """What an experiment publishes. texts: tables for a screen. csv: by file name. figures: by the stem of their files.

    summary: what summary.csv holds instead of the sweep's own.
    """

    texts: Sequence[str]
    csv: Mapping[str, Columns] = field(default_factory=dict)
    figures: Iterable[tuple[str, Figure]] = ()
    summary: Sequence[Line] = ()


def publish(answer: Answer, out: Path) -> list[Path]:
    """Write CSV files, figures and report.html, print tables and where everything is; returns the figures' paths.

    Beside each figure lie its caption as .txt and, of one with curves, their numbers as _curves.csv.
    """
    if answer.summary:
        write_csv(answer.summary, out / "summary.csv")
    for name, columns in answer.csv.items():
        columns.write(out / name)
    drawn, beside = _save(answer.figures, out)
    for text in answer.texts:
        print(text, end="\n\n")
    measured = rows.read(out / "rows.h5").measurements if (out / "rows.h5").exists() else ()
    report.write(out, said(out), answer.texts, drawn, measured)
    held = dict.fromkeys(("rows.h5", "summary.csv", *answer.csv, "run.json", report.NAME))
    left = [out / name for name in held if (out / name).exists()]
    print("\n".join(["written:", *(f"  {path}" for path in (*left, *drawn, *beside))]))
    return drawn


def _save(figures: Iterable[tuple[str, Figure]], out: Path) -> tuple[list[Path], list[Path]]:
    """The figures' files, and those beside them; set for print where --style says so."""
    from semlink.simulator.figures import ieee, pgf, style

    drawn: list[Path] = []
    beside: list[Path] = []
    for stem, figure in figures:
        beside += style.save_beside(figure, out / stem)
        if sheets.chosen.get().startswith("ieee"):
            ieee.set_in_print(figure)
        if sheets.chosen.get() == "ieee-pgf":
            beside += pgf.save_pgf(figure, out / stem)
        drawn += style.save(figure, out / stem)
    return drawn, beside
