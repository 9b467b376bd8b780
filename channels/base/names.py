"""What is said of a name that nothing has."""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from pathlib import Path


def unknown(what: str, name: str, known: Sequence[str]) -> str:
    """One line on a name that nothing has: what is known, and what was perhaps meant."""
    return f"unknown {what} {name!r}; {did_you_mean(name, known)}known: {', '.join(known) or 'none'}"


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """A question that names the nearest of the known names, with a space behind; nothing where none is near."""
    near = _nearest(name, known)
    return f"did you mean {near!r}? " if near else ""


def near_path(path: str | Path) -> str:
    """As `did_you_mean`, of a file or folder that is not there: what lies in its place by a similar name."""
    path = Path(path).expanduser()
    missing = next((part for part in (*reversed(path.parents), path) if not os.path.exists(part)), None)
    if missing is None or not os.path.isdir(missing.parent) or not os.access(missing.parent, os.R_OK):
        return ""
    near = _nearest(missing.name, sorted(os.listdir(missing.parent)))
    return f"did you mean {str(missing.parent / near)!r}? " if near else ""


def _nearest(name: str, known: Sequence[str]) -> str:
    """The nearest of the known names; empty where none is near."""
    swapped = [other for other in known if sorted(other) == sorted(name)]
    close = difflib.get_close_matches(name, known, 1, cutoff=0.7 if len(name) > 3 else 0.65)  # one letter off is near
    return next(iter([*swapped, *close]), "")
