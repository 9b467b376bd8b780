"""Whether this process has little memory left, so that what can be made again should be let go."""

from __future__ import annotations

import ctypes
import gc
import os
from pathlib import Path

SHARE = 0.6  # of what a process may have; at 0.7 Dask begins to write to disk, at 0.95 it ends a worker
LEFT = 0.05  # of the machine's memory

_limit: list[int] = []  # bytes that this process may have, where somebody has said so


def limit(count: int | None) -> None:
    """Say how many bytes this process may have; None: what the machine has."""
    _limit[:] = [count] if count else []


def tight(used: int | None = None, left: int | None = None) -> bool:
    """Whether this process has most of what it may have, or the machine has hardly any left.

    used: bytes of this process; left: bytes that the machine has left; None: what the system says.
    """
    used, left = (_used() if used is None else used), (_left() if left is None else left)
    return used > SHARE * min([_total(), *_limit, *_of_group()]) or left < LEFT * _total()


def give_back() -> None:
    """Free what nothing refers to, and hand it to the system where that can be asked."""
    gc.collect()
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    except (OSError, AttributeError):  # another system's library
        return


def _total() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _used() -> int:
    """0 where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def _left() -> int:
    """All where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return _total()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")), _total())


def _of_group() -> list[int]:
    """What a container may have."""
    try:
        told = Path("/sys/fs/cgroup/memory.max").read_text().strip()
    except OSError:
        return []
    return [int(told)] if told.isdigit() else []
