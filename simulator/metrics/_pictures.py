"""What every metric asks of its pictures, and batches cut into parts so that memory stays bounded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import isfinite

import torch
from torch import Tensor

from semlink.simulator.errors import SemlinkError

SLACK = 1e-3  # rounding that a picture in [0, 1] may show
LARGE = 1 << 20  # px of a picture that is looked at in pieces


def checked(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """The pair in float32 (float64 stays); SemlinkError unless both are finite `[batch, 3, H, W]`, alike, in [0, 1]."""
    check_shapes(x, y)
    for name, pictures in (("original", x), ("received", y)):
        _check_values(name, pictures)
    return widened(x), widened(y)


def check_shapes(x: Tensor, y: Tensor) -> None:
    """SemlinkError unless both are floating `[batch, 3, H, W]` of one shape with nothing empty."""
    if x.shape != y.shape:
        raise SemlinkError(
            f"original {list(x.shape)} and received {list(y.shape)} differ in shape; the codec must keep it"
        )
    if x.ndim != 4 or x.shape[1] != 3 or 0 in x.shape:
        raise SemlinkError(f"pictures are {list(x.shape)}; a metric needs [batch, 3, H, W] with nothing empty")
    for name, pictures in (("original", x), ("received", y)):
        if not pictures.is_floating_point():
            raise SemlinkError(
                f"{name} pictures are {pictures.dtype}; a metric needs floats in [0, 1] (uint8: divide by 255)"
            )


def widened(x: Tensor) -> Tensor:
    """float32 at least: bfloat16 and float16 are too coarse to measure with."""
    return x if x.dtype == torch.float64 else x.float()


def by_parts(metric: Callable[[Tensor, Tensor], Tensor], x: Tensor, y: Tensor, images: int) -> Tensor:
    """`metric(x, y)`, `[batch]`, at most `images` (at least one) at a time."""
    size = max(1, images)
    return torch.cat([metric(a, b) for a, b in zip(x.split(size), y.split(size), strict=True)])


def strips(height: int, width: int, pixels: int) -> Iterator[slice]:
    """The rows of a picture in strips of about `pixels` px."""
    step = max(1, pixels // width)
    return (slice(top, min(top + step, height)) for top in range(0, height, step))


def _check_finite(name: str, pictures: Tensor) -> None:
    bad = (~torch.isfinite(pictures)).flatten(1).sum(1)
    if bad.any():
        first = int(bad.nonzero()[0])
        affected = int((bad > 0).sum())
        raise SemlinkError(
            f"{name} image {first} of the batch has {int(bad[first])} NaN or infinite values of {pictures[0].numel()} "
            f"({affected} of {len(pictures)} images affected)"
        )


def _check_values(name: str, pictures: Tensor) -> None:
    low, high = (float(edge) for edge in torch.aminmax(pictures.detach()))
    if not (isfinite(low) and isfinite(high)):  # NaN is both the least and the largest
        _check_finite(name, pictures)
    if low < -SLACK or high > 1 + SLACK:
        raise SemlinkError(
            f"{name} pictures span {low:.4g} to {high:.4g}; a metric needs [0, 1] (clamp, or divide by 255)"
        )
