"""A channel as the link that an experiment compares: words with settings of the link."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from semlink.simulator.words import Setting, parse


def link_word(channel: str, csi: str, settings: Mapping[str, Setting]) -> str:
    """The channel's word with these settings of the link, and with `csi` unless it has its own."""
    word = parse(channel)
    merged = {"csi": csi, **dict(word.settings), **settings}
    return str(replace(word, settings=tuple(sorted(merged.items()))))
