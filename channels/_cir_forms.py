"""Impulse responses as other programs hand them over: MATLAB's complex fields, reversed axes and 1x1 numbers, lists.

A file that MATLAB saved (`-v7.3`) has its axes reversed, without those of length 1 at the end; a complex number is a
pair of fields, real and imag, and every variable carries the attribute MATLAB_class.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

MATLAB = "MATLAB_class"
FIELDS = ("real", "imag")
AXES = 5  # routes, snapshots, rx, tx, paths


@dataclass(frozen=True)
class Gains:
    """Gains `shape`, read route by route. stored: an array or an h5py dataset; reversed: its axes are."""

    stored: Any
    shape: tuple[int, ...]
    reversed: bool = False

    def route(self, route: int) -> np.ndarray:
        """complex64 `shape[1:]`."""
        found = np.asarray(self.stored[..., route].T if self.reversed else self.stored[route])
        if found.dtype.names:
            found = found[FIELDS[0]] + 1j * found[FIELDS[1]]
        return found.astype(np.complex64).reshape(self.shape[1:])


def as_gains(path: str | Path, gains: Any) -> Gains:
    """Gains of any of these forms; ValueError for numbers that are none."""
    matlab = is_matlab(gains)
    stored = gains if hasattr(gains, "dtype") else np.asarray(gains)
    names = stored.dtype.names
    if (names and tuple(names) != FIELDS) or (not names and stored.dtype.kind not in "cfiu"):
        what = f"fields {', '.join(names)}" if names else f"type {stored.dtype}"
        raise ValueError(f"{path}: gains have {what}: give complex numbers, or fields real and imag")
    shape = tuple(stored.shape[::-1]) if matlab else tuple(stored.shape)
    return Gains(stored, (*shape, *[1] * (AXES - len(shape))) if matlab else shape, matlab)


def as_delays(path: str | Path, delays: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Delays of `[paths]`, `[1, paths]` or `[paths, 1]`, or `[routes, paths]` that are alike, as `[paths]`.

    shape: of the gains. ValueError for delays that differ between routes, or that have more axes.
    """
    found = np.asarray(delays[()] if hasattr(delays, "shape") else delays)
    found = found.T if is_matlab(delays) else found
    if found.size == max(found.shape, default=1):
        return found.reshape(-1)
    if len(shape) == AXES and found.shape == (shape[0], shape[4]) and (found == found[0]).all():
        return found[0]
    raise ValueError(
        f"{path}: delays are {list(found.shape)}, must be one per path: put the gains of all routes, antennas and "
        "snapshots on common delays, 0 where there is no path, or write a file for each route"
    )


def as_number(value: Any) -> Any:
    """What a 1x1 array or dataset holds; anything else as it is."""
    if getattr(value, "size", 0) != 1:
        return value
    return np.asarray(value[()] if hasattr(value, "shape") else value).reshape(-1)[0]


def is_matlab(stored: Any) -> bool:
    """Whether a dataset was written by MATLAB."""
    return MATLAB in getattr(stored, "attrs", ())


def is_complex64(dtype: np.dtype) -> bool:
    """Whether numbers lie in memory as complex64 do."""
    pair = np.dtype([(name, "<f4") for name in FIELDS])
    return dtype in (np.dtype("<c8"), pair)
