"""Run tasks in this process or in spawned ones; a dead worker or a killed parent never leaves the other waiting."""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

from semlink.simulator.errors import SemlinkError

Task = TypeVar("Task")
Result = TypeVar("Result")


class WorkerDied(SemlinkError):
    """A worker process ended before it was done, with whatever exit code; what was measured is kept."""


_THREAD_VARIABLES = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")


def run(
    prepare: Callable[[], Callable[[Task], Iterable[Result]]], tasks: Sequence[Task], workers: int = 1
) -> Iterator[Result]:
    """All results of all tasks, as they come. `prepare()` is called once per process and returns what performs a task.

    workers > 1: spawned processes share the tasks; then `prepare`, tasks and results must pickle and the order of the
    results is free. The first exception of a task ends the run. WorkerDied when a worker ends before its work does.
    """
    if min(workers, len(tasks)) <= 1:
        if tasks:
            perform = prepare()
            for task in tasks:
                yield from perform(task)
    else:
        yield from _spawned(prepare, tasks, min(workers, len(tasks)))


def _spawned(prepare: Callable[[], Any], tasks: Sequence[Any], workers: int) -> Iterator[Any]:
    context = multiprocessing.get_context("spawn")
    todo, events = context.Queue(), context.Queue()
    for task in (*tasks, *[None] * workers):
        todo.put(task)
    threads = max(1, (os.cpu_count() or 1) // workers)
    processes = [
        context.Process(target=_serve, args=(prepare, todo, events, threads, place), daemon=True)
        for place in range(workers)
    ]
    try:
        for process in processes:
            process.start()
        yield from _listen(events, processes)
    finally:
        for process in processes:
            if process.pid is not None:
                process.terminate()
                process.join()
        todo.cancel_join_thread()


def _listen(events: Any, processes: Sequence[BaseProcess]) -> Iterator[Any]:
    running, ended = dict(enumerate(processes)), False
    while running:
        try:
            kind, content = events.get(timeout=0.5)
        except queue.Empty:
            if ended:  # and nothing came since: no last words are on their way
                _check_alive(running.values())
            ended = any(process.exitcode is not None for process in running.values())
            continue
        if kind == "failed":
            raise content
        if kind == "result":
            yield content
        if kind == "done":
            del running[content]


def _check_alive(processes: Iterable[BaseProcess]) -> None:
    """WorkerDied when one has ended: these have not said that they are done."""
    for code in (process.exitcode for process in processes):
        if code is not None:
            guess = "a plug-in that ends its process" if code == 0 else "out of memory"
            raise WorkerDied(
                f"a worker process died (exit code {code}; {guess}?); what was measured is kept: "
                "give the same command again, with fewer --workers"
            )


def _serve(prepare: Callable[[], Any], todo: Any, events: Any, threads: int, place: int) -> None:
    _settle(threads)
    try:
        perform = prepare()
        while (task := todo.get()) is not None:
            for result in perform(task):
                events.put(("result", result))
        events.put(("done", place))
    except Exception as error:  # noqa: BLE001 - the parent raises it again
        events.put(("failed", error if isinstance(error, (OSError, SemlinkError)) else RuntimeError(repr(error))))


def _settle(threads: int) -> None:
    """Share the cores, leave Ctrl-C to the parent and end with it, even when it is killed."""
    for name in _THREAD_VARIABLES:
        os.environ.setdefault(name, str(threads))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
