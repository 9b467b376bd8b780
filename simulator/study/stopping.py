"""How an experiment is stopped from outside, or by a plug-in that ends the process."""

from __future__ import annotations

import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn, TypeVar

from semlink.simulator.errors import SemlinkError

Flags = TypeVar("Flags")


class Terminated(KeyboardInterrupt):
    """SIGTERM came, which stops an experiment as Ctrl-C does."""


@contextmanager
def sigterm_stops() -> Iterator[None]:
    """SIGTERM as `Terminated` in the main thread, which alone may say so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def finish(main: Callable[[Flags], int], flags: Flags) -> int:
    """What `main` returns; SemlinkError when something in it, such as a plug-in, ends the process instead."""
    try:
        return main(flags)
    except SystemExit as stop:
        where = traceback.extract_tb(stop.__traceback__)[-1]
        place = f"{Path(where.filename).name}:{where.lineno}"
        raise SemlinkError(f"{place} called sys.exit({stop.code}); what was measured is kept") from stop


def _terminate(signum: int, frame: object) -> NoReturn:
    raise Terminated
