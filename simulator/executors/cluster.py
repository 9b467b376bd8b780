"""Run tasks on a cluster of Dask: any number of worker processes that come and go, on any number of machines.

All see the same disk, under the same names. A worker that dies takes nothing along: its tasks run elsewhere. When the
scheduler goes, what was not answered is asked again of the next one.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import queue
import sys
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from semlink.simulator.errors import SemlinkError
from semlink.simulator.executors import memory
from semlink.simulator.executors.local import WorkerDied, portable

if TYPE_CHECKING:
    from distributed import Client, Future

Task = TypeVar("Task")
Result = TypeVar("Result")

PATIENCE_S = 600.0  # for a scheduler that is not there
_AHEAD = 4  # tasks that wait for each worker, so that none is idle
_FEW = 16  # tasks that wait while no worker is there yet
_LOOK_S = 2.0  # between looks at who is there
_REMEDY = "what was measured is kept: give the same command again to continue"


@dataclass(frozen=True)
class Job:
    """What all tasks of a run share, as a worker gets it. own: the pickled `prepare`. folder: where who asks is."""

    own: bytes
    folder: str
    environment: tuple[tuple[str, str], ...]

    @property
    def key(self) -> str:
        """Tells jobs apart."""
        return hashlib.sha256(repr((self.own, self.folder, self.environment)).encode()).hexdigest()


@dataclass(frozen=True)
class Cluster:
    """The cluster of a scheduler (`Executor`): `tcp://host:port`, or the file that it leaves for others to find it.

    patience_s: how long a scheduler that is not there is waited for. WorkerDied when a task has ended several workers;
    SemlinkError when no scheduler is there, or Dask is not.
    """

    scheduler: str
    patience_s: float = PATIENCE_S

    def run(self, prepare: Callable[[], Callable[[Task], Iterable[Result]]], tasks: deque[Task]) -> Iterator[Result]:
        """See `Executor`; the results of a task come together."""
        job = Job(_pickled(prepare), os.getcwd(), _own_environment())
        while tasks:
            talk = _Talk(_connected(self.scheduler, self.patience_s), job)
            try:
                yield from talk.run(tasks)
            except _Lost:
                tasks.extendleft(reversed(talk.asked.values()))
                _say(f"the scheduler at {self.scheduler} has gone; {len(tasks)} tasks wait for the next one there")
            finally:
                talk.end()


class _Lost(Exception):
    """The scheduler has gone."""


class _Talk:
    """One connection to a scheduler, and what was asked over it."""

    def __init__(self, client: Client, job: Job) -> None:
        self.asked: dict[str, Any] = {}  # tasks without an answer
        self._client, self._job = client, job
        self._futures: dict[str, Future] = {}
        self._answers: queue.Queue[str] = queue.Queue()  # keys of tasks that are done
        self._workers: dict[str, int] = {}
        self._looked = 0.0
        self._said_alone = False

    def run(self, tasks: deque[Any]) -> Iterator[Any]:
        """The results of all tasks. _Lost when the scheduler goes; then `asked` holds what has no answer."""
        while tasks or self.asked:
            self._look()
            self._ask(tasks)
            key = self._next()
            if key is not None:
                yield from self._answer(key)

    def _ask(self, tasks: deque[Any]) -> None:
        while tasks and len(self.asked) < max(_FEW, _AHEAD * len(self._workers)):
            self._submit(f"semlink-{uuid.uuid4().hex}", tasks.popleft())

    def _submit(self, key: str, task: Any) -> None:
        self.asked[key] = task
        self._futures[key] = self._client.submit(work, self._job, task, key=key, pure=False)
        self._futures[key].add_done_callback(lambda _: self._answers.put(key))

    def _next(self) -> str | None:
        """The key of the next task that is done; None where none was for a while."""
        try:
            return self._answers.get(timeout=_LOOK_S)
        except queue.Empty:
            return None

    def _answer(self, key: str) -> Iterator[Any]:
        from distributed import KilledWorker

        future = self._futures.pop(key)
        if future.cancelled():
            raise _Lost
        error = future.exception()
        if isinstance(error, KilledWorker):
            raise WorkerDied(f"a task has ended several workers, the last at {error.last_worker.address}; {_REMEDY}")
        if error is not None:
            raise error
        results = future.result()
        del self.asked[key]
        yield from results

    def _look(self) -> None:
        """See who is there, and say what has changed."""
        if time.monotonic() - self._looked < _LOOK_S:
            return
        try:
            found = self._client.nthreads()
        except Exception as error:  # noqa: BLE001 - of many kinds, all of a connection that is lost
            raise _Lost from error
        gone = self._workers.keys() - found.keys()
        if gone:
            _say(f"workers have gone: {', '.join(sorted(gone))}; {len(found)} are there, and go on with their tasks")
        if not found and not self._said_alone:
            _say("no worker is there yet; the tasks wait for one")
        if any(threads > 1 for address, threads in found.items() if address not in self._workers):
            _say("workers with several threads do one task at a time all the same; start them with --nthreads 1")
        self._said_alone = not found
        self._workers, self._looked = found, time.monotonic()

    def end(self) -> None:
        """Take back what has no answer, as far as somebody listens."""
        try:
            self._client.close(timeout=2)
        except Exception:  # noqa: BLE001 - it has gone
            return


def _pickled(prepare: Callable[[], Any]) -> bytes:
    from distributed.protocol.pickle import dumps  # by value what this process alone can import, such as a script's own

    return bytes(dumps(prepare))


def _own_environment() -> tuple[tuple[str, str], ...]:
    return tuple(sorted((k, v) for k, v in os.environ.items() if k in ("SEMLINK_DATA", "SEMLINK_CACHE")))


def _connected(scheduler: str, patience_s: float) -> Client:
    """A connection. SemlinkError when there is none for that long."""
    try:
        from distributed import Client
    except ImportError:
        raise SemlinkError("--scheduler needs Dask: pip install 'semlink[dask]'") from None
    until, said = time.monotonic() + patience_s, False
    where = {"address": scheduler} if "://" in scheduler else {"scheduler_file": scheduler}
    while True:
        try:
            return Client(**where, timeout=max(1.0, min(10.0, patience_s)), set_as_default=False)
        except (OSError, ValueError) as error:  # ValueError: a file that is half written
            if not said:
                _say(f"no scheduler at {scheduler}; waiting up to {patience_s:g} s for it")
            said = True
            if time.monotonic() > until:
                told = " ".join(str(error).split())[:200]
                raise SemlinkError(f"no scheduler of Dask at {scheduler} ({told}); {_REMEDY}") from error
            time.sleep(0.5)


def _say(text: str) -> None:
    print(text, file=sys.stderr)


# --- what runs on a worker

_turn = threading.Lock()  # one task at a time: codecs and frameworks are not made for several in a process
_held: list[tuple[str, Callable[[Any], Iterable[Any]]]] = []  # the last job and what performs its tasks, at most one


def work(job: Job, task: Any) -> list[Any]:
    """The results of a task. What was prepared is kept for the next one of the same job."""
    with _turn:
        try:
            return list(_performer(job)(task))
        except Exception as error:  # noqa: BLE001 - whoever asked raises it again
            raise portable(error) from None


def _performer(job: Job) -> Callable[[Any], Iterable[Any]]:
    if not _held or _held[0][0] != job.key:
        _held.clear()
        _settle(job)
        _held.append((job.key, pickle.loads(job.own)()))
    return _held[0][1]


def _settle(job: Job) -> None:
    """Be where the asker is, know what it knows, and use the cores that Dask gives."""
    from distributed import get_worker

    try:
        os.chdir(job.folder)
    except OSError as error:
        raise SemlinkError(
            f"worker {get_worker().address} does not see {job.folder} ({error.strerror}): all machines of a cluster "
            "need the same disk under the same name"
        ) from error
    for name, value in job.environment:
        os.environ.setdefault(name, value)
    if cores := os.environ.get("OMP_NUM_THREADS"):  # which the nanny sets
        os.environ.setdefault("TF_NUM_INTRAOP_THREADS", cores)
        os.environ.setdefault("TF_NUM_INTEROP_THREADS", cores)
    memory.limit(get_worker().memory_manager.memory_limit)
