"""The link, the values that travel over it, metrics, sweeps and plots. Public names load on first use."""

from importlib import import_module
from typing import Any

_HOMES = {
    "Stream": "values",
    "Session": "values",
    "Transmission": "values",
    "TxInfo": "values",
    "ReceivedStream": "values",
    "Reception": "values",
    "LinkReport": "values",
    "LinkResult": "values",
    "SemlinkError": "errors",
    "Grid": "grid",
    "Link": "link",
    "check_codec": "checks",
    "check_channel": "checks",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; public names: {', '.join(_HOMES)}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
