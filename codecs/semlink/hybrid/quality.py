"""What layouts gave on training pictures, interpolated: the table that experiments/measure_hybrid.py writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np

from semlink.codecs._learned.shipped import TABLES
from semlink.simulator.files import read_json

QUALITY = TABLES / "semlink-quality.json"
AIMS = ("psnr", "lpips")


class Grid:
    """Linear interpolation between measured values, and the edge beyond them."""

    def __init__(self, axes: Sequence[Any], values: object) -> None:
        from scipy.interpolate import RegularGridInterpolator

        self.axes = [np.asarray(axis, float) for axis in axes]
        self.between = RegularGridInterpolator(self.axes, np.asarray(values, float))

    def __call__(self, *where: Any) -> np.ndarray:
        inside = [np.clip(w, axis[0], axis[-1]) for w, axis in zip(where, self.axes, strict=True)]
        found: np.ndarray = self.between(np.stack(np.broadcast_arrays(*inside), axis=-1))
        return found


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
            return self._alone(np.log2(rate), snr_db)
        if not rate:
            return self._base(np.log2(bpp) + 0 * snr_db)
        return self._hybrid(np.log2(bpp), np.log2(rate), snr_db)

    def of_layouts(self, bpp: np.ndarray, rate: np.ndarray, snr_db: np.ndarray) -> np.ndarray:
        """`of_layout` of many, `[layouts, len(snr_db)]`."""
        found = np.empty((len(bpp), len(snr_db)))
        alone, base = bpp == 0, (bpp > 0) & (rate == 0)
        for rows, grid, axes in (
            (alone, self._alone, (rate,)),
            (base, self._base, (bpp,)),
            (~alone & ~base, self._hybrid, (bpp, rate)),
        ):
            if rows.any():
                places = [np.log2(axis[rows])[:, None] for axis in axes]
                found[rows] = grid(*places, *([] if grid is self._base else [snr_db]))
        return found

    def of_loss(self, thumbnail: bool, snr_db: np.ndarray) -> np.ndarray:
        """Of what is shown where the base is lost."""
        return self._thumbnail(snr_db) if thumbnail else np.full_like(snr_db, self.grey)

    @cached_property
    def _hybrid(self) -> Grid:
        return Grid((np.log2(self.bpp), np.log2(self.rate), self.snr), self.hybrid)

    @cached_property
    def _alone(self) -> Grid:
        return Grid((np.log2(self.alone_rate), self.snr), self.alone)

    @cached_property
    def _base(self) -> Grid:
        return Grid((np.log2(self.bpp),), self.base)

    @cached_property
    def _thumbnail(self) -> Grid:
        return Grid((self.snr,), self.thumbnail)


@cache
def measured(small: bool, aim: str) -> Quality:
    """The shipped table, of thumbnails or of photographs, for one of AIMS."""
    tables: Mapping[str, dict] = read_json(QUALITY, "a damaged table; take it from the package again")["quality"]
    table = tables["small" if small else "natural"]
    return Quality(**{k: v for k, v in table.items() if k not in AIMS}, **table[aim])
