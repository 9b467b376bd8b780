"""TensorFlow, loaded once, quiet and without claiming a GPU's whole memory."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

from semlink.simulator.quiet import silence_frameworks


@cache
def tensorflow() -> ModuleType:
    """The tensorflow module. GPU memory grows on demand, so that torch can share the device."""
    silence_frameworks()
    with later("keras"):  # TensorFlow imports it so as to register optimisers, which nothing here needs: 2 s
        import tensorflow as tf

    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)
    tf.get_logger().setLevel("ERROR")
    return tf


def squared(x: Any) -> Any:
    """|x|^2 of a complex tensor; XLA takes roots for `abs(x) ** 2`."""
    real, imaginary = tensorflow().math.real(x), tensorflow().math.imag(x)
    return real**2 + imaginary**2


@contextmanager
def later(name: str) -> Iterator[None]:
    """Within it the package of that name is found but raises ImportError; afterwards it imports as ever."""
    finder = _Later(name)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _Later(MetaPathFinder, Loader):
    def __init__(self, name: str) -> None:
        self._name = name

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        found = PathFinder.find_spec(fullname) if fullname == self._name else None
        if found is not None:
            found.loader = self
        return found

    def create_module(self, spec: ModuleSpec) -> None:
        """Nothing of its own."""

    def exec_module(self, module: ModuleType) -> None:
        raise ImportError(f"{self._name} is imported later")
