"""torch <-> TensorFlow by DLPack: shared memory where it can be, one counted copy where not, differentiable.

TensorFlow aborts the process on memory that is not 64-byte aligned, so alignment is checked before every crossing.
What lies on a device that TensorFlow does not have here crosses by the host: a counted copy there and one back.
Shared tensors must not be written to. Both frameworks define the gradient of a complex tensor as dL/d(re) + j dL/d(im).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from semlink.simulator.engine.backend import tensorflow

HOST = torch.device("cpu")
ALIGNMENT = 64  # bytes, what TensorFlow's kernels assume
DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64, torch.complex128)

crossings: Counter[str] = Counter()  # hand-offs "shared", "copied", "moved" between devices: for tests and benchmarks


def to_tensorflow(tensor: Tensor) -> Any:
    """A tf.Tensor over the same memory (device and values kept); a copy when strided, conjugated or unaligned.

    From a device that TensorFlow does not have, a copy on the host. No gradient flows: see `differentiable`. TypeError
    for a dtype other than float16/32/64, bfloat16, complex64/128; ValueError for a device without data, `meta`.
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
    gradients flow through it as often as they are asked for (`retain_graph=True`). No second derivatives. When inputs
    lie on a device that TensorFlow does not have, so do the results, and gradients return to where they belong.
    """

    def through(*inputs: Tensor) -> tuple[Tensor, ...]:
        far = [x.device for x in inputs if x.device.type not in _devices()]
        if far:
            return tuple(moved(y, far[0]) for y in through(*(moved(x, HOST) for x in inputs)))
        if torch.is_grad_enabled() and any(x.requires_grad for x in inputs):
            return _ThroughTensorFlow.apply(function, *inputs)
        return tuple(to_torch(y) for y in function(*(to_tensorflow(x) for x in inputs)))

    return through


def moved(tensor: Tensor, device: torch.device) -> Tensor:
    """The tensor on that device: itself, or a counted copy, whose gradient comes back by another counted copy.

    ValueError for a tensor without data, of device `meta`.
    """
    if tensor.device == device:
        return tensor
    if tensor.is_meta:
        raise ValueError("a tensor of device meta holds no data; TensorFlow and the link need some")
    return _Moved.apply(tensor, device)


class _Moved(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor, device: torch.device) -> Tensor:
        ctx.home = tensor.device
        crossings["moved"] += 1
        return tensor.to(device)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        crossings["moved"] += 1
        return gradients[0].to(ctx.home), None


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
    plain = tensor.detach() if tensor.device.type in _devices() else moved(tensor.detach(), HOST)
    if plain.is_conj() or plain.is_neg() or not plain.is_contiguous() or plain.data_ptr() % ALIGNMENT:
        crossings["copied"] += 1
        return plain.resolve_conj().resolve_neg().clone(memory_format=torch.contiguous_format)
    crossings["shared"] += 1
    return plain


def _devices() -> tuple[str, ...]:
    return ("cpu", "cuda") if tensorflow().config.list_logical_devices("GPU") else ("cpu",)


def _dtype_names() -> str:
    return ", ".join(str(d).removeprefix("torch.") for d in DTYPES)
