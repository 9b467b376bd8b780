"""The card that a training script leaves beside what it made: card.json, with recipe, facts and commit."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Collection, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from semlink.simulator.files import write_json

RESEARCH_DATA = "research data sets that are not redistributed here; see each set's licence"
NO_RECIPE = ("out", "recipe", "threads", "device", "tensorboard")  # where a run computes and writes


def write_card(flags: Any, script: str, facts: Mapping[str, Any], dropped: Collection[str] = ()) -> None:
    """Write card.json in the folder `flags.out`.

    flags: the dataclass of the script's flags, which are the recipe, without those of NO_RECIPE and `dropped`.
    script: its `__file__`; the card names the commit of its checkout. facts: what else the card says.
    """
    recipe = {name: value for name, value in asdict(flags).items() if name not in {*NO_RECIPE, *dropped}}
    write_json(flags.out / "card.json", {"recipe": recipe, "commit": commit(Path(script).parent), **facts})


def spent(steps: int, seconds: float, threads: int) -> dict[str, Any]:
    """Facts of every training on research data: steps, minutes and hardware."""
    note = f"trained on {RESEARCH_DATA}"
    return {"steps": steps, "minutes": round(seconds / 60, 1), "hardware": hardware(threads), "data_note": note}


def hardware(threads: int) -> str:
    """The kind of processor and the number of threads; 0: all."""
    return f"{platform.machine()}, {threads or 'all'} threads"


def commit(folder: Path) -> str:
    """Short name of the commit that is checked out in a folder, or that there is none."""
    git = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=folder)
    return git.stdout.strip() or "not a git checkout"
