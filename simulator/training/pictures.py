"""What a training run is put together from: a codec with a network, pictures, a device."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from semlink.simulator import data
from semlink.simulator.errors import SemlinkError
from semlink.simulator.words import parse

HELD_OUT = {"kodak", "cifar10", "cifar10-mosaic", "imagenet-256", "tiny-imagenet-64", "camvid", "camvid-val"}


def make_codec(word: str, rho: float) -> Any:
    """The codec of a word at that rate; SemlinkError when it has no network to train."""
    from semlink import codecs

    chosen = parse(word)
    codec = codecs.create(chosen.name, rho=rho, **dict(chosen.settings))
    if not hasattr(codec, "new_network"):
        raise SemlinkError(f"codec {chosen.name!r} has no network to train")
    return codec


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


def make_channel(words: tuple[str, ...]) -> Any:
    """The training channel of words: the surrogate (AWGN alone is `surrogate-awgn`), or real links."""
    from semlink.simulator.training.channels import Surrogate

    if words in (("surrogate",), ("surrogate-awgn",)):
        return Surrogate() if words == ("surrogate",) else Surrogate(0.0, 0.0)
    from semlink.simulator.sweep.trial import make_link
    from semlink.simulator.training.through_link import ThroughLink
    from semlink.simulator.words import parse

    return ThroughLink(tuple(make_link(parse(word)) for word in words))


def default_device() -> str:
    """cuda when there is one, else cpu."""
    return "cuda" if torch.cuda.is_available() else "cpu"
