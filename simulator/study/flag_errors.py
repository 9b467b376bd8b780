"""What tyro says of a flag's value in a box of many lines, in one."""

from __future__ import annotations

import contextlib
import io
import re
import sys
from collections.abc import Iterator

from semlink.channels.base.names import did_you_mean
from semlink.simulator.errors import SemlinkError

_FRAME = re.compile(r"[\u2500-\u257f]|\x1b\[[0-9;]*m|-{9,}")  # lines of boxes and colours
_CHOICE = re.compile(r"invalid choice '(.*?)' for argument '(.*?)'\. Expected one of \((.*?),?\)")
_UNREAD = re.compile(r"Error parsing (--\S+?):.*?('[^']*')")
_MISSING = re.compile(r"Missing value for argument '(.*?)'")


@contextlib.contextmanager
def in_a_line() -> Iterator[None]:
    """SemlinkError in place of what is printed and an exit with another code than 0."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            yield
    except SystemExit as stop:
        if stop.code:
            raise SemlinkError(told(said.getvalue())) from None
        raise
    finally:
        sys.stderr.flush()


def told(box: str) -> str:
    """The text of such a box as one line, with the nearest of the choices."""
    text = " ".join(_FRAME.sub(" ", box.partition("\u2500\u2524")[0]).split())
    if found := _CHOICE.search(text):
        value, flag, choices = found[1], found[2], re.findall(r"'(.*?)'", found[3])
        return f"{flag}: unknown choice {value!r}; {did_you_mean(value, choices)}known: {', '.join(choices)}"
    if found := _MISSING.search(text):
        return f"{found[1]} needs a value"
    if found := _UNREAD.search(text.partition(" Argument helptext:")[0]):
        takes = re.search(rf"{re.escape(found[1])} (.*?)(?= [A-Z][a-z])", text.partition("Argument helptext:")[2])
        return f"{found[1]}: cannot read {found[2]}" + (f"; it takes {takes[1]}" if takes else "")
    return text
