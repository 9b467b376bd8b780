"""The site (`make site`): pages and pictures that lie outside docs/, notebooks as pages, and links to them."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
HOUSE = ("ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md")
LINK = re.compile(r"(\]\()((?:\.\./)*)([^)#\s:]+)(#[^)\s]*)?\)")
ELSEWHERE = re.compile(r"\[([^\]]+)\]\(([^)#\s:]+)\)")  # to what the site does not hold: text alone is left


def on_files(files: Files, config: Any) -> Files:
    """Adds the README as the front page, the pages of the house and the figures that pages show."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8").replace("](docs/", "](")
    files.append(File.generated(config, "index.md", content=readme))
    for name in HOUSE:
        files.append(File.generated(config, f"house/{name}", content=(ROOT / name).read_text(encoding="utf-8")))
    for path in sorted((ROOT / "docs" / "notebooks").glob("*.ipynb")):
        files.append(File.generated(config, f"notebooks/{path.stem}.md", content=notebook(path)))
    for path in sorted({found for page in (ROOT / "docs").rglob("*.md") for found in _figures(page)}):
        files.append(File.generated(config, _place(path), abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Links to what lies outside docs/ lead to where the site has it; others become their text."""
    here = Path(page.file.src_uri).parent
    folder = ROOT if page.file.src_uri.startswith("house/") or page.file.src_uri == "index.md" else ROOT / "docs" / here
    held = {file.src_uri for file in files}
    if here.parts[:1] == ("notebooks",):
        return markdown

    def moved(found: re.Match[str]) -> str:
        text, target = found[1], found[2]
        for base in (folder, ROOT / "docs" / here):
            place = _place(Path(os.path.normpath(base / target)))
            place = re.sub(r"^(notebooks/.*)\.ipynb$", r"\1.md", place)
            if place in held:
                return f"[{text}]({os.path.relpath(place, here)})"
        return text

    return ELSEWHERE.sub(moved, markdown)


def notebook(path: Path) -> str:
    """The cells of a notebook as a page, with a link to the notebook itself behind its title."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    told = ((cell["cell_type"], "".join(cell["source"])) for cell in cells)
    parts = [text if kind == "markdown" else f"```python\n{text}\n```" for kind, text in told]
    return "\n\n".join([parts[0], f"[As a notebook, to run it]({path.name}){{ .md-button }}", *parts[1:]]) + "\n"


def _figures(page: Path) -> list[Path]:
    """Pictures outside docs/ that a page shows."""
    links = (found[2] + found[3] for found in LINK.finditer(page.read_text(encoding="utf-8")))
    paths = (Path(os.path.normpath(page.parent / link)) for link in links if link.endswith(".png"))
    return [path for path in paths if path.is_file() and not path.is_relative_to(ROOT / "docs")]


def _place(path: Path) -> str:
    """Where the site has a file of the checkout."""
    inside = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
    if inside.parts[:1] == ("docs",):
        return Path(*inside.parts[1:]).as_posix()
    own = {"README.md": "index.md", **{name: f"house/{name}" for name in HOUSE}}
    return own.get(inside.as_posix(), f"files/{inside.as_posix()}")
