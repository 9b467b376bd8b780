"""Traced paths on disk: a table shipped with the package, else a file in the user's cache folder, else a new trace.

The cache is in `cache_folder`: one npz file (no pickle) per
`Scenario`, named by a hash of it and the version of sionna-rt. A file that cannot be read is traced again.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import warnings
from dataclasses import asdict, dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

import numpy as np

from semlink.channels.base.cache import cache_folder

RECIPE = 1  # of semlink.channels._tracing; another number, other paths
SHIPPED = Path(__file__).parent / "tables"
FIELDS = ("transmitter", "positions", "amplitudes", "delays", "arrival", "departure")


@dataclass(frozen=True)
class Scenario:
    """What the paths depend on: a built-in scene of sionna.rt, users in it, carrier in Hz, interactions of a path."""

    scene: str
    users: int
    carrier_frequency: float
    max_depth: int


@dataclass(frozen=True)
class PathTable:
    """Paths to each user, the strongest first, padded with amplitude 0.

    transmitter `[3]`, positions `[users, 3]`: metres. amplitudes: |a| of isotropic antennas, `[users, paths]`.
    delays: seconds from transmitter to user, `[users, paths]`. arrival, departure: zenith and azimuth in radians of the
    direction in which the path is seen from the user and from the transmitter, `[users, paths, 2]`. All float32.
    """

    transmitter: np.ndarray
    positions: np.ndarray
    amplitudes: np.ndarray
    delays: np.ndarray
    arrival: np.ndarray
    departure: np.ndarray


class DamagedTable(Exception):
    """A file that does not hold the paths of the scenario."""


@cache
def paths(scenario: Scenario) -> PathTable:
    """The paths of a scenario. ValueError with the remedy when they must be traced and cannot be."""
    kept = table_file(scenario)
    if kept:
        return read_table(kept, scenario)
    with tempfile.TemporaryDirectory() as folder:
        traced = Path(folder) / "paths.npz"
        trace(scenario, traced)
        table = read_table(traced, scenario)
    try:
        write_table(cache_file(scenario), scenario, table)
    except OSError as error:
        warnings.warn(f"the traced paths are not kept ({error}): point SEMLINK_CACHE to a folder", stacklevel=2)
    return table


def table_file(scenario: Scenario) -> Path | None:
    """The file that holds the paths of a scenario, shipped or in the cache; None when they must be traced."""
    for file in (SHIPPED / f"ray_traced-{scenario.scene}.npz", cache_file(scenario)):
        try:
            read_table(file, scenario)
            return file
        except (DamagedTable, FileNotFoundError):
            continue
    return None


@cache
def scenes() -> tuple[str, ...]:
    """Names of sionna.rt's scenes, from its folder: importing it takes seconds and needs LLVM."""
    spec = importlib.util.find_spec("sionna")
    folders = spec.submodule_search_locations if spec else None
    inside = Path(folders[0]) / "rt" / "scenes" if folders else Path()
    found = {f.parent.name for f in inside.glob("*/*.xml")} if folders else set()
    return tuple(sorted(found | {"simple_street_canyon"}))


def cache_file(scenario: Scenario) -> Path:
    """Where the paths of a scenario are kept."""
    key = hashlib.sha256(f"{settings(scenario)} {rt_version()}".encode()).hexdigest()[:16]
    return cache_folder() / f"{scenario.scene}-{key}.npz"


def settings(scenario: Scenario) -> str:
    """The scenario and the recipe as canonical JSON, which a table carries."""
    return json.dumps({**asdict(scenario), "recipe": RECIPE}, sort_keys=True)


def rt_version() -> str:
    """Version of the installed sionna-rt, or "none"."""
    try:
        return metadata.version("sionna-rt")
    except metadata.PackageNotFoundError:
        return "none"


def read_table(file: Path, scenario: Scenario) -> PathTable:
    """The table in a file. FileNotFoundError; DamagedTable unless it holds sound paths of just that scenario."""
    if file.exists() and not file.is_file():
        raise DamagedTable(f"{file} is no file")
    try:
        with np.load(file, allow_pickle=False) as stored:
            told, arrays = str(stored["settings"]), {name: stored[name] for name in FIELDS}
    except FileNotFoundError:
        raise
    except Exception as error:  # noqa: BLE001 - zip, zlib and NumPy raise many kinds on a damaged file
        raise DamagedTable(f"{file}: {error}") from error
    if told != settings(scenario):
        raise DamagedTable(f"{file} holds the paths of another scenario")
    shape = (scenario.users, *arrays["amplitudes"].shape[1:])
    shapes = dict(zip(FIELDS, ((3,), (shape[0], 3), shape, shape, (*shape, 2), (*shape, 2)), strict=True))
    sound = all(v.dtype == np.float32 and v.shape == shapes[k] and np.isfinite(v).all() for k, v in arrays.items())
    if not sound or arrays["amplitudes"].ndim != 2 or not (arrays["amplitudes"].sum(1) > 0).all():
        raise DamagedTable(f"{file} holds arrays of wrong shape or value")
    return PathTable(**arrays)


def write_table(file: Path, scenario: Scenario, table: PathTable) -> None:
    """Write a table aside and rename it, so that no reader meets half a file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    arrays = {name: getattr(table, name).astype(np.float32) for name in FIELDS}
    with tempfile.TemporaryDirectory(dir=file.parent) as folder:
        part = Path(folder) / file.name
        np.savez_compressed(part, settings=np.array(settings(scenario)), **arrays)
        os.replace(part, file)


def trace(scenario: Scenario, file: Path) -> None:
    """Trace in a process of its own: Mitsuba's LLVM, threads and memory stay away from TensorFlow and torch.

    ValueError with what the process said when it fails.
    """
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in asdict(scenario).items()]
    command = [sys.executable, "-m", "semlink.channels._tracing", *flags, f"--out={file}"]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"the tracer ended with {done.returncode}"]
        raise ValueError(f"cannot trace {scenario.scene}: {said[-1]}")
