"""Pictures to train on, and the test sets that are not."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import torch
from torch import Generator, Tensor

from semlink.simulator import data
from semlink.simulator.errors import SemlinkError

HELD_OUT = {
    "kodak",
    "photos48",
    "cifar10",
    "cifar10-mosaic",
    "imagenet-256",
    "tiny-imagenet-64",
    "camvid-drives",
    "camvid-drives-val",
}


def refuse_tests(names: Sequence[str]) -> None:
    """SemlinkError for a test set."""
    if any(name in HELD_OUT or "test" in re.split(r"[\W_]+", name) for name in names):
        raise SemlinkError(f"{' '.join(names)}: a test set is not for training; known training sets end in -train")


def load_pictures(names: Sequence[str], crop: int) -> tuple[list[Tensor], Tensor]:
    """uint8 pictures `[3, H, W]` to train on, and central crops `[n, 3, crop, crop]` in [0, 1] of those held out.

    SemlinkError for a test set, and when no picture is as large as the crop.
    """
    refuse_tests(names)
    sets = [data.load(name) for name in names]
    pictures = [(picture * 255).round().to(torch.uint8) for chosen in sets for picture in chosen]
    pictures = [p for p in pictures if min(p.shape[1:]) >= crop]
    step = max(50, len(pictures) // 500)
    held = [p[:, (p.shape[1] - crop) // 2 :, (p.shape[2] - crop) // 2 :][:, :crop, :crop] for p in pictures[::step]]
    if not held:
        raise SemlinkError(f"{' '.join(names)}: no picture of at least {crop} px")
    return [p for i, p in enumerate(pictures) if i % step], torch.stack(held).float() / 255


def random_batch(pictures: Sequence[Tensor], batch: int, crop: int, generator: Generator) -> Tensor:
    """Random crops, half of them mirrored, of random uint8 pictures `[3, H, W]`, as float32 in [0, 1]."""
    crops = [_random_crop(pictures, crop, draws) for draws in _draws(batch, generator)]
    return torch.stack(crops).contiguous(memory_format=torch.channels_last).float() / 255


def _draws(batch: int, generator: Generator) -> Iterator[list[float]]:
    yield from torch.rand(batch, 4, generator=generator, device=generator.device).tolist()


def _random_crop(pictures: Sequence[Tensor], crop: int, draws: list[float]) -> Tensor:
    picture = pictures[int(draws[0] * len(pictures))]
    height, width = picture.shape[1:]
    if min(height, width) < crop:
        raise SemlinkError(f"a training picture of {width}x{height} px is smaller than the crop of {crop} px")
    top, left = int(draws[1] * (height - crop + 1)), int(draws[2] * (width - crop + 1))
    patch = picture[:, top : top + crop, left : left + crop]
    return patch.flip(2) if draws[3] < 0.5 else patch
