"""The allocation of least importance-weighted error of the equalised symbols, sum w / (1 + p g / N0)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from semlink.simulator.power._solve import least_error, required


@dataclass(frozen=True)
class SemanticWaterfilling:
    """p = [sqrt(w N0 / (mu g)) - N0 / g]_+, exact for gains that are exact."""

    needs_channel: ClassVar[bool] = True
    needs_importance: ClassVar[bool] = True

    def allocate(
        self, gains: Tensor | None, importance: Tensor | None, n0: Tensor, valid: Tensor | None = None
    ) -> Tensor:
        return least_error(required("gains", gains), required("importance", importance), n0, valid)


PLUGIN = SemanticWaterfilling
