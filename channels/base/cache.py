"""Where what can be made again is kept between runs."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Where what can be made again is kept: $SEMLINK_CACHE, else $XDG_CACHE_HOME/semlink, else ~/.cache/semlink."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("SEMLINK_CACHE") or Path(home) / "semlink")
