"""The classes that our networks of street scenes name, and classes by the words people give; loads no framework."""

from __future__ import annotations

import re

from semlink.channels.base.names import did_you_mean
from semlink.simulator.errors import SemlinkError

CLASSES = tuple(  # of CamVid, by number
    "sky building pole road pavement tree signsymbol fence car pedestrian bicyclist".split()
)


def class_numbers(chosen: str | int, names: tuple[str, ...]) -> tuple[int, ...]:
    """Numbers of classes by name, beginning of a name, or number, between slashes or plus signs, in the order given.

    SemlinkError for one that is none of `names`, or that several begin with.
    """
    return tuple(_class_number(word.strip(), names) for word in re.split(r"[+/]", str(chosen)))


def _class_number(word: str, names: tuple[str, ...]) -> int:
    if word.isdecimal() and int(word) < len(names):
        return int(word)
    plain = word.lower()
    found = [i for i, name in enumerate(names) if name == plain] or [
        i for i, name in enumerate(names) if plain and name.startswith(plain)
    ]
    if len(found) == 1:
        return found[0]
    what = f"may be {' or '.join(names[i] for i in found)}" if found else "is no class of this network"
    raise SemlinkError(f"class {word!r} {what}; {did_you_mean(word, names)}known: {', '.join(names)}")
