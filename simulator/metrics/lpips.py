"""LPIPS version 0.1 (Zhang et al., CVPR 2018): distance of unit-normalised deep features, weighted by learned heads.

d(x, y) = sum over layers of mean over places of w . (f(x) - f(y))^2, f normalised over channels, w learned, backbone
AlexNet or VGG-16. Pictures are `[batch, 3, H, W]` floats in [0, 1], converted to the backbone's scale inside; results
are float32 `[batch]`, 0 for identical pictures, lower is better. Pictures whose smaller side is below 64 px are
upsampled (bilinear) until it is 64, and `lpips_name` says so; the longer side grows in proportion, but not beyond
16384 px, so that pictures narrower than 1 to 256 are widened more than they are lengthened.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, partial

import torch
from torch import Tensor
from torch.nn import functional

from semlink.simulator.errors import SemlinkError
from semlink.simulator.metrics import _lpips_weights
from semlink.simulator.metrics._lpips_weights import Weights
from semlink.simulator.metrics._pictures import LARGE, by_parts, check_shapes, checked
from semlink.simulator.tiles import cuts

SMALLEST = 64
LONGEST = 1 << 14  # of what is upsampled: a megapixel
LONGEST_NARROW = 1 << 20  # px of a side beyond which a narrow picture would be larger than any that is read
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # on inputs in [-1, 1]
PIXELS_AT_ONCE = 1 << 17
SIDES = {"alex": 1024, "vgg": 512}  # px of the tiles of large pictures
REACH, UNIT = 96, 16  # px: what a feature depends on beyond its place, and the stride of the deepest ones


@dataclass(frozen=True)
class Layer:
    """A convolution with ReLU behind a max pool of side `pool`, stride 2 (0: none); `tap`: its output is compared."""

    channels: int
    kernel: int = 3
    stride: int = 1
    padding: int = 1
    pool: int = 0
    tap: bool = True


def _vgg_block(channels: int, count: int, pool: int = 2) -> tuple[Layer, ...]:
    return tuple(Layer(channels, pool=pool if i == 0 else 0, tap=i == count - 1) for i in range(count))


NETS = {
    "alex": (Layer(64, 11, 4, 2), Layer(192, 5, padding=2, pool=3), Layer(384, pool=3), Layer(256), Layer(256)),
    "vgg": _vgg_block(64, 2, 0) + _vgg_block(128, 2) + _vgg_block(256, 3) + _vgg_block(512, 3) + _vgg_block(512, 3),
}


def lpips_alex(x: Tensor, y: Tensor) -> Tensor:
    """LPIPS on AlexNet features, without gradient; SemlinkError for wrong pictures or missing weights."""
    return _measured("alex", x, y)


def lpips_vgg(x: Tensor, y: Tensor) -> Tensor:
    """LPIPS on VGG-16 features, without gradient; SemlinkError for wrong pictures or missing weights."""
    return _measured("vgg", x, y)


def lpips_loss(x: Tensor, y: Tensor, net: str = "vgg") -> Tensor:
    """LPIPS `[batch]`, differentiable in x and y, the whole batch at once, values unchecked. net: alex or vgg."""
    check_shapes(x, y)
    return _distance(x, y, net)


def last_features(x: Tensor, net: str) -> Tensor:
    """The deepest feature maps that LPIPS compares, `[batch, channels, h, w]`; pictures are not checked."""
    *_, last = _features(_scaled(_upsampled(x)), net, _weights(_known(net), x.device))
    return last


def lpips_name(net: str, height: int, width: int) -> str:
    """Name in rows: `lpips_alex`, or `lpips_alex_up64` when pictures of that size are upsampled."""
    return f"lpips_{_known(net)}{f'_up{SMALLEST}' if min(height, width) < SMALLEST else ''}"


def _measured(net: str, x: Tensor, y: Tensor) -> Tensor:
    x, y = checked(x, y)
    height, width = _working_size(*x.shape[2:])
    distance = _distance_in_tiles if height * width > LARGE else _distance
    with torch.no_grad():
        return by_parts(partial(distance, net=net), x, y, PIXELS_AT_ONCE // (height * width))


def _distance(x: Tensor, y: Tensor, net: str) -> Tensor:
    total = torch.zeros(len(x), device=x.device)
    for squares, weight in _squares(_upsampled(x), _upsampled(y), net):
        total = total + torch.einsum("bchw,c->b", squares, weight) / squares[0, 0].numel()
    return total


def _distance_in_tiles(x: Tensor, y: Tensor, net: str) -> Tensor:
    """The same of large pictures: sums over what each tile gives of every layer, over the places of all tiles."""
    x, y = _upsampled(x), _upsampled(y)
    sums = torch.zeros(len(_strides(net)), len(x), dtype=torch.float64, device=x.device)
    places = [0] * len(sums)
    for row in cuts(x.shape[2], SIDES[net], REACH, UNIT):
        for column in cuts(x.shape[3], SIDES[net], REACH, UNIT):
            seen_x, seen_y = (z[:, :, row.sees, column.sees] for z in (x, y))
            for i, (stride, (squares, weight)) in enumerate(
                zip(_strides(net), _squares(seen_x, seen_y, net), strict=True)
            ):
                own = squares[:, :, row.within(stride), column.within(stride)]
                sums[i] += torch.einsum("bchw,c->b", own, weight)
                places[i] += own[0, 0].numel()
    return (sums / sums.new_tensor(places)[:, None]).sum(0).float()


def _strides(net: str) -> list[int]:
    """px from place to place of each compared layer."""
    strides = itertools.accumulate((layer.stride * (2 if layer.pool else 1) for layer in NETS[net]), operator.mul)
    return [stride for layer, stride in zip(NETS[net], strides, strict=True) if layer.tap]


def _squares(x: Tensor, y: Tensor, net: str) -> Iterator[tuple[Tensor, Tensor]]:
    """Squared differences of features `[batch, channels, h, w]` and the weights of channels, of each compared layer."""
    weights = _weights(_known(net), x.device)
    pairs = zip(_features(_scaled(x), net, weights), _features(_scaled(y), net, weights), strict=True)
    for i, (a, b) in enumerate(pairs):
        # The eps of F.normalize keeps the gradient finite where all features are 0.
        difference = functional.normalize(a, eps=1e-10) - functional.normalize(b, eps=1e-10)
        yield difference.square(), weights[f"lin{i}.weight"]


def _upsampled(x: Tensor) -> Tensor:
    """At the size that the network sees."""
    size = _working_size(*x.shape[2:])
    if size == tuple(x.shape[2:]):
        return x
    return functional.interpolate(x, size, mode="bilinear", align_corners=False)


def _scaled(x: Tensor) -> Tensor:
    """On the backbone's scale."""
    shift, scale = (torch.tensor(values, device=x.device)[:, None, None] for values in (SHIFT, SCALE))
    # Convolutions take a quarter less time on a CPU with channels last.
    return ((2 * x.float() - 1 - shift) / scale).contiguous(memory_format=torch.channels_last)


