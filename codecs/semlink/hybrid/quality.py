"""What layouts gave on training pictures, interpolated: the table that experiments/measure_hybrid.py writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from semlink.codecs._learned.shipped import TABLES
from semlink.simulator.files import read_json

QUALITY = TABLES / "semlink-quality.json"
AIMS = ("psnr", "lpips")


@dataclass(frozen=True)
class Quality:
    """Mean quality of training pictures, in dB or LPIPS.

    bpp: budgets for the base in bits per pixel. rate, alone_rate: of analog symbols beside one, and alone, per source
    dimension. snr: in dB. hybrid `[bpp, rate, snr]`, base `[bpp]`, alone `[alone_rate, snr]`, thumbnail `[snr]`, grey.
    """

    bpp: Sequence[float]
    rate: Sequence[float]
    snr: Sequence[float]
    alone_rate: Sequence[float]
    hybrid: Sequence[Sequence[Sequence[float]]]
    base: Sequence[float]
    alone: Sequence[Sequence[float]]
    thumbnail: Sequence[float]
    grey: float

    def of_layout(self, bpp: float, rate: float, snr_db: np.ndarray) -> np.ndarray:
        """Of a base of `bpp`, 0 for none, and analog symbols of `rate`, 0 for none; at the edge beyond what was
        measured."""
        if not bpp:
            return _interpolate((np.log2(self.alone_rate), self.snr), self.alone, np.log2(rate), snr_db)
        if not rate:
            return _interpolate((np.log2(self.bpp),), self.base, np.log2(bpp) + 0 * snr_db)
        axes = np.log2(self.bpp), np.log2(self.rate), self.snr
        return _interpolate(axes, self.hybrid, np.log2(bpp), np.log2(rate), snr_db)

    def of_loss(self, thumbnail: bool, snr_db: np.ndarray) -> np.ndarray:
        """Of what is shown where the base is lost."""
        if not thumbnail:
            return np.full_like(snr_db, self.grey)
        return _interpolate((self.snr,), self.thumbnail, snr_db)


@cache
def measured(small: bool, aim: str) -> Quality:
    """The shipped table, of thumbnails or of photographs, for one of AIMS."""
    tables: Mapping[str, dict] = read_json(QUALITY, "a damaged table; take it from the package again")["quality"]
    table = tables["small" if small else "natural"]
    return Quality(**{k: v for k, v in table.items() if k not in AIMS}, **table[aim])


def _interpolate(grid: Sequence[Any], values: object, *where: Any) -> np.ndarray:
    from scipy.interpolate import RegularGridInterpolator

    axes = [np.asarray(axis, float) for axis in grid]
    inside = [np.clip(w, axis[0], axis[-1]) for w, axis in zip(where, axes, strict=True)]
    points = np.stack(np.broadcast_arrays(*inside), axis=-1)
    found: np.ndarray = RegularGridInterpolator(axes, np.asarray(values, float))(points)
    return found
