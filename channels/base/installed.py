"""Entry points of installed packages, read once."""

from __future__ import annotations

import os
import sys
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points


def installed(group: str) -> tuple[EntryPoint, ...]:
    """Entry points of that group of all packages that Python finds.

    To read them takes tens of milliseconds, so they are kept until `sys.path` or what is in its folders changes.
    """
    return _read(group, tuple(map(_state, sys.path)))


@lru_cache(maxsize=16)
def _read(group: str, states: tuple[tuple[str, int], ...]) -> tuple[EntryPoint, ...]:
    return tuple(entry_points(group=group))


def _state(folder: str) -> tuple[str, int]:
    """A place of `sys.path` and when something was last installed there or removed."""
    try:
        return folder, os.stat(folder or os.curdir).st_mtime_ns
    except OSError:
        return folder, 0
