"""Urban microcells of 3GPP TR 38.901 (street canyon): base station at 10 m, below the roofs; see `Drops`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from semlink.channels._drops import Drops


@dataclass(frozen=True)
class Umi(Drops):
    """Users at 10 to 115 m, the cell of sites 200 m apart (table 7.2-1). TR 38.901 drops 80 % of them indoors."""

    min_distance: float = 10.0
    max_distance: float = 115.0
    scenario: ClassVar[str] = "UMi"
    base_height: ClassVar[float] = 10.0


PLUGIN = Umi
