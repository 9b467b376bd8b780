"""Networks that others published as a repository and a weight file: their modules, and tensors that run no code."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from semlink.codecs._learned.shipped import no_weights
from semlink.simulator.errors import SemlinkError
from semlink.simulator.files import reading

TOLD = "checkpoint runs a clone of Deep-JSCC-PyTorch, SwinJSCC or WITT: give repo=FOLDER and weights=FILE"
NOT_TENSORS = "not a state dict of tensors alone; save one with torch.save(network.state_dict(), FILE)"


def clone_module(repo: Path, name: str) -> ModuleType:
    """The module of that name in a clone, with dots for folders, imported as its own scripts import it.

    It runs: only for a folder that the user named. What it imports of its folder comes from there, whatever else has
    these names; nothing of it stays in `sys.modules` or `sys.path`. SemlinkError where it does not import.
    """
    inside = f"{name.replace('.', '/')}.py"
    if not (repo / inside).is_file():
        raise SemlinkError(f"{repo}: no {inside} in it; give repo= the folder of the clone that holds it")
    with _alone(repo), reading(repo / inside, "does not import; mend the clone or install what it needs"):
        return importlib.import_module(name)


@contextmanager
def _alone(repo: Path) -> Iterator[None]:
    """The clone's folder first on the path, and its names its own."""
    names = {place.stem for place in repo.iterdir() if place.suffix == ".py" or any(place.glob("*.py"))}
    others = _taken_out(names)
    kept, sys.path[:] = list(sys.path), [str(repo), *sys.path]
    bytecode, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # the clone stays as it is
    try:
        importlib.invalidate_caches()
        yield
    finally:
        sys.path[:], sys.dont_write_bytecode = kept, bytecode
        _taken_out(names)
        sys.modules.update(others)


def _taken_out(names: set[str]) -> dict[str, ModuleType]:
    """The modules of these names and all within them, no longer in `sys.modules`."""
    found = [name for name in sys.modules if name.partition(".")[0] in names]
    return {name: sys.modules.pop(name) for name in found}


class Staying(TorchFunctionMode):
    """Within it `.cuda()` and `.get_device()`, which clones call whatever there is, mean the tensor's own device."""

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        self._device = device

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is Tensor.cuda:
            return args[0].to(self._device)
        return args[0].device if func is Tensor.get_device else func(*args, **(kwargs or {}))


def published_tensors(path: Path) -> dict[str, Tensor]:
    """The state dict of a file of `torch.save`, on the CPU, without the prefix that DataParallel leaves.

    Only tensors and plain containers are read (`weights_only`). SemlinkError for a file that holds anything else.
    """
    try:
        with reading(path, NOT_TENSORS):
            state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise SemlinkError(no_weights(path)) from error
    if not isinstance(state, dict) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise SemlinkError(f"{path}: {NOT_TENSORS}")
    return {str(name).removeprefix("module."): tensor for name, tensor in state.items()}
