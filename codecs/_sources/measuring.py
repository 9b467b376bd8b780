"""Quality of image coders by bits per pixel, measured on pictures: what `separated` chooses schemes by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from semlink.codecs._sources.coders import coder, fit
from semlink.simulator.metrics import psnr as metric

MOST_DB = 60.0  # what a picture without loss counts


def curve(name: str, pictures: Sequence[np.ndarray], budgets: Sequence[float]) -> dict[str, Any]:
    """Mean PSNR in dB of uint8 pictures `[H, W, 3]` at each budget in bits per pixel.

    It is that of the best quality that fits, and of the mean colour (`flat`) where none does; grey: of none at all.
    """
    source = coder(name)
    levels = np.zeros((len(pictures), len(budgets)))
    for i, picture in enumerate(tqdm(pictures, desc=name, unit="picture")):
        height, width = picture.shape[:2]
        for j, budget in enumerate(budgets):
            found = fit(source, picture, int(budget * height * width / 8))
            levels[i, j] = psnr(picture, source.decode(found[0], height, width)) if found else flat(picture)
    return {
        "bpp": budgets,
        "psnr": [round(float(v), 3) for v in levels.mean(0)],
        "flat": round(float(np.mean([flat(p) for p in pictures])), 3),
        "grey": round(float(np.mean([psnr(p, np.full(p.shape, 127.5)) for p in pictures])), 3),
    }


def psnr(picture: np.ndarray, other: np.ndarray) -> float:
    """PSNR of `[H, W, 3]` pictures with peak 255 in dB, at most MOST_DB."""
    return min(float(metric.psnr(_tensor(picture), _tensor(other))), MOST_DB)


def flat(picture: np.ndarray) -> float:
    """PSNR of the mean colour."""
    return psnr(picture, np.broadcast_to(picture.mean((0, 1)), picture.shape))


def _tensor(picture: np.ndarray) -> Tensor:
    """float64 `[1, 3, H, W]` in [0, 1]."""
    return torch.from_numpy(picture / 255).permute(2, 0, 1)[None]
