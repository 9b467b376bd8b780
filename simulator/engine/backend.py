"""TensorFlow, loaded once, quiet and without claiming a GPU's whole memory."""

from __future__ import annotations

from functools import cache
from types import ModuleType

from semlink.simulator.quiet import silence_frameworks


@cache
def tensorflow() -> ModuleType:
    """The tensorflow module. GPU memory grows on demand, so that torch can share the device."""
    silence_frameworks()
    import tensorflow as tf

    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)
    tf.get_logger().setLevel("ERROR")
    return tf
