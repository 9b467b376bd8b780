"""Semantic codecs, one a file. `names()` lists them, `create(name, **settings)` makes one with its shipped weights."""

from typing import Any

from semlink.channels.base.registry import Registry

registry = Registry("semlink.codecs", "codec", skip=("importance", "video"))


def names() -> tuple[str, ...]:
    """Names of all codecs, built-in and from entry points; imports none of them."""
    return registry.names()


def create(name: str, /, **settings: Any) -> Any:
    """A codec by name, e.g. `create("adjscc", rho=1/6)`; `weights=PATH` for your own safetensors file.

    Raises UnknownName (lists the known ones) or TypeError (unknown setting).
    """
    return registry.create(name, **settings)
