"""Log noise of frameworks kept off the screen."""

from __future__ import annotations

import atexit
import faulthandler
import os
import re
import sys
import threading
import warnings
from functools import cache

_ENVIRONMENT = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_FORCE_GPU_ALLOW_GROWTH": "true", "GLOG_minloglevel": "3"}
_NOISE = re.compile(
    rb"^(WARNING: All log messages before absl::InitializeLog|[IWE]0000 00:00:|\d{4}-\d\d-\d\d [^ ]+ [IWE] )"
)


def silence() -> None:
    """Keep framework log noise off the screen of a command, here and in child processes, and warnings to one line."""
    warnings.formatwarning = _plain_warning  # type: ignore[assignment]
    silence_frameworks()


@cache
def silence_frameworks() -> None:
    """Keep log noise of TensorFlow off the screen, once a process; errors and warnings of Python are not touched.

    Its environment variables do not reach what XLA and CUDA stubs print before absl is set up, so standard error's file
    descriptor is filtered line by line, while Python itself keeps writing to the real one.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    _filter_stderr()


def _plain_warning(message: Warning | str, *where: object) -> str:
    """A warning without the place in our code that it comes from."""
    return f"warning: {message}\n"


def _filter_stderr() -> None:
    own = getattr(sys.stderr, "fileno", None) is not None and sys.stderr is sys.__stderr__
    if not own and "ipykernel" not in sys.modules:
        return  # somebody captures it already; a notebook shows what comes behind Python's back, too
    sys.stderr.flush()
    real = os.dup(2)
    if own:
        sys.stderr = os.fdopen(real, "w", buffering=1, errors="backslashreplace")
        faulthandler.enable(sys.stderr)
    source, sink = os.pipe()
    os.dup2(sink, 2)
    os.close(sink)
    reader = threading.Thread(target=_pass_on, args=(source, real), daemon=True)
    reader.start()
    atexit.register(_restore, real, reader)


def _pass_on(source: int, target: int) -> None:
    with os.fdopen(source, "rb") as lines:
        for line in lines:
            if not _NOISE.match(line):
                os.write(target, line)


def _restore(real: int, reader: threading.Thread) -> None:
    sys.stderr.flush()
    os.dup2(real, 2)
    reader.join(timeout=0.5)
