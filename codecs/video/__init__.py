"""Video codecs, one a file. `names()` lists them, `create(name, **settings)` makes one with its shipped weights.

A video codec makes a `sender` and a `receiver` for a clip (`semlink.simulator.protocols.VideoCodec`).
"""

from typing import Any

from semlink.channels.base.registry import Registry

registry = Registry("semlink.codecs.video", "video codec")


def names() -> tuple[str, ...]:
    """Names of all video codecs, built-in and from entry points; imports none of them."""
    return registry.names()


def create(name: str, /, **settings: Any) -> Any:
    """A video codec by name, e.g. `create("h265", rho=1/48)`.

    Raises UnknownName (lists the known ones), TypeError (unknown setting) or SemlinkError (nonsense).
    """
    return registry.create(name, **settings)
