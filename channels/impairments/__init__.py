"""Impairments that wrap any channel, one a file. `names()` lists them, `create(name, **settings)` makes one."""

from typing import Any

from semlink.channels.base.registry import Registry

registry = Registry("semlink.channels.impairments", "impairment")


def names() -> tuple[str, ...]:
    """Names of all impairments, built-in and from entry points; imports none of them."""
    return registry.names()


def create(name: str, /, **settings: Any) -> Any:
    """An impairment by name, e.g. `create("clipping", ratio_db=3.0)`.

    Raises UnknownName (lists the known ones), TypeError (unknown setting) or ValueError (nonsense).
    """
    return registry.create(name, **settings)
