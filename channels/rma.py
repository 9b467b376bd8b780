"""Rural macrocells of 3GPP TR 38.901: base station at 35 m, low buildings; see `Drops`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from semlink.channels._drops import Drops, Placed
from semlink.channels._philox import Philox
from semlink.channels._scenario_3gpp import LOS, NLOS, Site
from semlink.channels._tr38901 import LIGHT

STREET, ROOFS = 20.0, 5.0  # m, the report's width of streets and height of buildings


@dataclass(frozen=True)
class Rma(Drops):
    """Users at 35 to 1000 m, the cell of sites 1732 m apart (table 7.2-3). TR 38.901 drops half of them in buildings.

    The other half is in cars, whose loss is not drawn. Buildings are low: all users are at 1.5 m.
    """

    min_distance: float = 35.0
    max_distance: float = 1000.0
    scenario: ClassVar[str] = "RMa"
    base_height: ClassVar[float] = 35.0
    floors: ClassVar[tuple[int, int]] = (1, 1)
    deepest: ClassVar[float] = 10.0
    highest_carrier: ClassVar[float] = 30e9

    def sight_probability(self, site: Site) -> np.ndarray:
        return np.exp(-np.maximum(site.outside - 10, 0) / 1000)

    def basic_loss(self, site: Site, sight: np.ndarray, numbers: Philox) -> np.ndarray:
        breakpoint, d, base = self._breakpoint(site), site.slant, site.base
        beyond = self._near(breakpoint) + 40 * np.log10(d / breakpoint)
        seen = np.where(site.flat < breakpoint, self._near(d), beyond)
        hidden = 161.04 - 7.1 * np.log10(STREET) + 7.5 * np.log10(ROOFS)
        hidden = hidden - (24.37 - 3.7 * (ROOFS / base) ** 2) * np.log10(base) + 20 * np.log10(self.gigahertz)
        hidden = hidden + (43.42 - 3.1 * np.log10(base)) * (np.log10(d) - 3)
        return np.where(sight, seen, np.maximum(seen, hidden - (3.2 * np.log10(11.75 * site.height) ** 2 - 4.97)))

    def zenith_spread(self, site: Site, los: np.ndarray) -> np.ndarray:
        state = np.where(los, LOS, NLOS)
        slope, constant = (self.table.numbers[f"muZSD{part}"][state] for part in "ab")
        return np.maximum(-1, slope * site.flat / 1000 - 0.01 * (site.height - 1.5) + constant)

    def zenith_offset(self, site: Site) -> np.ndarray:
        return np.degrees(np.arctan((35 - 3.5) / site.flat) - np.arctan((35 - 1.5) / site.flat))

    def shadow_deviation(self, at: Placed) -> np.ndarray:
        of, near = self.table.numbers, at.site.flat < self._breakpoint(at.site)
        return np.where(
            at.state == LOS, np.where(near, of["sigmaSF1"][LOS], of["sigmaSF2"][LOS]), of["sigmaSF"][at.state]
        )

    def _breakpoint(self, site: Site) -> np.ndarray:
        return 2 * np.pi * site.base * site.height * self.carrier_frequency / LIGHT

    def _near(self, d: np.ndarray) -> np.ndarray:
        """Loss in line of sight at a distance before the breakpoint, dB."""
        power = ROOFS**1.72
        rise = 20 * np.log10(40 * np.pi * d * self.gigahertz / 3) + min(0.03 * power, 10) * np.log10(d)
        return rise - min(0.044 * power, 14.77) + 0.002 * np.log10(ROOFS) * d


PLUGIN = Rma
