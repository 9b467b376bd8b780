"""semlink: what a semantic codec is worth on a real radio link.

    from semlink import channels, codecs        # codecs.names(), codecs.create("adjscc", rho=1/6)
    from semlink.simulator import Link, TxInfo  # the link, what travels over it, check_codec, check_channel
    from semlink.simulator.data import load     # pictures

`semlink sweep --help` in a shell measures quality against SNR. Frameworks load on first use.
"""

from importlib import import_module
from typing import Any

_PARTS = ("channels", "codecs", "simulator")

__all__ = ["__version__", *_PARTS]


def __getattr__(name: str) -> Any:
    if name in _PARTS:
        return import_module(f"semlink.{name}")
    if name == "__version__":
        from importlib.metadata import version

        return version("semlink")
    raise AttributeError(f"module 'semlink' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted(__all__)
