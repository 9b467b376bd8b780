"""Runs the code cells of a notebook in one namespace: python notebooks.py FILE [NAME=VALUE ...]; values are Python.

Values replace those of the cell that is tagged `parameters`. Figures are drawn and not shown.
"""

from __future__ import annotations

import ast
import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any


def cells(path: Path, kind: str = "code") -> Iterator[tuple[str, bool]]:
    """Texts of the cells of a kind, and whether they hold the parameters."""
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == kind:
            yield "".join(cell["source"]), "parameters" in cell["metadata"].get("tags", ())


def execute(path: Path, values: Mapping[str, Any]) -> dict[str, Any]:
    """What the cells leave behind. KeyError for a value that the notebook has no parameter for."""
    names: dict[str, Any] = {"__name__": "__main__"}
    for text, parameters in cells(path):
        exec(compile(text, path.name, "exec"), names)  # noqa: S102 - it is our own page
        if parameters:
            unknown = values.keys() - names.keys()
            if unknown:
                raise KeyError(f"{path.name} has no parameters {', '.join(unknown)}")
            names.update(values)
    return names


if __name__ == "__main__":
    os.environ.setdefault("MPLBACKEND", "agg")
    execute(Path(sys.argv[1]), {name: ast.literal_eval(text) for name, text in (a.split("=", 1) for a in sys.argv[2:])})
