"""Plug-in words: `tdl:model=C,speed=30` names a plug-in and its settings in one word."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

from semlink.simulator.errors import SemlinkError

Setting = bool | int | float | str | None

_PLUS = re.compile(r"\+(?=[A-Za-z_]\w*(?::|\+|$))")  # before a name: not the plus of 1e+3 or of most paths
_SETTING = re.compile(r"(?<==)[^=,;+]+")  # the value of one, also of a word within a word
_PATH = re.compile(r"[./~].*/|.*/.*\.[A-Za-z]\w*$")  # what begins as one, or ends in the suffix of a file
_OF_FILE = re.compile(r"([^:]+\.py:[A-Za-z_]\w*)(?::(.*))?")  # a class in a file, and its settings
_CONSTANTS: dict[str, bool | None] = {"true": True, "false": False, "none": None}


@dataclass(frozen=True)
class Word:
    """A plug-in's name, its settings sorted by key, and what is added to it; `str(word)` is the canonical spelling."""

    name: str
    settings: tuple[tuple[str, Setting], ...] = ()
    added: tuple[Word, ...] = ()

    def __str__(self) -> str:
        own = ",".join(f"{key}={_spell(value)}" for key, value in self.settings)
        return "+".join([f"{self.name}:{own}" if own else self.name, *map(str, self.added)])

    @property
    def file(self) -> str:
        """The file that holds the plug-in, where the name is that of a class in one; else empty."""
        return self.name.rpartition(":")[0]

    def split(self, keys: tuple[str, ...]) -> tuple[Word, dict[str, Setting]]:
        """This word without the settings named in `keys`, and those settings."""
        kept = tuple((key, value) for key, value in self.settings if key not in keys)
        return Word(self.name, kept, self.added), {key: value for key, value in self.settings if key in keys}


def parse(text: str) -> Word:
    """`name` or `name:key=value,key=value`; finite numbers, true, false and none are read as such, all else as text.

    More words may follow behind a plus sign, as in `tdl:speed=3+clipping:ratio_db=3`.
    A class that is installed nowhere goes by its file, as in `path/mine.py:MyCodec:key=value`.
    Raises SemlinkError when the text has another form or names a key twice.
    """
    first, *others = _PLUS.split(text)
    word = _parse_one(first)
    return Word(word.name, word.settings, tuple(_parse_one(other) for other in others))


def _parse_one(text: str) -> Word:
    of_file = _OF_FILE.fullmatch(text)
    name, colon, rest = (of_file[1], of_file[2], of_file[2] or "") if of_file else text.partition(":")
    pairs = [part.partition("=") for part in rest.split(",")] if colon else []
    keys = [key for key, _, _ in pairs]
    if not name or any(not key or not equals or not value for key, equals, value in pairs):
        raise SemlinkError(f"cannot read {text!r}; write name or name:key=value,key=value, e.g. tdl:model=C,speed=30")
    if len(set(keys)) != len(keys):
        raise SemlinkError(f"{text!r} gives a setting twice")
    return Word(name, tuple(sorted((key, _value(value)) for key, _, value in pairs)))


def with_settings(text: str, **settings: Setting) -> str:
    """A word with these settings in place of its own of the same names."""
    word = parse(text)
    return str(replace(word, settings=tuple(sorted({**dict(word.settings), **settings}.items()))))


def short(text: str) -> str:
    """A word for people: paths of files in its settings without their folders. `labels` tells several words apart."""
    return _with_tails(text, 1)


def labels(words: Iterable[str]) -> dict[str, str]:
    """Of each word the shortest form that no other of them has: `short`, or with as many folders as tell it apart."""
    found: dict[str, str] = {}
    every = list(dict.fromkeys(words))
    left, folders = every, 1
    while left:
        tried = {word: _with_tails(word, folders) for word in left}
        held = Counter([*found.values(), *tried.values()])
        settled = {word: label for word, label in tried.items() if held[label] == 1 or label == word}
        found |= settled
        left, folders = [word for word in left if word not in settled], folders + 1
    return {word: found[word] for word in every}


def _with_tails(text: str, parts: int) -> str:
    return _SETTING.sub(lambda found: _tail(found[0], parts), text)


def _tail(value: str, parts: int) -> str:
    """The last parts of a path; other values as they are, such as lists with slashes and names of the hub."""
    found = value.rstrip("/").split("/")
    return "/".join(found[-parts:]) if _PATH.match(value) and parts < len(found) else value


def _value(text: str) -> Setting:
    if text.lower() in _CONSTANTS:
        return _CONSTANTS[text.lower()]
    for number in (int, float):
        try:
            value = number(text)
        except ValueError:
            continue
        return value if math.isfinite(value) else text
    return text


def _spell(value: Setting) -> str:
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return f"{value:.12g}" if isinstance(value, float) else str(value)
