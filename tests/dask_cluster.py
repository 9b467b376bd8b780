"""A scheduler and workers of Dask as processes of this machine, which tests start, kill and start again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

TESTS = Path(__file__).parent


class Processes:
    """A scheduler on a free port and as many workers as are asked for; all end with the `with` block."""

    def __init__(self, folder, workers=1, nanny=False):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = _free_port()
        self.address = f"tcp://127.0.0.1:{self.port}"
        self.file = self.folder / "scheduler.json"
        self.nanny = nanny
        self.workers = []
        self.start_scheduler()
        for _ in range(workers):
            self.start_worker()

    def start_scheduler(self):
        self.file.unlink(missing_ok=True)
        self.scheduler = self._start(
            "scheduler", "--host", "127.0.0.1", "--port", str(self.port), "--scheduler-file", str(self.file),
            "--no-dashboard",
        )  # fmt: skip
        wait_for(self.file.exists)

    def start_worker(self, blocks=None):
        """blocks: of 1024 bytes, that a file of the worker may have at most."""
        nanny = "--nanny" if self.nanny else "--no-nanny"
        command = (
            "worker", self.address, "--nthreads", "1", nanny, "--no-dashboard", "--local-directory",
            str(self.folder / "scratch"), "--death-timeout", "60",
        )  # fmt: skip
        self.workers.append(self._start(*command, blocks=blocks))
        return self.workers[-1]

    def _start(self, *command, blocks=None):
        limit = f"ulimit -f {blocks}; " if blocks else ""
        line = f'{limit}exec "{sys.executable}" -m distributed.cli.dask_{command[0]} "$@"'
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])}
        log = open(self.folder / "log.txt", "a")  # noqa: SIM115 - the process's
        return subprocess.Popen(
            ["bash", "-c", line, "bash", *command[1:]], env=environment, stdout=log, stderr=log, start_new_session=True
        )

    def kill(self, process):
        """At once, with all that it has started."""
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in (*self.workers, self.scheduler):
            self.kill(process)


def wait_for(what, seconds=180):
    """Until `what()` holds; AssertionError when it does not for so long."""
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)


def _free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]
