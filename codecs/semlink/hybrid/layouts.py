"""How channel uses are shared between base and analog symbols: the layout with the best expected PSNR.

Expected over the fades that link statistics sampled: chance that the base arrives times the quality that training
pictures had at that size of base, rate of the analog symbols and SNR (experiments/measure_hybrid.py), plus a grey
picture otherwise. A fade counts with the SNR of its mean reliability, as linear estimates do.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from semlink.codecs._learned.shipped import TABLES
from semlink.codecs._sources.separated import FLAT_BYTES
from semlink.codecs.semlink.hybrid.base import is_small
from semlink.simulator import forms
from semlink.simulator.bits.framing import room
from semlink.simulator.bits.mcs import TABLE, Mcs
from semlink.simulator.values import LinkStatistics

QUALITY = TABLES / "semlink-quality.json"
LEAST = 1 / 16  # share of the uses that analog symbols have at least
LEAST_RELIABLE = 1e-6  # and at most 1 less that: what a fade counts with


@dataclass(frozen=True)
class HybridLayout:
    """uses, mcs: of the base, ahead of the analog symbols. snr_db: what their power is made for. expected: PSNR."""

    uses: int
    mcs: Mcs
    snr_db: float
    expected: float


@dataclass(frozen=True)
class Quality:
    """Mean PSNR of training pictures.

    hybrid `[bpp, rate, snr]`: at budgets for the base in bits per pixel, rates of the analog symbols per source
    dimension and SNRs in dB. alone `[alone_rate, snr]`: of analog planes without a base. grey: of a grey picture.
    """

    bpp: Sequence[float]
    rate: Sequence[float]
    snr: Sequence[float]
    hybrid: Sequence[Sequence[Sequence[float]]]
    alone_rate: Sequence[float]
    alone: Sequence[Sequence[float]]
    grey: float

    def of_hybrid(self, bpp: np.ndarray, rate: np.ndarray, snr_db: np.ndarray) -> np.ndarray:
        """Interpolated, and at the edge beyond the measured range; arguments broadcast."""
        axes = np.log2(self.bpp), np.log2(self.rate), self.snr
        return _interpolate(axes, self.hybrid, np.log2(bpp), np.log2(rate), snr_db)

    def of_alone(self, rate: float, snr_db: np.ndarray) -> np.ndarray:
        """The same for analog planes alone."""
        return _interpolate((np.log2(self.alone_rate), self.snr), self.alone, np.log2(rate), snr_db)


def choose(statistics: LinkStatistics, height: int, width: int) -> HybridLayout | None:
    """The best layout for pictures of that size; None when analog planes alone are expected to be better."""
    quality, pixels = measured(is_small(height, width)), height * width
    snr_db = forms.snr_db(np.asarray(statistics.reliability), LEAST_RELIABLE)
    found = list(_layouts(statistics, quality, pixels, snr_db))
    best = max(found, key=lambda layout: layout.expected, default=None)
    alone = float(quality.of_alone(statistics.uses / (3 * pixels), snr_db).mean())
    return best if best and best.expected > alone else None


def _layouts(statistics: LinkStatistics, quality: Quality, pixels: int, snr_db: np.ndarray) -> Iterator[HybridLayout]:
    design = float(forms.snr_db(np.asarray(np.mean(statistics.reliability)), LEAST_RELIABLE))
    for uses, chances in statistics.heads.items():
        rate = (statistics.uses - uses) / (3 * pixels)
        if rate < LEAST * statistics.uses / (3 * pixels):
            continue
        for mcs in TABLE:
            size, chance = room(uses, mcs) - 1, chances[mcs.name]
            if size >= FLAT_BYTES and chance > 0:
                arrived = quality.of_hybrid(np.array(8 * size / pixels), np.array(rate), snr_db).mean()
                expected = float(chance * arrived + (1 - chance) * quality.grey)
                yield HybridLayout(uses, mcs, design, expected)


@cache
def measured(small: bool) -> Quality:
    """The shipped table, of thumbnails or of photographs."""
    tables: Mapping[str, dict] = json.loads(QUALITY.read_text())["quality"]
    return Quality(**tables["small" if small else "natural"])


def _interpolate(grid: Sequence[Any], values: object, *where: np.ndarray) -> np.ndarray:
    from scipy.interpolate import RegularGridInterpolator

    axes = [np.asarray(axis, float) for axis in grid]
    inside = [np.clip(w, axis[0], axis[-1]) for w, axis in zip(where, axes, strict=True)]
    points = np.stack(np.broadcast_arrays(*inside), axis=-1)
    found: np.ndarray = RegularGridInterpolator(axes, np.asarray(values, float))(points)
    return found
