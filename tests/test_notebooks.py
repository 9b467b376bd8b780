"""The notebooks run from their first cell to the last at reduced size, without a line of framework noise."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from notebooks import cells

HERE = Path(__file__).parent
NOTEBOOKS = HERE.parent / "docs" / "notebooks"
REDUCED = {
    "first_link": ["PICTURES=1", "SNRS_DB=(10.0,)"],
    "own_codec": ["STEPS=30", "BATCH=4", "CHANNEL='awgn'"],
    "channels": ["PICTURES=3", "CHANNELS=('awgn', 'rayleigh')"],
    "region_of_interest": ["PICTURES=2"],
    "diffusion_receiver": ["PICTURES=1", "SNRS_DB=(0.0,)"],
    "video": ["CLIP='synthetic/pan@64x64x6'"],
}
QUICK = "first_link"


@pytest.mark.parametrize("name", [QUICK, *(pytest.param(n, marks=pytest.mark.slow) for n in REDUCED if n != QUICK)])
def test_runs_from_the_first_cell_to_the_last(name: str, tmp_path: Path) -> None:
    command = [sys.executable, HERE / "notebooks.py", NOTEBOOKS / f"{name}.ipynb", *REDUCED[name]]
    found = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, cwd=tmp_path)
    assert found.returncode == 0, found.stderr[-2000:]
    assert not found.stderr, f"noise in {name}: {found.stderr[:500]}"


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_is_clean_and_tells_what_it_is(path: Path) -> None:
    """No output is kept; it begins with a title and has a cell of parameters, which the test above makes small."""
    assert path.stem in REDUCED
    book = json.loads(path.read_text())
    assert all(not c["outputs"] and c["execution_count"] is None for c in book["cells"] if c["cell_type"] == "code")
    assert next(cells(path, "markdown"))[0].startswith("# ")
    assert [parameters for _, parameters in cells(path)].index(True) == 0
