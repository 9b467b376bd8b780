"""Urban macrocells of 3GPP TR 38.901: base station at 25 m, above the roofs; see `Drops`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from semlink.channels._drops import Drops
from semlink.channels._philox import Philox
from semlink.channels._scenario_3gpp import Site, near_or
from semlink.channels._tr38901 import LIGHT


@dataclass(frozen=True)
class Uma(Drops):
    """Users at 35 to 289 m, the cell of sites 500 m apart (table 7.2-1). TR 38.901 drops 80 % of them indoors."""

    min_distance: float = 35.0
    max_distance: float = 289.0
    scenario: ClassVar[str] = "UMa"
    base_height: ClassVar[float] = 25.0
    lowest_tabulated: ClassVar[float] = 6.0

    def sight_probability(self, site: Site) -> np.ndarray:
        d = site.outside
        high = 1 + _high(site.height) * 5 / 4 * (d / 100) ** 3 * np.exp(-d / 150)
        return np.where(d < 18, 1, near_or(d, 18.0, 63.0) * high)

    def basic_loss(self, site: Site, sight: np.ndarray, numbers: Philox) -> np.ndarray:
        carrier, lg = 20 * np.log10(self.gigahertz), np.log10(site.slant)
        ground = _environment(site, numbers)
        breakpoint = 4 * (site.base - ground) * (site.height - ground) * self.carrier_frequency / LIGHT
        beyond = 9 * np.log10(breakpoint**2 + (site.base - site.height) ** 2)
        seen = 28 + carrier + np.where(site.flat < breakpoint, 22 * lg, 40 * lg - beyond)
        hidden = 13.54 + 39.08 * lg + carrier - 0.6 * (site.height - 1.5)
        return np.where(sight, seen, np.maximum(seen, hidden))

    def zenith_spread(self, site: Site, los: np.ndarray) -> np.ndarray:
        fall = -2.1 * site.flat / 1000 - 0.01 * np.abs(site.height - 1.5)
        return np.maximum(-0.5, fall + np.where(los, 0.75, 0.9))

    def zenith_offset(self, site: Site) -> np.ndarray:
        f = np.log10(max(self.gigahertz, self.lowest_tabulated))
        power = (0.208 * f - 0.782) * np.log10(np.maximum(25, site.flat)) - 0.13 * f + 2.03
        return 7.66 * f - 5.96 - 10 ** (power - 0.07 * (site.height - 1.5))


def _high(height: np.ndarray) -> np.ndarray:
    """C' of table 7.4.2-1: how much more a user above 13 m sees."""
    return (np.maximum(height - 13, 0) / 10) ** 1.5


def _environment(site: Site, numbers: Philox) -> np.ndarray:
    """Note 1 of table 7.4.1-1: what the two ends' heights are counted from, m.

    Above 13 m the report draws it from 12, 15, ... m, Sionna and so we from all values between.
    """
    d = site.flat
    high = _high(site.height) * np.where(d < 18, 0, 5 / 4 * (d / 100) ** 3 * np.exp(-d / 150))
    low, drawn = numbers.uniform(len(d)) < 1 / (1 + high), numbers.uniform(len(d))
    return np.where(low, 1, np.maximum(12, 12 + drawn * (site.height - 13.5)))


PLUGIN = Uma
