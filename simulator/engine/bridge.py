"""torch <-> TensorFlow by DLPack: shared memory where it can be, one counted copy where not, differentiable.

TensorFlow aborts the process on memory that is not 64-byte aligned, so alignment is checked before every crossing.
Shared tensors must not be written to. Both frameworks define the gradient of a complex tensor as dL/d(re) + j dL/d(im).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from semlink.simulator.engine.backend import tensorflow

ALIGNMENT = 64  # bytes, what TensorFlow's kernels assume
DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64, torch.complex128)

crossings: Counter[str] = Counter()  # "shared" and "copied" hand-offs of this process, for tests and benchmarks


def to_tensorflow(tensor: Tensor) -> Any:
    """A tf.Tensor over the same memory (device and values kept); a copy when strided, conjugated or unaligned.

    No gradient flows: see `differentiable`. TypeError for a dtype other than float16/32/64, bfloat16, complex64/128;
    ValueError for a device that TensorFlow does not have.
    """
    tf = tensorflow()
    plain = _shareable(tensor)
    if plain.numel() == 0:
        return tf.zeros(tuple(plain.shape), str(plain.dtype).removeprefix("torch."))
    return tf.experimental.dlpack.from_dlpack(torch.utils.dlpack.to_dlpack(plain))


def to_torch(tensor: Any) -> Tensor:
    """A torch.Tensor over the memory of an eager tf.Tensor. TypeError for anything else or another dtype."""
    tf = tensorflow()
    if not isinstance(tensor, tf.Tensor) or not hasattr(tensor, "numpy"):
        raise TypeError(f"expected an eager tf.Tensor, got {type(tensor).__name__}")
    dtype = getattr(torch, tensor.dtype.name, None)
    if dtype not in DTYPES:
        raise TypeError(f"dtype {tensor.dtype.name} cannot cross; use one of {_dtype_names()}")
    if 0 in tensor.shape:
        return torch.zeros(tuple(tensor.shape), dtype=dtype)
    crossings["shared"] += 1
    return torch.utils.dlpack.from_dlpack(tf.experimental.dlpack.to_dlpack(tensor))


def differentiable(function: Callable[..., Sequence[Any]]) -> Callable[..., tuple[Tensor, ...]]:
    """A torch function out of a TensorFlow one.

    `function` takes tf tensors and returns a sequence of them; the result takes and returns torch tensors, and torch
    gradients flow through it as often as they are asked for (`retain_graph=True`). No second derivatives.
    """

    def through(*inputs: Tensor) -> tuple[Tensor, ...]:
        if torch.is_grad_enabled() and any(x.requires_grad for x in inputs):
            return _ThroughTensorFlow.apply(function, *inputs)
        return tuple(to_torch(y) for y in function(*(to_tensorflow(x) for x in inputs)))

    return through


class _ThroughTensorFlow(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, function: Callable[..., Sequence[Any]], *inputs: Tensor) -> tuple[Tensor, ...]:
        sources = [to_tensorflow(x) for x in inputs]
        with tensorflow().GradientTape(persistent=True) as tape:
            tape.watch(sources)
            targets = list(function(*sources))
        ctx.tape, ctx.sources, ctx.targets = tape, sources, targets
        return tuple(to_torch(y) for y in targets)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        arriving = [to_tensorflow(g) for g in gradients]
        found = ctx.tape.gradient(ctx.targets, ctx.sources, output_gradients=arriving)
        return (None, *(None if g is None else to_torch(g) for g in found))


def _shareable(tensor: Tensor) -> Tensor:
    if tensor.dtype not in DTYPES:
        raise TypeError(f"dtype {tensor.dtype} cannot cross to TensorFlow; use one of {_dtype_names()}")
    if tensor.device.type not in _devices():
        raise ValueError(
            f"TensorFlow has no device like {tensor.device} here (only {', '.join(_devices())}); move the tensor first"
        )
    plain = tensor.detach()
    if plain.is_conj() or plain.is_neg() or not plain.is_contiguous() or plain.data_ptr() % ALIGNMENT:
        crossings["copied"] += 1
        return plain.resolve_conj().resolve_neg().clone(memory_format=torch.contiguous_format)
    crossings["shared"] += 1
    return plain


def _devices() -> tuple[str, ...]:
    return ("cpu", "cuda") if tensorflow().config.list_logical_devices("GPU") else ("cpu",)


def _dtype_names() -> str:
    return ", ".join(str(d).removeprefix("torch.") for d in DTYPES)
