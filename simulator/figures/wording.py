"""Plug-in words as people say them: titles of panels, `TDL, model C, 300 ns, 30 m/s, LS estimates`."""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence

from semlink.simulator.files import slug
from semlink.simulator.words import Setting, Word, parse, short

NAMES = {
    "awgn": "AWGN",
    "tdl": "TDL",
    "cdl": "CDL",
    "umi": "UMi",
    "uma": "UMa",
    "rma": "RMa",
    "cfo": "CFO",
    "iq_imbalance": "IQ imbalance",
}
CSI = {
    "perfect": "perfect CSI",
    "ls": "LS estimates",
    "ls-nearest": "LS estimates, nearest pilot",
    "lmmse": "LMMSE estimates",
    "": "CSI unknown",
}
UNITS = {  # by setting: factor to the unit, the unit, and whether that alone says what it is
    "delay_spread": (1e9, "ns", True),
    "speed": (1.0, "m/s", True),
    "carrier_frequency": (1e-9, "GHz", True),
    "ratio_db": (1.0, "dB", False),
    "hertz": (1.0, "Hz", True),
}
KNOWN = ("csi",)  # told apart from the channel


def channel_title(word: str, csi: str) -> str:
    """A channel's word and what its receiver knows."""
    found = parse(word)
    added = "".join(f" + {_said(other)}" for other in found.added)
    return f"{_said(Word(found.name, found.settings))}{added}, {CSI.get(csi, csi)}"


def wrapped(title: str, width: int = 44) -> str:
    """A title in lines of at most so many characters, as far as its words allow."""
    return "\n".join(textwrap.wrap(title, width, break_long_words=False))


def file_names(words: Iterable[str]) -> dict[str, str]:
    """Words as parts of file names, each another: `tdl_300_ns_model_C_lmmse_estimates` for its word.

    Those that would be the same keep their settings as they are written.
    """
    said = {word: slug(_in_a_name(parse(short(word)))) for word in words}
    often = Counter(said.values())
    return {word: name if often[name] == 1 else slug(word) for word, name in said.items()}


def _in_a_name(word: Word) -> str:
    own = [_setting(*s) if s[0] not in KNOWN else CSI.get(str(s[1]), str(s[1])) for s in _csi_last(word.settings)]
    text = re.sub(r"[^A-Za-z0-9.+-]+", "_", " ".join([word.name, *own])).strip("_")
    return "+".join([text, *map(_in_a_name, word.added)])


def _csi_last(settings: Sequence[tuple[str, Setting]]) -> list[tuple[str, Setting]]:
    return sorted(settings, key=lambda setting: setting[0] in KNOWN)


def _said(word: Word) -> str:
    settings = [_setting(name, value) for name, value in word.settings if name not in KNOWN]
    return ", ".join([NAMES.get(word.name, word.name.replace("_", " ").capitalize()), *settings])


def _setting(name: str, value: Setting) -> str:
    words = name.replace("_", " ")
    if name in UNITS and isinstance(value, int | float) and not isinstance(value, bool):
        factor, unit, alone = UNITS[name]
        number = f"{factor * value:.4g} {unit}"
        return number if alone else f"{words.removesuffix(' db')} {number}"
    if value is True:
        return words
    return f"{words} {'none' if value is None else value}"
