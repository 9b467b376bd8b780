"""Quality of image coders by bits per pixel, measured on pictures: what `separated` chooses schemes by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from semlink.codecs._sources import ladder
from semlink.codecs._sources.coders import SourceCoder, coder
from semlink.simulator.metrics import psnr as metric

MOST_DB = 60.0  # what a picture without loss counts


def curve(name: str, pictures: Sequence[np.ndarray], budgets: Sequence[float]) -> dict[str, Any]:
    """Mean PSNR in dB of uint8 pictures `[H, W, 3]` at each budget in bits per pixel, each at its best step of the
    ladder; `factor` is the mean one by which sides were scaled. flat: of the mean colour; grey: of none at all.
    """
    source = coder(name)
    decibels, factors = np.zeros((2, len(pictures), len(budgets)))
    for i, picture in enumerate(tqdm(pictures, desc=name, unit="picture")):
        for j, budget in enumerate(budgets):
            found = _coded(source, picture, int(budget * picture[..., 0].size / 8))
            decibels[i, j] = psnr(picture, found.picture)
            flat_colour = len(found.data) == ladder.FLAT_BYTES
            factors[i, j] = 0 if flat_colour else ladder.FACTORS[source.unmark(found.data)[0]]
    return {
        "bpp": budgets,
        "psnr": [round(float(v), 3) for v in decibels.mean(0)],
        "factor": [round(float(v), 3) for v in factors.mean(0)],
        "flat": round(float(np.mean([flat(p) for p in pictures])), 3),
        "grey": round(float(np.mean([psnr(p, np.full(p.shape, 127.5)) for p in pictures])), 3),
    }


def levels(name: str, pictures: Sequence[np.ndarray], sizes: Sequence[int]) -> np.ndarray:
    """PSNR in dB `[pictures, sizes]` of uint8 pictures `[H, W, 3]` in so many bytes, each at its best step."""
    source = coder(name)
    shown = tqdm(pictures, desc=name, unit="picture")
    return np.array([[psnr(p, _coded(source, p, size).picture) for size in sizes] for p in shown])


def _coded(source: SourceCoder, picture: np.ndarray, size: int) -> ladder.Coded:
    return cast(ladder.Coded, ladder.code(source, picture, max(ladder.FLAT_BYTES, size)))


def psnr(picture: np.ndarray, other: np.ndarray) -> float:
    """PSNR of `[H, W, 3]` pictures with peak 255 in dB, at most MOST_DB."""
    return min(float(metric.psnr(_tensor(picture), _tensor(other))), MOST_DB)


def flat(picture: np.ndarray) -> float:
    """PSNR of the mean colour."""
    return psnr(picture, np.broadcast_to(picture.mean((0, 1)), picture.shape))


def _tensor(picture: np.ndarray) -> Tensor:
    """float64 `[1, 3, H, W]` in [0, 1]."""
    return torch.from_numpy(picture / 255).permute(2, 0, 1)[None]
