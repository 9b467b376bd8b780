"""Weights in few bytes: matrices in 8 bits with a scale a row, the rest in half precision; `unpack` undoes it."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

SCALE = ".scale"  # ends the name of the scales of an int8 tensor
STEPS = 127


def pack(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """int8 matrices and kernels, float32 scales `[rows]` beside them, float16 vectors; whole numbers as they are."""
    packed = {}
    for name, tensor in state.items():
        if tensor.is_floating_point() and tensor.ndim >= 2 and min(tensor.shape[0], tensor[0].numel()) > 1:
            rows = tensor.detach().float().flatten(1)
            scale = (rows.abs().amax(1) / STEPS).clamp_min(1e-12)
            packed[name] = (rows / scale[:, None]).round().to(torch.int8).reshape(tensor.shape).contiguous()
            packed[name + SCALE] = scale
        else:
            packed[name] = tensor.detach().half() if tensor.is_floating_point() else tensor
    return packed


def unpack(packed: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of a weight file, int8 ones as float32. ValueError where scales are not one a row."""
    scales = {name + SCALE for name in packed}
    state = {name: tensor for name, tensor in packed.items() if name not in scales}
    for name, tensor in state.items():
        if name + SCALE in packed:
            scale = packed[name + SCALE]
            if scale.shape != tensor.shape[:1]:
                raise ValueError(f"{name} has {list(tensor.shape)} values, but scales {list(scale.shape)}")
            state[name] = tensor.float() * scale.reshape(-1, *[1] * (tensor.ndim - 1))
    return state
