"""Channel models, one a file. `names()` lists them, `create(name, **settings)` makes one, `impair` adds to it."""

from typing import Any

from semlink.channels.base.registry import Registry

registry = Registry("semlink.channels", "channel", skip=("base", "impairments"))


def names() -> tuple[str, ...]:
    """Names of all channels, built-in and from entry points; imports none of them."""
    return registry.names()


def create(name: str, /, **settings: Any) -> Any:
    """A channel by name, e.g. `create("tdl", model="A", delay_spread=100e-9, speed=3.0)`.

    Raises UnknownName (lists the known ones) or TypeError (unknown setting).
    """
    return registry.create(name, **settings)


def impair(channel: Any, name: str, /, **settings: Any) -> Any:
    """`channel` with one more impairment, e.g. `impair(create("tdl"), "clipping", ratio_db=3.0)`.

    Raises UnknownName (lists the known ones), TypeError (unknown setting) or ValueError (nonsense, or one too many).
    """
    from semlink.channels import impairments
    from semlink.channels.base.impaired import Impaired

    bare, before = (channel.channel, channel.impairments) if isinstance(channel, Impaired) else (channel, ())
    return Impaired(bare, (*before, impairments.create(name, **settings)))
