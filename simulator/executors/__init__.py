"""Where tasks run: in this process, in others of this machine, or on a cluster of Dask; one interface for all.

A task is small: seeds and numbers of blocks. `prepare()` is called once a process and returns what performs a task.
"""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

from semlink.channels.base.names import unknown
from semlink.simulator.errors import SemlinkError
from semlink.simulator.executors.local import Local, WorkerDied

__all__ = ["Executor", "Local", "WorkerDied", "choose", "executor"]

PROTOCOLS = ("tcp", "tls", "ws", "wss", "ucx", "inproc")  # of Dask's addresses

Task = TypeVar("Task")
Result = TypeVar("Result")


class Executor(Protocol):
    """Somewhere to run tasks."""

    def run(self, prepare: Callable[[], Callable[[Task], Iterable[Result]]], tasks: deque[Task]) -> Iterator[Result]:
        """All results of all tasks, as they come, in any order; `tasks` is empty at the end.

        Whoever takes the results may add to `tasks` meanwhile. Elsewhere than in this process `prepare`, tasks and
        results must pickle. The first exception of a task ends the run; WorkerDied when a worker takes a task with it.
        """
        ...


def executor(where: Executor | int) -> Executor:
    """`where` itself, or that many processes of this machine."""
    return Local(where) if isinstance(where, int) else where


def choose(workers: int, scheduler: str = "") -> Executor:
    """What --workers and --scheduler ask for. SemlinkError when the scheduler is neither an address nor a file."""
    if not scheduler:
        return Local(workers)
    if workers > 1:
        raise SemlinkError("--workers counts processes of this machine, --scheduler names a cluster: give one of them")
    if not re.match(r"\w+://", scheduler) and not os.path.isfile(scheduler):
        raise SemlinkError(
            f"--scheduler {scheduler}: give an address, such as tcp://10.0.0.1:8786, or the file that dask scheduler "
            "--scheduler-file writes"
        )
    kind = scheduler.partition("://")[0]
    if "://" in scheduler and kind not in PROTOCOLS:
        raise SemlinkError(f"--scheduler {scheduler}: {unknown('protocol', kind, PROTOCOLS)}")
    from semlink.simulator.executors.cluster import Cluster

    return Cluster(scheduler)
