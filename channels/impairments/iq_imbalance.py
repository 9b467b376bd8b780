"""IQ imbalance: unequal gain and skew of the two branches mirror the signal, s' = mu s + nu conj(s).

mu = (1 + g e^{-j phi}) / 2 and nu = (1 - g e^{j phi}) / 2 at the receiver, mu conjugate at the transmitter (Schenk,
RF Imperfections in High-rate Wireless Systems, 2008, ch. 5).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, radians, sqrt

import numpy as np

from semlink.channels.base.impairment import Impairment

SIDES = ("rx", "tx", "both")


@dataclass(frozen=True)
class IqImbalance(Impairment):
    """amplitude_db: 20 log10 of the gain g of the Q branch over the I branch; phase_deg: skew phi between them.

    side: "rx", "tx" or "both". mu and nu are scaled to |mu|^2 + |nu|^2 = 1, so the mean power stays: a gain common to
    both branches is no imbalance. Raises ValueError for an unknown side or imbalances that are not finite.
    """

    amplitude_db: float = 0.5
    phase_deg: float = 3.0
    side: str = "rx"

    def __post_init__(self) -> None:
        if self.side not in SIDES:
            raise ValueError(f"side {self.side!r} of iq_imbalance is none of {', '.join(SIDES)}")
        if not (abs(self.amplitude_db) < inf and abs(self.phase_deg) < 90):
            raise ValueError(f"iq_imbalance needs a finite amplitude_db and a skew within 90 degrees: {self}")

    @property
    def tx_iq(self) -> tuple[complex, complex]:  # type: ignore[override]
        """(mu, nu) of the transmitter."""
        mu, nu = _coefficients(self.amplitude_db, self.phase_deg)
        return (mu.conjugate(), nu) if self.side in ("tx", "both") else (1, 0)

    @property
    def rx_iq(self) -> tuple[complex, complex]:  # type: ignore[override]
        """(mu, nu) of the receiver."""
        return _coefficients(self.amplitude_db, self.phase_deg) if self.side in ("rx", "both") else (1, 0)


def _coefficients(amplitude_db: float, phase_deg: float) -> tuple[complex, complex]:
    gain = 10 ** (amplitude_db / 20)
    turn = gain * np.exp(1j * radians(phase_deg))
    scale = sqrt((1 + gain**2) / 2)
    return complex(1 + turn.conjugate()) / 2 / scale, complex(1 - turn) / 2 / scale


PLUGIN = IqImbalance
