"""The allocation of least importance-weighted error when the channel is not known, sum w / (1 + p / N0)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from semlink.simulator.power._solve import least_error, required


@dataclass(frozen=True)
class Importance:
    """p = [sqrt(w N0 / mu) - N0]_+, the optimum for the mean gain 1; at high SNR p goes to sqrt(w) / mean sqrt(w)."""

    needs_channel: ClassVar[bool] = False
    needs_importance: ClassVar[bool] = True

    def allocate(
        self, gains: Tensor | None, importance: Tensor | None, n0: Tensor, valid: Tensor | None = None
    ) -> Tensor:
        w = required("importance", importance)
        return least_error(torch.ones_like(w), w, n0, valid)


PLUGIN = Importance
