"""Write report.html of a run anew from its rows, and open it."""

from __future__ import annotations

import webbrowser
from dataclasses import dataclass
from pathlib import Path

from semlink.simulator.study import cli


@dataclass(frozen=True)
class Report:
    """Write report.html, tables and figures from the rows.h5 that an experiment left in --out; nothing is measured.

    Every run writes them at its end: this is for rows of before, or that you got from somebody else.
    """

    out: Path = Path("results/snr_sweep")
    """Folder that holds rows.h5."""
    open: bool = False
    """Show the report in a browser."""


def main(flags: Report) -> int:
    """Write, and show where that is wanted."""
    from semlink.simulator.study import closing, report

    closing.show(flags.out)
    if flags.open:
        webbrowser.open((flags.out / report.NAME).resolve().as_uri())
    return 0


if __name__ == "__main__":
    cli.start(main, Report())
