"""Urban macrocells of 3GPP TR 38.901: base station at 25 m, above the roofs; see `Drops`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from semlink.channels._drops import Drops


@dataclass(frozen=True)
class Uma(Drops):
    """Users at 35 to 289 m, the cell of sites 500 m apart (table 7.2-1). TR 38.901 drops 80 % of them indoors."""

    min_distance: float = 35.0
    max_distance: float = 289.0
    scenario: ClassVar[str] = "UMa"
    base_height: ClassVar[float] = 25.0


PLUGIN = Uma
