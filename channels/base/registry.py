"""Plug-ins by name: built-in modules of a package plus entry points; nothing is imported before `create`.

A built-in plug-in is one module whose name is the plug-in's name and which holds `PLUGIN`, its class.
Third parties add theirs with an entry point, e.g. in setup.cfg:
`[options.entry_points] semlink.codecs = mine = my.module:MyCodec`.
"""

from __future__ import annotations

import importlib
import inspect
import os
import pkgutil
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from semlink.channels.base.names import unknown


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
        """`get(name)(**settings)`; a TypeError of the constructor names the plug-in and its settings.

        Texts that begin with ~ are paths, and are given with the home folder in its place.
        """
        factory = self.get(name)
        try:
            return factory(**{key: _from_home(value) for key, value in settings.items()})
        except TypeError as error:
            raise TypeError(f"{self.kind} {name!r}: {error}") from error

    def _builtin(self) -> tuple[str, ...]:
        path = importlib.import_module(self.package).__path__
        found = (m.name for m in pkgutil.iter_modules(path) if not m.name.startswith("_"))
        return tuple(name for name in found if name not in self.skip)

    def _external(self) -> dict[str, EntryPoint]:
        found: dict[str, EntryPoint] = {}
        for point in entry_points(group=self.package):
            if point.name in found or point.name in self._builtin():
                hidden = f"{self.kind} {point.name!r} of {point.value} is hidden by one of the same name"
                warnings.warn(hidden, stacklevel=2)
            else:
                found[point.name] = point
        return found


def _from_home(value: Any) -> Any:
    return os.path.expanduser(value) if isinstance(value, str) else value


class UnknownName(LookupError):
    """No plug-in of that name; the message lists the known ones."""
