"""Plug-ins by name: built-in modules of a package plus entry points; nothing is imported before `create`.

A built-in plug-in is one module whose name is the plug-in's name and which holds `PLUGIN`, its class.
Third parties add theirs with an entry point, e.g. in setup.cfg:
`[options.entry_points] semlink.codecs = mine = my.module:MyCodec`.
A class that is installed nowhere goes by its file, `path/to/mine.py:MyCodec`.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import pkgutil
import re
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any
from zlib import crc32

from semlink.channels.base.installed import installed
from semlink.channels.base.names import unknown

_OF_FILE = re.compile(r"(.+\.py):([A-Za-z_]\w*)")


@dataclass(frozen=True)
class Registry:
    """The plug-ins of one kind. package: import name that holds the built-ins, also the entry point group.

    skip: modules of the package that are no plug-in though their names have no underscore.
    """

    package: str
    kind: str
    skip: tuple[str, ...] = ()

    def names(self) -> tuple[str, ...]:
        """All known names, sorted; imports no plug-in."""
        return tuple(sorted({*self._builtin(), *self._external()}))

    def get(self, name: str) -> Callable[..., Any]:
        """The plug-in's class. LookupError that lists the known names when there is no such plug-in."""
        found = _OF_FILE.fullmatch(name)
        if found:
            return _of_file(self.kind, Path(found[1]).expanduser(), found[2])
        if name in self._builtin():
            return importlib.import_module(f"{self.package}.{name}").PLUGIN
        external = self._external()
        if name in external:
            return external[name].load()
        raise UnknownName(unknown(self.kind, name, self.names()))

    def settings(self, name: str) -> Mapping[str, inspect.Parameter]:
        """What `create` takes beside the name, by name. LookupError as of `get`."""
        return inspect.signature(self.get(name)).parameters

    def create(self, name: str, /, **settings: Any) -> Any:
        """`get(name)(**settings)`; a TypeError of the constructor names the plug-in, UnknownSetting its settings.

        Texts that begin with ~ are paths, and are given with the home folder in its place.
        """
        factory = self.get(name)
        try:
            return factory(**{key: _from_home(value) for key, value in settings.items()})
        except UnknownSetting:  # of a plug-in within
            raise
        except TypeError as error:
            known = inspect.signature(factory).parameters
            strange = next((key for key in settings if key not in known), None)
            if strange and all(p.kind is not inspect.Parameter.VAR_KEYWORD for p in known.values()):
                kind = f"setting of {self.kind} {name}:"
                raise UnknownSetting(unknown(kind, strange, tuple(known))) from error
            raise TypeError(f"{self.kind} {name!r}: {error}") from error

    def _builtin(self) -> tuple[str, ...]:
        found = _modules(tuple(importlib.import_module(self.package).__path__))
        return tuple(name for name in found if name not in self.skip)

    def _external(self) -> dict[str, EntryPoint]:
        found: dict[str, EntryPoint] = {}
        for point in installed(self.package):
            if point.name in found or point.name in self._builtin():
                hidden = f"{self.kind} {point.name!r} of {point.value} is hidden by one of the same name"
                warnings.warn(hidden, stacklevel=2)
            else:
                found[point.name] = point
        return found


@cache
def _modules(folders: tuple[str, ...]) -> tuple[str, ...]:
    """Names of the public modules in them; a link asks for a plug-in in every call, so they are listed once."""
    return tuple(m.name for m in pkgutil.iter_modules(folders) if not m.name.startswith("_"))


def _of_file(kind: str, path: Path, name: str) -> Callable[..., Any]:
    """The class of a Python file, loaded once a process."""
    if not path.is_file():
        raise UnknownName(f"{kind} {path}:{name}: there is no such file")
    module_name = f"semlink_file_{path.stem}_{crc32(bytes(path.resolve())):x}"
    if module_name not in sys.modules:
        spec = importlib.util.spec_from_file_location(module_name, path)
        assert spec is not None and spec.loader is not None
        sys.modules[module_name] = module = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[module_name]
            raise
    held = {key: value for key, value in vars(sys.modules[module_name]).items() if inspect.isclass(value)}
    if name not in held:
        raise UnknownName(f"{path}: {unknown('class', name, tuple(held))}")
    return held[name]


def _from_home(value: Any) -> Any:
    return os.path.expanduser(value) if isinstance(value, str) else value


class UnknownSetting(TypeError):
    """A plug-in has no such setting; the message lists the known ones."""


class UnknownName(LookupError):
    """No plug-in of that name; the message lists the known ones."""