def _working_size(height: int, width: int) -> tuple[int, int]:
    """Size that the network sees. SemlinkError for a picture that is narrow and too long to be upsampled."""
    small = min(height, width)
    if small >= SMALLEST:
        return height, width
    if max(height, width) > LONGEST_NARROW:
        raise SemlinkError(f"LPIPS of {height}x{width} px: too narrow and long; crop it to {LONGEST_NARROW} px or less")
    tall, wide = (min(round(side * SMALLEST / small), max(side, LONGEST)) for side in (height, width))
    return tall, wide


def _features(x: Tensor, net: str, weights: Weights) -> Iterator[Tensor]:
    """Compared feature maps `[batch, channels, h, w]`, one at a time so that no more than needed is held."""
    for i, layer in enumerate(NETS[net]):
        if layer.pool:
            x = functional.max_pool2d(x, layer.pool, 2)
        weight, bias = weights[f"conv{i}.weight"], weights[f"conv{i}.bias"]
        x = functional.relu(functional.conv2d(x, weight, bias, layer.stride, layer.padding))
        if layer.tap:
            yield x


@cache
def _weights(net: str, device: torch.device) -> Weights:
    with torch.inference_mode(False):  # else a first use inside inference mode would spoil them for training
        return {name: tensor.to(device) for name, tensor in _lpips_weights.load(net, _shapes(net)).items()}


def _shapes(net: str) -> dict[str, tuple[int, ...]]:
    channels = [3, *(layer.channels for layer in NETS[net])]
    taps = [layer.channels for layer in NETS[net] if layer.tap]
    shapes: dict[str, tuple[int, ...]] = {f"lin{i}.weight": (count,) for i, count in enumerate(taps)}
    for i, layer in enumerate(NETS[net]):
        shapes[f"conv{i}.weight"] = (layer.channels, channels[i], layer.kernel, layer.kernel)
        shapes[f"conv{i}.bias"] = (layer.channels,)
    return shapes


def _known(net: str) -> str:
    if net not in NETS:
        raise SemlinkError(f"unknown LPIPS net {net!r}; known: {', '.join(NETS)}")
    return net
