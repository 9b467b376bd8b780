"""Codecs with diffusion by their words: which have steps, and with how many."""

from __future__ import annotations

from collections.abc import Iterable

from semlink.simulator.plugins import capabilities
from semlink.simulator.words import parse, with_settings


def is_plain(codec: str) -> bool:
    """Whether the codec has no diffusion, or is told to leave it."""
    return "steps" not in capabilities(codec) or dict(parse(codec).settings).get("steps") == 0


def with_steps(codec: str, numbers: Iterable[int]) -> tuple[str, dict[int | None, str]]:
    """The word without `steps`, and with each number of steps; None: by default, where that follows the noise."""
    base = str(parse(codec).split(("steps",))[0])
    found: dict[int | None, str] = {n: with_settings(base, steps=n) for n in sorted(set(numbers))}
    return base, found | ({None: base} if capabilities(base)["steps"] == "budget" else {})
