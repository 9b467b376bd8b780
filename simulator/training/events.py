"""What TensorBoard shows of a training run: loss and learning rate as it goes, quality at every checkpoint."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Protocol

from semlink.simulator.errors import SemlinkError

EVERY = 10  # steps
WITHOUT = "tensorboard.compat.notf"  # where there is a module of that name, TensorBoard does not load TensorFlow


class Events(Protocol):
    """Where numbers of a run go, besides its curve."""

    def tell(self, step: int, numbers: Mapping[str, float]) -> None: ...


class Nowhere:
    """Nobody looks."""

    def tell(self, step: int, numbers: Mapping[str, float]) -> None:
        """Nothing."""


class TensorBoard:
    """Event files in a folder, for `tensorboard --logdir FOLDER`. SemlinkError where it is not installed."""

    def __init__(self, folder: Path) -> None:
        sys.modules.setdefault(WITHOUT, ModuleType(WITHOUT))
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise SemlinkError("--tensorboard needs TensorBoard: pip install 'semlink[tensorboard]'") from error
        self._writer = SummaryWriter(str(folder))

    def tell(self, step: int, numbers: Mapping[str, float]) -> None:
        """Write numbers by their names, at that step."""
        for name, value in numbers.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()
