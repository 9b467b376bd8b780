"""How figures are drawn for as long as an experiment runs, as its --style says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from semlink.channels.base.names import unknown
from semlink.simulator.errors import SemlinkError
from semlink.simulator.figures.pgf import latex

STYLES = ("screen", "ieee", "ieee-pgf")
chosen: ContextVar[str] = ContextVar("chosen", default=STYLES[0])


def check_style(style: str) -> None:
    """SemlinkError for a style that nobody knows, and for one that needs a LaTeX where there is none."""
    if style not in STYLES:
        raise SemlinkError(unknown("--style", style, STYLES))
    if style.endswith("pgf"):
        latex()


@contextmanager
def drawn_as(style: str) -> Iterator[None]:
    """Figures are drawn so within. SemlinkError as of `check_style`."""
    check_style(style)
    before = chosen.set(style)
    try:
        yield
    finally:
        chosen.reset(before)
