"""Run tasks in this process or in spawned ones; a dead worker or a killed parent never leaves the other waiting."""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.context import SpawnProcess
from typing import Any, TypeVar

from semlink.simulator.errors import SemlinkError

Task = TypeVar("Task")
Result = TypeVar("Result")


class WorkerDied(SemlinkError):
    """A worker process ended before it was done, with whatever exit code; what was measured is kept."""


_THREAD_VARIABLES = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
_AHEAD = 2  # tasks that wait for each process, so that none is idle


@dataclass(frozen=True)
class Local:
    """This process, or so many spawned ones of this machine that share the tasks (`Executor`).

    WorkerDied when a process ends before its work does.
    """

    workers: int = 1

    def run(self, prepare: Callable[[], Callable[[Task], Iterable[Result]]], tasks: deque[Task]) -> Iterator[Result]:
        """See `Executor`; a task that is alone is done here."""
        perform: Callable[[Task], Iterable[Result]] | None = None
        while tasks:
            if min(self.workers, len(tasks)) > 1:
                yield from _Pool(prepare, self.workers).run(tasks)
            else:
                perform = perform or prepare()
                yield from perform(tasks.popleft())


class _Pool:
    """Spawned processes, started as there are tasks for them, and what each has to do."""

    def __init__(self, prepare: Callable[[], Any], workers: int) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._todo, self._events = self._context.Queue(), self._context.Queue()
        self._prepare, self._workers = prepare, workers
        self._processes: list[SpawnProcess] = []
        self._waiting = 0  # tasks that are given and not yet done

    def run(self, tasks: deque[Any]) -> Iterator[Any]:
        """The results of all tasks, and of those that are added meanwhile."""
        try:
            while tasks or self._waiting:
                self._give(tasks)
                kind, content = self._next_event()
                if kind == "failed":
                    raise content
                if kind == "result":
                    yield content
                if kind == "done":
                    self._waiting -= 1
        finally:
            self._end()

    def _give(self, tasks: deque[Any]) -> None:
        while tasks and self._waiting < _AHEAD * self._workers:
            self._todo.put(tasks.popleft())
            self._waiting += 1
        while len(self._processes) < min(self._workers, self._waiting):
            self._start()

    def _start(self) -> None:
        threads = max(1, (os.cpu_count() or 1) // self._workers)
        arguments = (self._prepare, self._todo, self._events, threads)
        process = self._context.Process(target=_serve, args=arguments, daemon=True)
        process.start()
        self._processes.append(process)

    def _next_event(self) -> tuple[str, Any]:
        """What a process says next. WorkerDied when one has ended and no last words are on their way."""
        ended = False
        while True:
            try:
                kind, content = self._events.get(timeout=0.5)
                return kind, content
            except queue.Empty:
                codes = [process.exitcode for process in self._processes if process.exitcode is not None]
                if ended and codes:
                    raise _died(codes[0]) from None
                ended = bool(codes)

    def _end(self) -> None:
        for process in self._processes:
            process.terminate()
            process.join()
        self._todo.cancel_join_thread()


def _died(code: int) -> WorkerDied:
    guess = "a plug-in that ends its process" if code == 0 else "out of memory"
    return WorkerDied(
        f"a worker process died (exit code {code}; {guess}?); what was measured is kept: "
        "give the same command again, with fewer --workers"
    )


def _serve(prepare: Callable[[], Any], todo: Any, events: Any, threads: int) -> None:
    _settle(threads)
    try:
        perform = prepare()
        while True:
            for result in perform(todo.get()):
                events.put(("result", result))
            events.put(("done", None))
    except Exception as error:  # noqa: BLE001 - the parent raises it again
        events.put(("failed", portable(error)))


def portable(error: Exception) -> Exception:
    """An error that another process can read: of a kind that every process knows."""
    return error if isinstance(error, (OSError, SemlinkError)) else RuntimeError(repr(error))


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
