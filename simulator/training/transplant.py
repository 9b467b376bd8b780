"""A start from trained weights: what fits a network is taken, the rest starts fresh."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor


def transplant(network: Any, state: Mapping[str, Tensor], path: Path) -> None:
    """Copy the tensors of `state`, read from `path`, that fit; say how many do.

    A network that has `adopt(state)` knows itself how to start from a smaller one.
    """
    if hasattr(network, "adopt"):
        network.adopt(state)
        return
    own = network.state_dict()
    fitting = {k: v for k, v in state.items() if k in own and own[k].shape == v.shape}
    network.load_state_dict({**own, **fitting})
    print(f"{len(fitting)} of {len(own)} tensors taken from {path}")
