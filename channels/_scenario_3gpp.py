"""Tables of 3GPP TR 38.901 by the state of a user, and where users are: what its scenarios share.

A user is in line of sight (state 0), without one (1), or in a building (2). The numbers of tables 7.5-2, 7.5-4 and
7.5-6 are read from the files that Sionna ships.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from semlink.channels._tr38901 import sionna_table

LOS, NLOS, INDOORS = STATES = range(3)
FILES = ("LoS", "NLoS", "O2I")
SPREADS = ("DS", "ASD", "ASA", "ZSA")  # whose logarithm's mean and deviation follow the carrier
LARGE_SCALE = ("DS", "ASD", "ASA", "SF", "K", "ZSA", "ZSD")  # correlated with each other


@dataclass(frozen=True)
class Site:
    """Where users are, arrays `[users]`: metres and radians.

    flat: horizontal distance to the base station, which is at height `base`. depth: how much of it is in a building.
    azimuth: direction to the user as seen from the base station.
    """

    flat: np.ndarray
    azimuth: np.ndarray
    height: np.ndarray
    indoors: np.ndarray
    depth: np.ndarray
    base: float

    @cached_property
    def slant(self) -> np.ndarray:
        """Distance in three dimensions."""
        return np.hypot(self.flat, self.base - self.height)

    @cached_property
    def outside(self) -> np.ndarray:
        """Horizontal distance to the building, or to the user."""
        return self.flat - self.depth

    @cached_property
    def zenith(self) -> np.ndarray:
        """Angle of the direction to the user from the vertical, as seen from the base station."""
        return np.arctan2(self.flat, self.height - self.base)


@dataclass(frozen=True)
class Table:
    """numbers: of each state, float64 `[3]` by name. roots: of the correlation of LARGE_SCALE, `[3, 7, 7]`."""

    numbers: dict[str, np.ndarray]
    roots: np.ndarray

    @property
    def clusters(self) -> np.ndarray:
        """How many there are in each state."""
        return self.numbers["numClusters"].astype(int)


@lru_cache(maxsize=16)
def read_table(scenario: str, gigahertz: float) -> Table:
    """Numbers of "UMi", "UMa" or "RMa" at a carrier, e.g. `muDS`, `cDS`, and the others as the files name them."""
    files = [sionna_table(f"{scenario}_{name}") for name in FILES]
    known = {key: np.array([file.get(key, np.nan) for file in files], float) for key in files[LOS]}
    carrier = np.log10(gigahertz)
    for name in (f"{moment}{spread}" for spread in SPREADS for moment in ("mu", "sigma")):
        slope, added, constant = (known[name + part] for part in "abc")
        known[name] = slope * np.log10(added + gigahertz) + constant
    known["cDS"] = np.maximum(known["cDSa"], known["cDSb"] - known["cDSc"] * carrier)
    return Table(known, np.linalg.cholesky(_correlation(known)))


def _correlation(numbers: dict[str, np.ndarray]) -> np.ndarray:
    """Of LARGE_SCALE with each other: `[3, 7, 7]`."""
    whole = np.tile(np.eye(len(LARGE_SCALE)), (len(STATES), 1, 1))
    for i, one in enumerate(LARGE_SCALE):
        for j, other in enumerate(LARGE_SCALE):
            if (value := numbers.get(f"corr{one}vs{other}")) is not None:
                whole[:, i, j] = whole[:, j, i] = value
    return whole


def near_or(distance: np.ndarray, near: float, scale: float) -> np.ndarray:
    """Table 7.4.2-1: in line of sight within `near` metres, beyond it less and less by `scale` metres."""
    d = np.maximum(distance, near)
    return near / d + np.exp(-d / scale) * (1 - near / d)
