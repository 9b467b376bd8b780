"""Link statistics on disk: one JSON file for all that they depend on, in the user's cache folder.

That is the link's settings, SNR and uses, the files that the channel reads, the source text of link, engine and
channels, and the versions of what computes. A file that cannot be read, or is not what was written by its checksum, is
measured again.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import warnings
from collections.abc import Callable
from dataclasses import asdict
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from semlink.channels.base.cache import cache_folder
from semlink.channels.base.grid import Grid
from semlink.simulator.errors import SemlinkError
from semlink.simulator.files import check_file, is_here, write_aside
from semlink.simulator.link.settings import LinkSettings
from semlink.simulator.values import LinkStatistics

ROOMS = ("bits", "engine", "link")  # of the simulator, and all channels
LIBRARIES = ("sionna", "tensorflow", "numpy", "scipy")


def remembered(settings: LinkSettings, snr_db: float, uses: int, make: Callable[[], LinkStatistics]) -> LinkStatistics:
    """Those on disk, or made and left there. A channel that does not tell its settings (`repr`) is measured anew."""
    told = repr(settings)
    if " object at 0x" in told:
        return make()
    parts = (told, f"{float(snr_db):.9g}", uses, _read_by(settings.channel), code_of(type(settings.channel)))
    file = cache_folder() / "link" / f"{hashlib.sha256(repr(parts).encode()).hexdigest()[:32]}.json"
    try:
        check_file(file)
        return read(file.read_text())
    except (OSError, SemlinkError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        made = make()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_aside(file, lambda aside: aside.write_text(write(made)))
    except (OSError, SemlinkError) as error:
        warnings.warn(f"link statistics are not kept ({error}): point SEMLINK_CACHE to a folder", stacklevel=2)
    return made


def write(statistics: LinkStatistics) -> str:
    """A file's text: a line of statistics, and one of its checksum."""
    told = json.dumps(asdict(statistics))
    return f"{told}\n{_checksum(told)}\n"


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def read(text: str) -> LinkStatistics:
    """The statistics in a file's text. ValueError, KeyError, TypeError or AttributeError for other text."""
    line, _, checksum = text.partition("\n")
    if checksum != f"{_checksum(line)}\n":
        raise ValueError("not what was written")
    told: dict[str, Any] = json.loads(line)
    arrival = {int(size): {n: tuple(p) for n, p in of.items()} for size, of in told["arrival"].items()}
    return LinkStatistics(int(told["uses"]), tuple(told["information"]), tuple(told["reliability"]), arrival)


def _read_by(channel: Any) -> list[tuple[str, int, int]]:
    """The files that a channel reads: path, bytes, time of the last change."""
    bare = getattr(channel, "channel", channel)
    paths = [Path(p).absolute() for p in getattr(bare, "files", tuple)() if is_here(p)]
    return [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in paths]


@cache
def code_of(channel: type) -> str:
    """A digest of the source text that statistics come from, the channel's own included, and of versions."""
    simulator = Path(__file__).parents[1]
    channels = Path(inspect.getfile(Grid)).parents[1]
    folders = [*(simulator / room for room in ROOMS), channels]
    files = sorted(file for folder in folders for file in folder.rglob("*") if file.suffix in (".py", ".json", ".npz"))
    text = hashlib.sha256()
    for file in (*files, Path(inspect.getfile(channel))):
        text.update(file.read_bytes())
    text.update(repr([(name, metadata.version(name)) for name in LIBRARIES]).encode())
    return text.hexdigest()
