"""What run.json says of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from semlink.simulator.errors import SemlinkError
from semlink.simulator.files import read_json

DAMAGED = "damaged; remove it and give the same command again"


def said(out: Path) -> dict[str, Any]:
    """What run.json says; nothing where there is none. SemlinkError for one that is damaged."""
    path = out / "run.json"
    found = read_json(path, DAMAGED) if path.exists() else {}
    if not isinstance(found, dict):
        raise SemlinkError(f"{path}: {DAMAGED}")
    return found
