"""What an experiment says at its end: figures and tables from the rows file, where they are, and what failed."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semlink.simulator.analysis import statistics
from semlink.simulator.figures import curves
from semlink.simulator.files import write_json
from semlink.simulator.records import rows
from semlink.simulator.records.store import picture_path

if TYPE_CHECKING:
    from semlink.simulator.sweep.runner import Outcome


def show(out: Path, metrics: Sequence[str] = ()) -> list[Path]:
    """Draw the figures of `out`/rows.h5, print its tables and where everything is; returns the figures' paths.

    metrics: names in rows to draw, or none for all that the sweep was asked for.
    """
    found = rows.read(out / "rows.h5")
    lines = statistics.summarise(found)
    measured = {line.metric for line in lines}  # not what is asked of a whole set, such as FID
    chosen = tuple(metrics) or tuple(name for name in found.asked_metrics() if name in measured)
    statistics.check_known(chosen, lines)
    files = curves.draw(found, lines, chosen, out, partial(picture_path, out))
    for metric in chosen:
        print(statistics.table(lines, metric, found.variable(metric).units), end="\n\n")
    left = [path for path in (out / "rows.h5", out / "summary.csv", out / "run.json") if path.exists()]
    print("\n".join(["written:", *(f"  {path}" for path in (*left, *files))]))
    return files


def whole_run(
    out: Path, configuration: Mapping[str, Any], duration_s: float, failed: Mapping[str, str], more: Mapping[str, Any]
) -> None:
    """run.json of an experiment of several sweeps in place of the last sweep's; more: what else it says.

    configuration: the flags; where they wrote is no part of it, so that no path of a machine travels with results.
    """
    path = out / "run.json"
    asked = {name: value for name, value in configuration.items() if name != "out"}
    own = {"configuration": asked, **more, "duration_s": duration_s, "failures": failed}
    write_json(path, {**json.loads(path.read_text()), **own})


def failures(outcome: Outcome) -> int:
    """Exit code: 1, after a line for each different error on standard error, or 0 when nothing failed."""
    if not outcome.failures:
        return 0
    print(f"error: {len(outcome.failures)} conditions failed; the same command tries them again", file=sys.stderr)
    for error in dict.fromkeys(outcome.failures.values()):
        first, *others = [condition for condition, found in outcome.failures.items() if found == error]
        more = f" and {len(others)} more" if others else ""
        print(f"  {first}{more}: {error}", file=sys.stderr)
    return 1
