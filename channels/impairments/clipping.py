"""Clipping: the transmitter cuts the envelope of its oversampled signal at a threshold and keeps the phase.

Ochiai and Imai, "Performance analysis of deliberately clipped OFDM signals", IEEE Trans. Commun. 50(1), 2002.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

from semlink.channels.base.impairment import Impairment


@dataclass(frozen=True)
class Clipping(Impairment):
    """ratio_db: clipping ratio, 20 log10 of the threshold over the rms amplitude.

    What falls out of the band is filtered away, so the peaks on the air are somewhat above the threshold.
    Raises ValueError for a ratio that is not finite.
    """

    ratio_db: float = 3.0

    def __post_init__(self) -> None:
        if not isfinite(self.ratio_db):
            raise ValueError(f"clipping needs a finite ratio_db, got {self.ratio_db}; leave it out for no clipping")

    @property
    def saturation(self) -> float:  # type: ignore[override]
        """Threshold over the rms amplitude."""
        return 10 ** (self.ratio_db / 20)


PLUGIN = Clipping
