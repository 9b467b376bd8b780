"""Importance maps, one kind a file: which pixels matter. `names()` lists them, `create(name, **settings)` makes one.

A map maker is a frozen dataclass with `maps(images) -> Tensor`: pictures `[batch, 3, H, W]` in [0, 1] to float32
`[batch, H, W]` in [0, 1], 1 = region of interest (hard maps hold 0 and 1 only). It is deterministic, and a picture's
map does not depend on the pictures beside it. One that reads files has `files() -> tuple[Path, ...]` too.
"""

from collections.abc import Mapping
from typing import Any

from semlink.channels.base.registry import Registry
from semlink.codecs._regions.classes import CLASSES, class_numbers

registry = Registry("semlink.codecs.importance", "importance map")


def names() -> tuple[str, ...]:
    """Names of all kinds of maps, built-in and from entry points; imports none of them."""
    return registry.names()


def create(name: str, /, **settings: Any) -> Any:
    """A map maker by name, e.g. `create("box", x0=0.25, y0=0.25, x1=0.75, y1=0.75)`.

    Raises UnknownName (lists the known ones), TypeError (unknown setting) or SemlinkError (nonsense).
    """
    return registry.create(name, **settings)


def check_classes(name: str, settings: Mapping[str, Any]) -> None:
    """SemlinkError for classes that our networks of street scenes do not name; other networks say theirs later.

    Loads no framework.
    """
    if name == "segmentation" and "classes" in settings and not settings.get("model"):
        class_numbers(settings["classes"], CLASSES)
