"""Links that experiments compare, as words: a channel with settings of the link, and what a transmitter knows of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from semlink.channels.base.names import unknown
from semlink.simulator.errors import SemlinkError
from semlink.simulator.words import Setting, Word, parse

KNOWLEDGE = {"perfect": {}, "delayed": {"slots": "csit_delay"}, "quantised": {"bits": "csit_bits"}}


def link_word(channel: str, csi: str, settings: Mapping[str, Setting]) -> str:
    """The channel's word with these settings of the link, and with `csi` unless it has its own."""
    word = parse(channel)
    merged = {"csi": csi, **dict(word.settings), **settings}
    return str(replace(word, settings=tuple(sorted(merged.items()))))


def power_settings(rule: str, csit: str) -> dict[str, Setting]:
    """Of a link with that power rule, and with what the transmitter knows (`delayed:slots=4`) where the rule asks."""
    from semlink.simulator import power

    known = parse(csit)
    if not power.create(rule).needs_channel:
        return {"power": rule}
    more = {KNOWLEDGE[known.name][name]: value for name, value in known.settings}
    return {"power": rule, "csit": known.name, **more}


def read_settings(kind: str, word: Word, known: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """A word's settings over the defaults of its name; SemlinkError for an unknown name or setting."""
    if word.name not in known:
        raise SemlinkError(unknown(kind, word.name, tuple(known)))
    given = dict(word.settings)
    for name, value in given.items():
        if name not in known[word.name] or isinstance(value, str) or not value or value < 0:
            raise SemlinkError(f"--{kind} {word}: give {word.name} positive numbers for {', '.join(known[word.name])}")
    return {**known[word.name], **given}
