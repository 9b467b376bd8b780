"""What an experiment makes of its rows, and how that is published: tables, CSV files, figures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from semlink.simulator.analysis.tables import Columns


@dataclass(frozen=True)
class Answer:
    """What an experiment publishes. texts: tables for a screen. csv: by file name. figures: by the stem of their files.

    summary: what summary.csv holds instead of the sweep's own.
    """

    texts: Sequence[str]
    csv: Mapping[str, Columns] = field(default_factory=dict)
    figures: Iterable[tuple[str, Figure]] = ()
    summary: Columns | None = None


def publish(answer: Answer, out: Path) -> list[Path]:
    """Write the CSV files and figures, print the tables and where everything is; returns the figures' paths."""
    from semlink.simulator.figures import style

    csv = answer.csv if answer.summary is None else {"summary.csv": answer.summary, **answer.csv}
    for name, columns in csv.items():
        columns.write(out / name)
    drawn = [path for stem, figure in answer.figures for path in style.save(figure, out / stem)]
    for text in answer.texts:
        print(text, end="\n\n")
    held = dict.fromkeys(("rows.h5", "summary.csv", *answer.csv, "run.json"))
    left = [out / name for name in held if (out / name).exists()]
    print("\n".join(["written:", *(f"  {path}" for path in (*left, *drawn))]))
    return drawn
