"""The class file beside a folder of class maps: which number is which class, and which one counts for nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from semlink.simulator.errors import SemlinkError
from semlink.simulator.files import reading

UNLABELLED = ("unlabelled", "unlabeled", "void", "ignore", "ignored")
NOWHERE = 255  # the number of pixels without a class where no class file says another
FILES = ("classes.json", "classes.txt")
FORMS = 'a JSON list of names, {"classes": [...], "ignore_index": 11}, or lines of text, a name each'


def find_classes(folder: Path) -> Path:
    """The class file of a folder of class maps: in it or beside it. SemlinkError where there is none."""
    places = [where / name for where in (folder, folder.parent) for name in FILES]
    found = [path for path in places if path.is_file()]
    if not found:
        raise SemlinkError(f"{places[0]}: no such file; name the classes there or with --classes, as {FORMS}")
    return found[0]


def read_classes(path: Path) -> tuple[tuple[str, ...], int]:
    """Names of the classes by number, in small letters, and the number of pixels without one.

    That is `ignore_index`, or the first class that is called unlabelled or void, or 255; as the last class of the list
    it is left out. SemlinkError for another file.
    """
    if not path.exists():
        raise SemlinkError(f"{path}: no such class file; write {FORMS}")
    with reading(path, f"not a class file; write {FORMS}"):
        text = path.read_text(encoding="utf-8")
        said: Any = json.loads(text) if path.suffix == ".json" else [line for line in text.splitlines() if line.strip()]
        written = said["classes"] if isinstance(said, dict) else said
        names = _names(written)
        unlabelled = next((i for i, name in enumerate(names) if name in UNLABELLED), NOWHERE)
        ignore = _number(said.get("ignore_index", unlabelled)) if isinstance(said, dict) else unlabelled
    if not all(names) or not names or len(set(names)) < len(names) or len(names) > NOWHERE:
        raise SemlinkError(f"{path}: {len(names)} names, some of them equal or none at all; write {FORMS}")
    return (names[:-1] if ignore == len(names) - 1 else names), ignore


def _names(written: Any) -> tuple[str, ...]:
    """In small letters. ValueError unless they are a list of texts: those of one text would be its letters."""
    if not isinstance(written, list) or not all(isinstance(name, str) for name in written):
        raise ValueError(f"classes are {str(written)[:40]}")
    return tuple(name.strip().lower() for name in written)


def _number(value: Any) -> int:
    """The number that pixels have. ValueError unless one can have it."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= NOWHERE:
        raise ValueError(f"ignore_index is {str(value)[:40]}, not a number from 0 to {NOWHERE}")
    return value
