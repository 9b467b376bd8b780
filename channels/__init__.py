"""Channel models, one a file. `names()` lists them, `create(name, **settings)` makes one."""

from typing import Any

from semlink.channels._registry import Registry

registry = Registry("semlink.channels", "channel")


def names() -> tuple[str, ...]:
    """Names of all channels, built-in and from entry points; imports none of them."""
    return registry.names()


def create(name: str, /, **settings: Any) -> Any:
    """A channel by name, e.g. `create("tdl", model="A", delay_spread=100e-9, speed=3.0)`.

    Raises UnknownName (lists the known ones) or TypeError (unknown setting).
    """
    return registry.create(name, **settings)
