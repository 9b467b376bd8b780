"""Arrays of a .mat file of any version, read by a process of its own: on damaged ones libraries crash, or never return.

That process runs this file as a script, so it imports nothing of ours.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

FIELDS = ("real", "imag")  # of complex numbers in v7.3
PATIENCE, SPEED = 60.0, 1e6  # s, and bytes a second, that a file may take
DIED = "the library that reads it crashed or did not come back"


def read_matlab(path: Path) -> dict[str, np.ndarray]:
    """Arrays of numbers by name, those within a struct of v7.3 too, with the axes that MATLAB shows. ValueError."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "arrays.npz"
        command = [sys.executable, "-P", __file__, str(path), str(out)]
        try:
            limit = PATIENCE + path.stat().st_size / SPEED
            done = subprocess.run(command, capture_output=True, text=True, timeout=limit, check=False)
        except subprocess.TimeoutExpired:
            raise ValueError(DIED) from None
        if done.returncode:
            said = [line for line in done.stderr.splitlines() if line.strip()]
            raise ValueError(said[-1][:200] if said and done.returncode == 1 else DIED)
        with np.load(out, allow_pickle=False) as file:
            return dict(file)


def _arrays(path: str) -> dict[str, np.ndarray]:
    import h5py

    if not h5py.is_hdf5(path):
        from scipy.io import loadmat

        return {name: np.asarray(value) for name, value in loadmat(path).items() if not name.startswith("__")}
    found: dict[str, np.ndarray] = {}
    with h5py.File(path, "r") as file:
        file.visititems(lambda name, item: _keep(found, name, item))
    return found


def _keep(found: dict[str, np.ndarray], name: str, item: Any) -> None:
    """A dataset of v7.3 as MATLAB shows it: axes reversed, complex numbers of two fields."""
    if not hasattr(item, "dtype") or name.startswith("#"):  # groups, and what cells point to
        return
    stored = np.asarray(item[()]).T
    fields = stored.dtype.names
    found[name.rpartition("/")[2]] = stored[FIELDS[0]] + 1j * stored[FIELDS[1]] if fields == FIELDS else stored


if __name__ == "__main__":
    kept = {name: value for name, value in _arrays(sys.argv[1]).items() if value.dtype.kind in "biufc"}
    np.savez(sys.argv[2], **kept)
