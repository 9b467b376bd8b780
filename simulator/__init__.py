"""The link, the values that travel over it, metrics, sweeps and plots. Public names load on first use."""

from importlib import import_module
from typing import Any

_HOMES = {
    "Stream": "semlink.simulator.values",
    "Session": "semlink.simulator.values",
    "Transmission": "semlink.simulator.values",
    "TxInfo": "semlink.simulator.values",
    "ReceivedStream": "semlink.simulator.values",
    "Reception": "semlink.simulator.values",
    "LinkReport": "semlink.simulator.values",
    "LinkResult": "semlink.simulator.values",
    "zero_forcing": "semlink.simulator.forms",
    "variance_preserving": "semlink.simulator.forms",
    "finite": "semlink.simulator.forms",
    "SemlinkError": "semlink.simulator.errors",
    "Rows": "semlink.simulator.records.rows",
    "read_rows": "semlink.simulator.records.rows",
    "Grid": "semlink.channels.base.grid",
    "Link": "semlink.simulator.link.link",
    "check_codec": "semlink.simulator.conformance.codec",
    "check_video_codec": "semlink.simulator.conformance.video",
    "check_channel": "semlink.simulator.conformance.channel",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; public names: {', '.join(_HOMES)}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
