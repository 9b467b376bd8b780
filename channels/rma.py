"""Rural macrocells of 3GPP TR 38.901: base station at 35 m, low buildings; see `Drops`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from semlink.channels._drops import Drops


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
    highest_carrier: ClassVar[float] = 30e9


PLUGIN = Rma
