"""Values of settings that are one of a few names, known from the annotation in the source before a framework loads."""

from __future__ import annotations

import ast
import re

from semlink.channels.base.names import unknown
from semlink.simulator.bits import mcs
from semlink.simulator.errors import SemlinkError
from semlink.simulator.words import Setting

DEVICES = ("cpu", "cuda", "mps")
_LITERAL = re.compile(r"Literal(\[[^]]*\])")


def check_choice(where: str, name: str, value: Setting, annotation: str) -> None:
    """SemlinkError for a text where true or false belongs, and for one that `Literal` does not have.

    Settings that end in mcs are schemes, and `device` is one of torch. where: what has the setting.
    """
    if not isinstance(value, str):
        return
    if annotation == "bool":
        raise SemlinkError(f"{where}: {unknown(name, value, ('true', 'false'))}")
    if found := _LITERAL.search(annotation):
        choices = tuple(str(one) for one in ast.literal_eval(found[1]) if one is not None)
        if value not in choices:
            raise SemlinkError(f"{where}: {unknown(name, value, choices)}")
    if name.endswith("mcs"):
        mcs.get(value)
    if name == "device":
        check_device(value)


def check_device(value: str) -> None:
    """SemlinkError for a device that torch cannot have; empty is the choice of whoever asks."""
    if value and value.partition(":")[0] not in DEVICES:
        raise SemlinkError(unknown("device", value, DEVICES))
