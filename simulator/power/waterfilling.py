"""The allocation of largest capacity, sum log(1 + p g / N0)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from semlink.simulator.power._solve import most_capacity, required


@dataclass(frozen=True)
class Waterfilling:
    """p = [1 / mu - N0 / g]_+ (Cover and Thomas, 2nd ed., sec. 9.4): strong symbols get most, weak ones nothing."""

    needs_channel: ClassVar[bool] = True
    needs_importance: ClassVar[bool] = False

    def allocate(
        self, gains: Tensor | None, importance: Tensor | None, n0: Tensor, valid: Tensor | None = None
    ) -> Tensor:
        return most_capacity(required("gains", gains), n0, valid)


PLUGIN = Waterfilling
