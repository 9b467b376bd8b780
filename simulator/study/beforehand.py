"""What an experiment asks for, made once before anything is measured: mistakes are told at once, and in one line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from semlink.channels.base.registry import UnknownName, UnknownSetting
from semlink.simulator.analysis.tables import rate
from semlink.simulator.errors import SemlinkError
from semlink.simulator.records.sweep import Sweep
from semlink.simulator.sweep.trial import Parts
from semlink.simulator.words import parse


def check_questions(questions: Sequence[Sweep], parts: Parts) -> None:
    """SemlinkError when a codec or link cannot be made, or a codec cannot meet the pictures, as without its weights.

    Whatever else a plug-in raises is told where it is measured.
    """
    for word in dict.fromkeys(word for question in questions for word in question.channels):
        _told(f"link {word}", partial(parts.link, parse(word)))
    for question in questions:
        sizes = sorted(set(parts.dataset(question.data, question.limit).sizes()))
        for word in question.codecs:
            for rho in question.rho:
                codec = _told(f"codec {word}", partial(parts.codec, parse(word), rho))
                for size in sizes if hasattr(codec, "check") else ():
                    _told(f"codec {word} at rho {rate(rho)}", partial(codec.check, *size))


def _told(what: str, ask: Callable[[], Any]) -> Any:
    """What is answered; SemlinkError that names what asked; None where a plug-in raises something else.

    Words within a word, as of an inner codec, are found here when they name nothing.
    """
    try:
        return ask()
    except (SemlinkError, UnknownName, UnknownSetting) as error:
        raise SemlinkError(f"{what}: {error}") from error
    except (Exception, SystemExit):  # noqa: BLE001 - a plug-in may raise anything
        return None
