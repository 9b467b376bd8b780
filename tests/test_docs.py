"""What commands write into docs/ is there as they write it today, and the numbers of the README are in the rows."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pages import DOCS, README, ROOT, TEXT
from scripts import loaded

from semlink.simulator.errors import SemlinkError
from semlink.simulator.study.markdown import replaced, rewrite, table

REFERENCE = ROOT / "results" / "reference"


@pytest.fixture(scope="module")
def parts() -> Iterator[dict[str, str]]:
    """Everything that commands write, by the name of its markers."""
    with loaded("make_docs") as make_docs, loaded("reference") as reference:
        found = {**make_docs.plugins(), **make_docs.results(REFERENCE), **reference.contents(REFERENCE)}
    with loaded("compare_coders") as coders, loaded("video_tables") as video:
        yield {**found, "coders": coders.coders_table(REFERENCE / "coders" / "coders.csv"), **video.contents(REFERENCE)}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of docs/ to write into."""
    return Path(shutil.copytree(DOCS, tmp_path / "docs"))


def test_pages_are_what_commands_write_today(parts: dict[str, str], copy: Path) -> None:
    stale = [path.name for path in rewrite(copy, parts)]
    assert not stale, f"{stale}: run `make docs`"


def test_every_pair_of_markers_is_written_by_a_command(parts: dict[str, str]) -> None:
    assert set(re.findall(r"<!-- (\w+) begin -->", "".join(TEXT.values()))) == parts.keys()


def test_a_stale_page_is_mended(parts: dict[str, str], copy: Path) -> None:
    page = copy / "results" / "photographs.md"
    before = page.read_text()
    page.write_text(before.replace("18.87", "99.99"))
    assert rewrite(copy, parts) == [page]
    assert page.read_text() == before


@pytest.mark.parametrize(
    "kind", ["codecs", "channels", "channels.impairments", "simulator.power", "codecs.importance", "codecs.video"]
)
def test_every_plugin_has_a_section_that_tells_its_settings(kind: str) -> None:
    from inspect import signature

    from semlink.simulator.plugins import package

    text = "".join(text for page, text in TEXT.items() if page.parent == DOCS)
    for name in package(kind).names():
        sections = re.findall(rf"^### {name}\n(.*?)(?=^##|\Z)", text, re.MULTILINE | re.DOTALL)
        settings = signature(package(kind).registry.get(name)).parameters
        assert any(all(f"`{s}" in section for s in settings) for section in sections), name


def test_results_of_the_readme_are_in_the_pages() -> None:
    rows = [line for line in README.splitlines() if re.match(r"\|.*\d\.\d", line)]
    results = "".join(text for page, text in TEXT.items() if page.parent == DOCS / "results").splitlines()
    assert len(rows) >= 3 and set(rows) <= set(results)


def test_the_caption_counts_what_the_rows_hold() -> None:
    from semlink.simulator.records import rows
    from semlink.simulator.records.store import Condition

    found = {m.condition: m for m in rows.read(REFERENCE / "photos48" / "rows.h5").measurements}
    digital, semlink = (found[Condition(codec, 1 / 12, "tdl", 0.0)] for codec in ("digital", "semlink"))
    lost, kept = (int(np.sum(np.asarray(m.values["lpips_alex"]) > 0.8)) for m in (digital, semlink))
    said = " ".join(README.split())
    assert f"of the {len(digital.positions)} photographs" in said
    assert f"{lost} have an LPIPS above 0.8 by `digital`, flat or lost, and {kept} by `semlink`" in said


def test_architecture_names_every_room_and_no_other() -> None:
    from imports import MAY_IMPORT

    text = (ROOT / "ARCHITECTURE.md").read_text()
    packages = ("simulator", "codecs", "channels")
    named = set(re.findall(rf"^\| `((?:{'|'.join(packages)})/[\w/]*)`", text, re.MULTILINE))
    rooms = {path.parent.relative_to(ROOT).as_posix() for path in (ROOT / "simulator").glob("*/__init__.py")}
    shared = {path.parent.relative_to(ROOT).as_posix() for path in (ROOT / "codecs").glob("_*/__init__.py")}
    assert {name for name in named if not name.endswith("/")} == rooms | shared
    assert {room.partition("/")[2] for room in rooms} <= MAY_IMPORT.keys()


def test_bars_in_cells_do_not_split_them() -> None:
    assert table(("a", "b"), [("E|h|^2", "1")]).splitlines() == ["| a | b |", "| --- | --- |", "| E\\|h\\|^2 | 1 |"]


def test_only_what_is_between_the_markers_changes() -> None:
    text = "before\n<!-- x begin -->\nold\n<!-- x end -->\nafter <!-- y begin -->kept<!-- y end -->"
    assert replaced(text, "x", "new\n") == text.replace("old", "new")


def test_missing_markers_are_an_error_that_names_them(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text("nothing here\n")
    with pytest.raises(SemlinkError, match="<!-- x begin -->"):
        rewrite(tmp_path, {"x": "new\n"})
    assert (tmp_path / "page.md").read_text() == "nothing here\n"
