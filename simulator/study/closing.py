"""What an experiment says at its end: figures and tables from the rows file, how the run was, and what failed."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semlink.simulator.files import write_json
from semlink.simulator.records import rows
from semlink.simulator.study.answer import publish
from semlink.simulator.study.overview import overview
from semlink.simulator.study.said import said

if TYPE_CHECKING:
    from semlink.simulator.sweep.runner import Outcome


def show(out: Path, metrics: Sequence[str] = ()) -> list[Path]:
    """Draw the figures of `out`/rows.h5, print its tables and where everything is; returns the figures' paths.

    metrics: names in rows to draw, or none for all that the sweep was asked for. Codecs are compared with the one that
    the run compared them with, if run.json names one.
    """
    return publish(overview(rows.read(out / "rows.h5"), out, metrics, said(out).get("versus", "")), out)


def say_more(out: Path, more: Mapping[str, Any]) -> None:
    """Add to what run.json says."""
    if more:
        write_json(out / "run.json", {**said(out), **more})


def whole_run(
    out: Path, configuration: Mapping[str, Any], duration_s: float, failed: Mapping[str, str], more: Mapping[str, Any]
) -> None:
    """run.json of an experiment of several sweeps in place of the last sweep's; more: what else it says.

    configuration: the flags; where they wrote is no part of it, so that no path of a machine travels with results.
    """
    asked = {name: value for name, value in configuration.items() if name != "out"}
    say_more(out, {"configuration": asked, **more, "duration_s": duration_s, "failures": failed})


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
