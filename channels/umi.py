"""Urban microcells of 3GPP TR 38.901 (street canyon): base station at 10 m, below the roofs; see `Drops`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from semlink.channels._drops import Drops
from semlink.channels._philox import Philox
from semlink.channels._scenario_3gpp import Site, near_or
from semlink.channels._tr38901 import LIGHT


@dataclass(frozen=True)
class Umi(Drops):
    """Users at 10 to 115 m, the cell of sites 200 m apart (table 7.2-1). TR 38.901 drops 80 % of them indoors."""

    min_distance: float = 10.0
    max_distance: float = 115.0
    scenario: ClassVar[str] = "UMi"
    base_height: ClassVar[float] = 10.0
    lowest_tabulated: ClassVar[float] = 2.0

    def sight_probability(self, site: Site) -> np.ndarray:
        return near_or(site.outside, 18.0, 36.0)

    def basic_loss(self, site: Site, sight: np.ndarray, numbers: Philox) -> np.ndarray:
        carrier, lg = 20 * np.log10(self.gigahertz), np.log10(site.slant)
        breakpoint = 4 * (site.base - 1) * (site.height - 1) * self.carrier_frequency / LIGHT
        beyond = 9.5 * np.log10(breakpoint**2 + (site.base - site.height) ** 2)
        seen = 32.4 + carrier + np.where(site.flat < breakpoint, 21 * lg, 40 * lg - beyond)
        hidden = 22.4 + 35.3 * lg + 21.3 * np.log10(self.gigahertz) - 0.3 * (site.height - 1.5)
        return np.where(sight, seen, np.maximum(seen, hidden))

    def zenith_spread(self, site: Site, los: np.ndarray) -> np.ndarray:
        above, km = site.height - site.base, site.flat / 1000
        seen = np.maximum(-0.21, -14.8 * km + 0.01 * np.abs(above) + 0.83)
        return np.where(los, seen, np.maximum(-0.5, -3.1 * km + 0.01 * np.maximum(above, 0) + 0.2))

    def zenith_offset(self, site: Site) -> np.ndarray:
        return -(10 ** (-1.5 * np.log10(np.maximum(10, site.flat)) + 3.3))


PLUGIN = Umi
