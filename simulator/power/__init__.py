"""Power-allocation rules, one a file: how an image's power is shared among its symbols. `create(name)` makes one.

Third parties add theirs with an entry point of group `semlink.simulator.power`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from semlink.channels.base.registry import Registry

if TYPE_CHECKING:  # listing the rules must not import torch
    from torch import Tensor

registry = Registry("semlink.simulator.power", "power rule")


class Rule(Protocol):
    """One rule: a frozen dataclass, pure and deterministic, because both ends compute the allocation."""

    @property
    def needs_channel(self) -> bool:
        """Whether `allocate` reads the gains: the receiver must then know what the transmitter knew."""
        ...

    @property
    def needs_importance(self) -> bool:
        """Whether `allocate` reads the importance: the receiver must then know it, too."""
        ...

    def allocate(
        self, gains: Tensor | None, importance: Tensor | None, n0: Tensor, valid: Tensor | None = None
    ) -> Tensor:
        """Power of each symbol: float32 `[batch, k]` (float64 when n0 is), >= 0, mean 1 over each row's valid entries.

        gains: float32 `[batch, k]`, |h|^2 or squared singular values as the transmitter knows them; importance:
        float32 `[batch, k]`, any scale; both not negative, None or ignored where the rule does not need them.
        n0: float32 `[batch]`, noise variance. valid: bool `[batch, k]`, None for all; entries outside get 0 and do not
        count. Differentiable in gains and importance. A row that the rule finds nothing to choose in (no gain, no
        importance) is uniform. SemlinkError, which names the row, for NaN, infinite or negative values and n0 <= 0.
        """
        ...


def names() -> tuple[str, ...]:
    """Names of all rules, built-in and from entry points; imports none of them."""
    return registry.names()


def create(name: str, /, **settings: Any) -> Rule:
    """A rule by name. Raises UnknownName (lists the known ones) or TypeError (unknown setting)."""
    return registry.create(name, **settings)
