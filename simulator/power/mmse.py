"""The allocation of least summed error of the equalised symbols, sum 1 / (1 + p g / N0)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from semlink.simulator.power._solve import least_error, required


@dataclass(frozen=True)
class Mmse:
    """p = [sqrt(N0 / (mu g)) - N0 / g]_+: `semantic_waterfilling` for symbols of equal importance."""

    needs_channel: ClassVar[bool] = True
    needs_importance: ClassVar[bool] = False

    def allocate(
        self, gains: Tensor | None, importance: Tensor | None, n0: Tensor, valid: Tensor | None = None
    ) -> Tensor:
        g = required("gains", gains)
        return least_error(g, torch.ones_like(g), n0, valid)


PLUGIN = Mmse
