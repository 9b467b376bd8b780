"""Settings of a word against the signature of its plug-in, which is loaded and not made."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from inspect import Parameter
from pathlib import Path
from typing import TYPE_CHECKING

from semlink.channels.base.names import near_path, unknown
from semlink.simulator.errors import SemlinkError
from semlink.simulator.files import is_here
from semlink.simulator.study.choices import check_choice
from semlink.simulator.study.sources import annotations_in
from semlink.simulator.words import Setting, Word

if TYPE_CHECKING:
    from semlink.channels.base.registry import Registry

_LOCAL = re.compile(r"[./~]|.*\.(safetensors|json|h5|npz|mat|pkl|pt|pth|model)$")
FOLDERS = ("repo",)  # settings that name a folder, whatever their text looks like


def check_settings(
    kind: str, registry: Registry, word: Word, given: Sequence[str] = (), more: Sequence[str] = ()
) -> None:
    """SemlinkError when a word of that kind has an unknown setting, no number where one belongs, or lacks a setting.

    So it is when a setting names a file or folder that is not there.

    given: parameters that no word sets. more: settings that are not the plug-in's own. A plug-in that does not load, or
    takes anything, is not checked: it says itself what is wrong.
    """
    check_setting_names(kind, registry, word, given, more)
    known = _parameters(registry, word.name, given)
    if known is None:
        return
    for name, value in word.settings:
        if name not in known and name not in more:
            raise SemlinkError(unknown(f"setting of {kind} {word.name}:", name, (*known, *more)))
        if name in known and not _fits(known[name], value):
            raise SemlinkError(f"{kind} {word}: {name} must be a finite number")
        if name in known:
            annotation = inspect.formatannotation(known[name].annotation).strip("'")
            _check_value(f"{kind} {word}", name, value, annotation)
    for name in known.keys() - dict(word.settings).keys():
        if known[name].default is Parameter.empty:
            raise SemlinkError(f"{kind} {word}: say {name}, as in {word.name}:{name}=...")


def check_setting_names(
    kind: str, registry: Registry, word: Word, given: Sequence[str] = (), more: Sequence[str] = ()
) -> None:
    """SemlinkError for a setting that the source of a built-in plug-in does not have, a value that is no choice of what
    it names there, or a file that is not there; loads nothing.
    """
    told = annotations_in(registry.package, word.name) if word.settings and not word.file else None
    if told is None:
        return
    own = {name: annotation for name, annotation in told.items() if name not in given}
    for name, value in word.settings:
        if name not in own and name not in more:
            raise SemlinkError(unknown(f"setting of {kind} {word.name}:", name, (*own, *more)))
        if name in own:
            _check_value(f"{kind} {word}", name, value, own[name])


def _parameters(registry: Registry, name: str, given: Sequence[str]) -> Mapping[str, Parameter] | None:
    try:
        found = registry.settings(name)
    except Exception:  # noqa: BLE001 - a plug-in may raise anything while it loads
        return None
    if any(p.kind in (Parameter.VAR_KEYWORD, Parameter.POSITIONAL_ONLY) for p in found.values()):
        return None
    return {name: p for name, p in found.items() if name not in given and p.kind is not Parameter.VAR_POSITIONAL}


def _check_value(where: str, name: str, value: Setting, annotation: str) -> None:
    """SemlinkError for a value that is no choice, or names a file or folder that is not there."""
    check_choice(where, name, value, annotation)
    if _is_missing(name, annotation, value):
        raise SemlinkError(f"{where}: no {value} is there; {near_path(str(value))}".rstrip("; "))


def _is_missing(name: str, annotation: str, value: Setting) -> bool:
    """Whether a parameter for paths is given what can only be one, and not a name of a hub, and nothing is there."""
    if not isinstance(value, str) or is_here(Path(value).expanduser()):
        return False
    return name in FOLDERS or ("Path" in re.findall(r"\w+", annotation) and bool(_LOCAL.match(value)))


def _fits(parameter: Parameter, value: Setting) -> bool:
    """Whether a parameter for numbers alone is given one, so neither text, such as nan, nor none."""
    kinds = set(re.findall(r"\w+", inspect.formatannotation(parameter.annotation)))
    if not kinds & {"int", "float"} or not kinds <= {"int", "float", "None"}:
        return True
    return not isinstance(value, str) and (value is not None or "None" in kinds)
