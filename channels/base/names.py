"""What is said of a name that nothing has."""

from __future__ import annotations

import difflib
from collections.abc import Sequence


def unknown(what: str, name: str, known: Sequence[str]) -> str:
    """One line on a name that nothing has: what is known, and what was perhaps meant."""
    return f"unknown {what} {name!r}; {did_you_mean(name, known)}known: {', '.join(known) or 'none'}"


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """A question that names the nearest of the known names, with a space behind; nothing where none is near."""
    swapped = [other for other in known if sorted(other) == sorted(name)]
    close = difflib.get_close_matches(name, known, 1, cutoff=0.7 if len(name) > 3 else 0.65)  # one letter off is near
    near = [*swapped, *close]
    return f"did you mean {near[0]!r}? " if near else ""
