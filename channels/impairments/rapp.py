"""A solid-state power amplifier after Rapp: amplitude saturates smoothly, phase is kept (AM/AM only).

C. Rapp, "Effects of HPA-nonlinearity on a 4-DPSK/OFDM-signal for a digital sound broadcasting system", ESA, 1991.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

from semlink.channels.base.impairment import Impairment


@dataclass(frozen=True)
class Rapp(Impairment):
    """ratio_db: input back-off, 20 log10 of the saturation amplitude over the rms amplitude; smoothness: p from 0.5 on.

    g(r) = r / (1 + (r / A)^(2p))^(1 / 2p). Raises ValueError for a ratio that is not finite or a smaller p.
    """

    ratio_db: float = 6.0
    smoothness: float = 3.0

    def __post_init__(self) -> None:
        if not isfinite(self.ratio_db):
            raise ValueError(f"rapp needs a finite ratio_db, got {self.ratio_db}; leave it out for a linear amplifier")
        if not self.smoothness >= 0.5:
            raise ValueError(f"the smoothness of rapp must be at least 0.5, got {self.smoothness}")

    @property
    def saturation(self) -> float:  # type: ignore[override]
        """Saturation amplitude over the rms amplitude."""
        return 10 ** (self.ratio_db / 20)


PLUGIN = Rapp
