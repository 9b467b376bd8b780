"""What a classical video codec may expect of a scheme and an intra period: quality where frames arrive or are lost.

From the moment a packet is lost until it arrives at last, or the next intra frame, the last whole frame stands still.
How good a frame of b bits is, and how good one that stands still for so many frames, was measured on training clips
(experiments/measure_video.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from semlink.simulator.files import read_json

TABLE = Path(__file__).parents[1] / "tables" / "video_quality.json"
STEADY = 64  # frames after which the chances of a state no longer change, at the longest period that is looked at
AGES = 48  # frames that a picture stands still, counted


@dataclass(frozen=True)
class Pattern:
    """When a loss is mended: by intra frames, every `period` frames, and by sending again, each `delay` frames from the
    loss on, or None without feedback.
    """

    period: int
    delay: int | None = None


@cache
def table(coder: str) -> Mapping[str, Any]:
    """`bpp`: bits per pixel of the full size, rising; `psnr`, by factor of the sides, at each; `intra`: bits of an
    intra frame over those of a following one; `still`: PSNR of a frame that stands still for 1, 2, ... frames.
    """
    return read_json(TABLE, "a damaged table; take it from the package again")[coder]


def quality(coder: str, bpp: float) -> tuple[float, float]:
    """PSNR in dB of frames of so many bits per pixel at the best factor, and that factor."""
    told = table(coder)
    at = np.log2(max(bpp, 1e-6))
    known = np.log2(told["bpp"])
    found = {float(f): _on_line(at, known, psnr) for f, psnr in told["psnr"].items()}
    best = max(found, key=lambda factor: found[factor])
    return found[best], best


def _on_line(at: float, known: np.ndarray, psnr: Sequence[float]) -> float:
    """Between measured points on a line, and beyond the last ones on theirs."""
    place = int(np.clip(np.searchsorted(known, at), 1, len(known) - 1))
    share = (at - known[place - 1]) / (known[place] - known[place - 1])
    return float(psnr[place - 1] + share * (psnr[place] - psnr[place - 1]))


def expected(coder: str, bpp: float, arrival: np.ndarray, pattern: Pattern) -> float:
    """Mean PSNR over frames and classes of fades, if frames have so many bits per pixel.

    arrival: chance `[classes]` that a frame's packet arrives.
    """
    ages = _ages(tuple(np.round(arrival, 3)), pattern)
    told = table(coder)
    good, _ = quality(coder, bpp / (1 + (told["intra"] - 1) / pattern.period))
    still = np.interp(np.arange(1, AGES), 1 + np.arange(len(told["still"])), told["still"])
    levels = np.concatenate([[good], -10 * np.log10(10 ** (-good / 10) + 10 ** (-still / 10))])
    return float(ages @ levels)


@lru_cache(maxsize=1024)
def _ages(arrival: tuple[float, ...], pattern: Pattern) -> np.ndarray:
    """Share of frames that stand still for 0, 1, 2, ... frames `[AGES]`, over all classes, once all has settled."""
    chance = np.asarray(arrival)[:, None]
    state = np.zeros((len(arrival), AGES))
    state[:, 0] = 1
    period = min(pattern.period, STEADY)
    kept = np.zeros(AGES)
    for frame in range(3 * period):
        state = _after(state, chance, frame % period == 0, pattern.delay)
        if frame >= 2 * period:
            kept += state.mean(0) / period
    return kept


def _after(state: np.ndarray, chance: np.ndarray, intra: bool, delay: int | None) -> np.ndarray:
    """States of the next frame: a loss makes a picture stand, what mends it and arrives ends that."""
    ages = np.arange(AGES)
    ends = np.full(AGES, intra)
    if delay is not None:
        ends |= (ages >= delay) & (ages % delay == 0)
    ends[0] = True
    whole = (state * ends * chance).sum(1, keepdims=True)
    older = state - state * ends * chance
    new = np.concatenate([whole, older[:, :-1]], axis=1)
    new[:, -1] += older[:, -1]
    return new
