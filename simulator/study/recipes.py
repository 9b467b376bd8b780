"""Recipe files: the flags of a training script as JSON, so that a run can be given again by name.

A recipe holds flags by name; an object `cuda` in it overrides them where training runs on a GPU, which is how one file
says both sizes. The card beside trained weights is a recipe too (its member `recipe`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_type_hints

from semlink.simulator.errors import SemlinkError
from semlink.simulator.files import read_json

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

AnyFlags = TypeVar("AnyFlags", bound="DataclassInstance")
FLAG = "--recipe"
WRONG = "no recipe, which is a JSON object of flags"


def with_recipe(default: AnyFlags, arguments: Sequence[str]) -> AnyFlags:
    """`default` with what the file behind `--recipe` says, if that flag is among the arguments.

    SemlinkError when the file is no recipe or names a flag that `default` does not have.
    """
    kinds = get_type_hints(type(default))
    if FLAG not in arguments[:-1] or "recipe" not in kinds:
        return default
    path = Path(arguments[list(arguments).index(FLAG) + 1]).expanduser()
    said = _read(path)
    for name in said.keys() - kinds.keys():
        raise SemlinkError(f"{path}: unknown flag {name!r}; known: {', '.join(kinds)}")
    return replace(default, **{name: _as(kinds[name], value) for name, value in said.items()}, recipe=path)


def _read(path: Path) -> dict[str, Any]:
    try:
        said = read_json(path, WRONG)
    except FileNotFoundError:
        raise SemlinkError(f"{path}: no such recipe") from None
    chosen = _flags(path, _flags(path, said).get("recipe", said))
    on_gpu = _flags(path, chosen.pop("cuda", {}))
    return {**chosen, **on_gpu} if on_gpu and _has_gpu() else chosen


def _flags(path: Path, said: Any) -> dict[str, Any]:
    if not isinstance(said, Mapping):
        raise SemlinkError(f"{path}: {WRONG}")
    return dict(said)


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def _as(kind: Any, value: Any) -> Any:
    """A JSON value as the flag's type: lists are tuples, texts are paths where the flag is one."""
    if isinstance(value, list):
        return tuple(value)
    return Path(value) if isinstance(value, str) and Path in (kind, *get_args(kind)) else value
