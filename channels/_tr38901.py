"""The tables of 3GPP TR 38.901 that Sionna ships, read without importing it."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

LIGHT = 299_792_458.0  # m/s


def sionna_table(name: str) -> dict[str, Any]:
    """One of the tables of TR 38.901 that Sionna ships, e.g. "CDL-A"; does not import Sionna."""
    spec = importlib.util.find_spec("sionna")
    if spec is None or not spec.submodule_search_locations:
        raise ImportError("channels of TR 38.901 read their tables from the sionna package; pip install sionna==1.2.2")
    folder = Path(spec.submodule_search_locations[0]) / "phy" / "channel" / "tr38901" / "models"
    return json.loads((folder / f"{name}.json").read_text())
