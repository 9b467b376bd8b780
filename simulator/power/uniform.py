"""The same power for every symbol."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from semlink.simulator.errors import SemlinkError
from semlink.simulator.power._solve import everywhere, result_type


@dataclass(frozen=True)
class Uniform:
    """p = 1; needs to know nothing, so it suits any link."""

    needs_channel: ClassVar[bool] = False
    needs_importance: ClassVar[bool] = False

    def allocate(
        self, gains: Tensor | None, importance: Tensor | None, n0: Tensor, valid: Tensor | None = None
    ) -> Tensor:
        found = next((v for v in (valid, gains, importance) if v is not None), None)
        if found is None:
            raise SemlinkError("uniform power: give valid, gains or importance, which tell how many symbols there are")
        return everywhere(valid, found).to(result_type(n0))


PLUGIN = Uniform
