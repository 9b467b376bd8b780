"""What guides a diffusion receiver besides the latent: an edge map and a tag, few bits each, which may be lost.

Edges: one bit per cell of 8x8 px, where the luma changes most (Sobel), as many cells as fit into the bytes at hand.
Tag: number of the nearest of 256 centres of AlexNet features, a class that nobody had to name.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor

from semlink.codecs._regions import mask_code
from semlink.simulator.errors import SemlinkError
from semlink.simulator.files import reading

CELL = 8  # px
DENSEST = 0.35  # share of cells that can be edges
LUMA = (0.299, 0.587, 0.114)
TAGS = 256


def edge_strength(images: Tensor) -> Tensor:
    """Mean magnitude of the luma's Sobel gradient per cell, `[batch, ceil(H / 8), ceil(W / 8)]`."""
    luma = torch.einsum("bchw,c->bhw", images, images.new_tensor(LUMA))[:, None]
    across = images.new_tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 8
    kernels = torch.stack([across, across.T])[:, None]
    size = F.conv2d(F.pad(luma, (1, 1, 1, 1), mode="replicate"), kernels).square().sum(1, keepdim=True).sqrt()
    height, width = images.shape[-2:]
    return F.avg_pool2d(F.pad(size, (0, -width % CELL, 0, -height % CELL), mode="replicate"), CELL)[:, 0]


def densest(strength: Tensor, share: Tensor) -> Tensor:
    """The strongest cells of `[batch, rows, columns]`, bool; share: of the cells, rounded up, `[batch]`."""
    flat = strength.flatten(1)
    ranks = flat.argsort(dim=1, descending=True, stable=True).argsort(dim=1, stable=True)
    return (ranks < share[:, None] * flat.shape[1]).reshape(strength.shape)


def edges(images: Tensor, room: int) -> Tensor:
    """The strongest cells, bool `[batch, rows, columns]`; as many as fit into `room` bytes when packed, if any."""
    return torch.stack([_fitted(strength, room) for strength in edge_strength(images).cpu()])


def _fitted(strength: Tensor, room: int) -> Tensor:
    order = strength.flatten().argsort(descending=True, stable=True)
    count = int(DENSEST * len(order))
    while True:
        chosen = torch.zeros(len(order), dtype=torch.bool)
        chosen[order[:count]] = True
        if count == 0 or len(mask_code.pack(chosen.reshape(strength.shape))) <= room:
            return chosen.reshape(strength.shape)
        count = count * 7 // 8


@torch.no_grad()
def tags(images: Tensor, centres: Tensor) -> Tensor:
    """Number of the nearest centre, int64 `[batch]`, whatever the batch. centres: `[256, features]`, see `features`."""
    exact = "donot_use_mm_for_euclid_dist"  # the product form rounds differently in batches of another size
    return torch.cdist(features(images), centres.float(), compute_mode=exact).argmin(1)


@torch.no_grad()
def features(images: Tensor) -> Tensor:
    """Unit vectors `[batch, 256]`: AlexNet's last convolution, averaged over the picture; one picture at a time."""
    from semlink.simulator.metrics.lpips import last_features

    means = [last_features(image[None], "alex").mean((2, 3)) for image in images]
    return F.normalize(torch.cat(means), dim=1)


@lru_cache(maxsize=4)
def centres(path: Path) -> Tensor:
    """The centres of the tags, float32 `[256, features]`. SemlinkError when the file is missing or is none."""
    wrong = "no centres of tags; experiments/make_tags.py finds some"
    try:
        with reading(path, wrong):
            found = load_file(path)["centres"].float()
    except FileNotFoundError as error:
        raise SemlinkError(f"{path}: {wrong}") from error
    if found.ndim != 2 or not torch.isfinite(found).all():
        raise SemlinkError(f"{path}: {wrong}")
    if len(found) != TAGS:
        raise SemlinkError(f"{path}: {len(found)} centres of tags, not {TAGS}")
    return found
