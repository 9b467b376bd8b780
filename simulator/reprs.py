"""What values show of themselves: a line or two, whatever they hold, and a small table in a notebook."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import is_dataclass
from html import escape
from inspect import signature
from pathlib import Path
from typing import Any

SETTINGS = (str, int, float, Path, type(None))
MOST = 4  # values of a list, entries of a mapping
LONGEST = 60  # characters of a text


def shown(value: Any) -> str:
    """A value in a few words: tensors and arrays by type and shape, long lists, texts and bytes by length and start."""
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)}"
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    if isinstance(value, str):
        return repr(value if len(value) <= LONGEST else f"{value[: LONGEST - 1]}…")
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        parts = [f"{key}: {shown(own)}" for key, own in list(value.items())[:MOST]]
        return "{" + ", ".join([*parts, *_more(value)]) + "}"
    if isinstance(value, Sequence):
        return "[" + ", ".join([*map(shown, value[:MOST]), *_more(value)]) + "]"
    text = repr(value)
    return text if len(text) <= 2 * LONGEST else f"{text[: 2 * LONGEST - 1]}…"


def line(name: str, parts: Iterable[tuple[str, Any]]) -> str:
    """`Name(part=value, ...)`."""
    return f"{name}({', '.join(f'{key}={shown(value)}' for key, value in parts)})"


def table(name: str, parts: Iterable[tuple[str, Any]]) -> str:
    """The same as an HTML table."""
    rows = "".join(
        f"<tr><td>{escape(key)}</td><td style='text-align:left'>{escape(shown(value))}</td></tr>"
        for key, value in parts
    )
    return f"<table><caption>{escape(name)}</caption>{rows}</table>"


class Shown:
    """A short `repr` and a table in notebooks for whoever says what to show: `_parts`, names and values."""

    def _parts(self) -> Iterable[tuple[str, Any]]:
        """What to show; of a dataclass its fields that are not as they are by default."""
        from dataclasses import MISSING, fields

        for own in fields(self):  # type: ignore[arg-type]
            value = getattr(self, own.name)
            default = own.default_factory() if own.default_factory is not MISSING else own.default
            if default is MISSING or not (type(value) is type(default) and value == default):
                yield own.name, value

    def __repr__(self) -> str:
        return line(type(self).__name__, self._parts())

    def _repr_html_(self) -> str:
        return table(type(self).__name__, self._parts())


class ShownSettings(Shown):
    """The same for what is made with settings and keeps them under their names."""

    def _parts(self) -> Iterable[tuple[str, Any]]:
        for name, own in signature(type(self)).parameters.items():
            value = vars(self).get(name, own.default)
            value = getattr(value, "name", value)
            known = is_dataclass(value) or isinstance(value, SETTINGS)
            if known and (name == "rho" or value != own.default):
                yield name, value


def _more(value: Sequence[Any] | Mapping[str, Any]) -> tuple[str, ...]:
    return (f"… {len(value)} in all",) if len(value) > MOST else ()
