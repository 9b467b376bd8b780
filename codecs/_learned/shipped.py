"""Where the weights and tables that come with the codecs lie, and which of the files that a codec names are here."""

from __future__ import annotations

from pathlib import Path

from semlink.simulator.files import is_here

HOME = Path(__file__).parents[1]
WEIGHTS = HOME / "weights"
TABLES = HOME / "tables"


def local(*names: str | Path | None) -> tuple[Path, ...]:
    """Those of these files and folders that are on this machine, each once, in order.

    None is left out, and so is what is no file or folder here: an id of the hub, weights that nobody shipped.
    """
    paths = dict.fromkeys(Path(name).expanduser() for name in names if name is not None)
    return tuple(path for path in paths if is_here(path))
