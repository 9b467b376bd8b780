"""Draw an experiment's figures again from its rows file, without measuring anything."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from semlink.simulator.study import cli


@dataclass(frozen=True)
class Redraw:
    """Draw figures and print tables from the rows.h5 that an experiment left in --out; nothing is measured again.

    Codecs are compared with the one of the experiment's --versus, too, where it had one.
    """

    out: Path = Path("results/snr_sweep")
    """Folder that holds rows.h5."""
    metrics: tuple[str, ...] = ()
    """Metrics to draw; all pictures' quality metrics when empty."""
    style: str = "screen"
    """How figures look: screen, ieee for papers (3.5 in wide, 8 pt, TrueType), or ieee-pgf, which also leaves a .pgf
    beside each and needs a LaTeX."""


def main(flags: Redraw) -> int:
    """Draw and print."""
    from semlink.simulator.study import closing

    closing.show(flags.out, flags.metrics)
    return 0


if __name__ == "__main__":
    cli.start(main, Redraw())
