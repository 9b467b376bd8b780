"""A program of another environment as a process that stays: a line of JSON asks, a line of JSON answers.

Its first line tells versions, `{"versions": {...}}`; an answer with `error` tells why there is none.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any, Self

from semlink.simulator.errors import SemlinkError

PATIENCE_S = 300.0  # for one answer


class Peer:
    """A process that answers, from its start to the end of the `with`.

    name: for messages. command: the program and its arguments. variables: of its environment, over those here.
    versions: what it says of itself. SemlinkError when it ends, says nothing in `patience_s`, or answers an error.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        variables: Mapping[str, str] | None = None,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self.name, self.patience_s = name, patience_s
        self._said = tempfile.TemporaryFile()  # what it says beside its answers
        self._process = subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            env={**os.environ, **(variables or {})},
        )
        try:
            self.versions: dict[str, str] = self.receive()["versions"]
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to a request."""
        self.send(request)
        return self.receive()

    def send(self, request: Mapping[str, Any]) -> None:
        """Ask, and let it work while others are asked; `receive` must follow."""
        assert self._process.stdin
        try:
            self._process.stdin.write(f"{json.dumps(request)}\n".encode())
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._ended() from None

    def receive(self) -> dict[str, Any]:
        """Its next answer."""
        assert self._process.stdout
        if not select.select([self._process.stdout], [], [], self.patience_s)[0]:
            raise SemlinkError(f"{self.name} has not answered for {self.patience_s:g} s")
        line = self._process.stdout.readline()
        if not line:
            raise self._ended()
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise SemlinkError(f"{self.name}: {answer['error']}")
        return answer

    def close(self) -> None:
        """End it; whatever it is doing is lost."""
        self._process.kill()
        self._process.communicate()
        self._said.close()

    def _ended(self) -> SemlinkError:
        code = self._process.wait()
        self._said.seek(0)
        lines = self._said.read().decode(errors="replace").split("\n")
        last = next((line for line in reversed(lines) if line.strip()), "nothing")
        return SemlinkError(f"{self.name} ended with exit code {code} and said: {last.strip()}")
