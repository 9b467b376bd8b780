"""Random numbers of `tf.random.Generator.from_seed(seed)`, which Sionna draws from once `config.seed` is set.

Sionna's generators and ours draw the same users from the same seed. TensorFlow's own generator spends half a
millisecond a call on what it keeps in a variable; its numbers depend on a counter alone, which is an integer here.
"""

from __future__ import annotations

import os
from functools import cache, lru_cache
from math import prod
from typing import Any

import numpy as np

PHILOX = 1  # TensorFlow's number of the algorithm
STRIDE = 256  # of the counter for each number that is asked for


class Philox:
    """Float32 arrays of the shape that is asked for, one after another."""

    def __init__(self, seed: int) -> None:
        self._counter = seed
        self._ops = _tensorflow().raw_ops

    def uniform(self, *shape: int) -> np.ndarray:
        """Uniform within [0, 1)."""
        return self._ops.StatelessRandomUniformV2(**self._next(shape)).numpy()

    def normal(self, *shape: int) -> np.ndarray:
        """Of mean 0 and variance 1."""
        return self._ops.StatelessRandomNormalV2(**self._next(shape)).numpy()

    def signs(self, *shape: int) -> np.ndarray:
        """-1 or 1 at even odds."""
        bits = self._ops.StatelessRandomUniformIntV2(**self._next(shape), **_ends())
        return 2 * bits.numpy() - 1

    def skip(self, *shape: int) -> None:
        """Go on as if so many had been drawn."""
        self._counter += STRIDE * prod(shape)

    def _next(self, shape: tuple[int, ...]) -> dict[str, Any]:
        counter = np.array([self._counter, 0], np.uint64)
        self.skip(*shape)
        return {"counter": _tensorflow().constant(counter), **_constants(shape)}


@lru_cache(maxsize=64)
def _constants(shape: tuple[int, ...]) -> dict[str, Any]:
    """The other arguments of every draw as tensors, which TensorFlow takes several times as fast as numbers."""
    values = {"shape": np.array(shape, np.int32), "key": np.zeros(1, np.uint64), "alg": np.int32(PHILOX)}
    return {name: _tensorflow().constant(value) for name, value in values.items()}


@cache
def _ends() -> dict[str, Any]:
    """Of whole numbers: 0 and 1."""
    return {"minval": _tensorflow().constant(0), "maxval": _tensorflow().constant(2)}


@cache
def _tensorflow() -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    # whoever wakes TensorFlow first decides whether torch keeps room on a GPU
    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)
    return tf
