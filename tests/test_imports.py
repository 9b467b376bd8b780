"""Imports are quick and go the allowed ways: no framework for `import semlink.codecs` or `--help`, one engine seam."""

import math
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import imports
import pytest

ROOT = Path(__file__).parent.parent
SCRIPTS = sorted(p.name for p in (ROOT / "experiments").glob("*.py"))
ENGINES = {"tensorflow", "sionna", "keras", "mitsuba", "drjit"}
HEAVY = {*ENGINES, "torch", "matplotlib"}
LIGHT = {
    "import semlink.codecs": ("-c", "import semlink.codecs"),
    "import semlink.channels": ("-c", "import semlink.channels"),
    "import semlink.simulator": ("-c", "import semlink.simulator"),
    **{f"{name} --help": (f"experiments/{name}", "--help") for name in SCRIPTS},
}
LIMIT_S = 1.0
# Processor time of a bare interpreter where LIMIT_S is meant; a slower machine gets more in proportion.
BARE_S = 0.03


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    """This interpreter with those arguments; the test fails when it does."""
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done


def seconds(*arguments: str) -> float:
    """Processor time of `python(...)`, which other work on the machine changes little."""
    before = spent()
    python(*arguments)
    return spent() - before


def spent() -> float:
    """Processor time of all processes that were started here and ended, in seconds."""
    times = os.times()
    return times.children_user + times.children_system


@cache
def watched(*arguments: str) -> tuple[frozenset[str], float]:
    """Top-level names of all modules that an interpreter imports while it runs those arguments, and its seconds."""
    before = spent()
    lines = python("-X", "importtime", *arguments).stderr.splitlines()
    taken = spent() - before
    names = (line.split("|")[2].strip().partition(".")[0] for line in lines if line.startswith("import time:"))
    return frozenset(names), taken


@pytest.mark.parametrize("what", LIGHT)
def test_loads_no_framework(what):
    assert not HEAVY & watched(*LIGHT[what])[0]


def test_scan_sees_a_framework():
    assert "matplotlib" in watched("-c", "import matplotlib")[0]


@pytest.mark.parametrize("what", LIGHT)
def test_takes_less_than_a_second(what):
    """The run that was watched settles it; where that took longer, the best of up to three that are not does."""
    if watched(*LIGHT[what])[1] < LIMIT_S:
        return
    rounds: list[tuple[float, float]] = []
    while len(rounds) < 3 and not quick(rounds):
        rounds.append((seconds("-c", "pass"), seconds(*LIGHT[what])))
    assert quick(rounds), rounds


def quick(rounds: list[tuple[float, float]]) -> bool:
    """Whether the best of some rounds, of a bare interpreter and one with work to do, is below the limit."""
    bare, taken = (min(column) for column in zip(*rounds, strict=True)) if rounds else (BARE_S, math.inf)
    return taken < LIMIT_S * max(1.0, bare / BARE_S)


def test_every_import_goes_where_the_table_allows():
    assert [said for found in imports.all_imports() if (said := imports.wrong(found))] == []


def test_no_private_name_crosses_a_room():
    assert [said for found in imports.all_imports() if (said := imports.private(found))] == []


def test_no_codec_imports_another():
    assert [said for found in imports.all_imports() if (said := imports.codec_to_codec(found))] == []


def test_nothing_imports_in_a_circle():
    assert imports.circles() == []


def test_only_the_engine_and_channels_import_tensorflow():
    found = {path.relative_to(ROOT).as_posix() for path in imports.importers(ENGINES)}
    assert {path for path in found if not path.startswith(("simulator/engine/", "channels/"))} == set()
    assert any(path.startswith("simulator/engine/") for path in found)


@pytest.mark.parametrize(
    ("importer", "name", "told"),
    [
        ("simulator/metrics/psnr.py", "semlink.simulator.analysis.statistics.Line", "room 'metrics' may import"),
        ("simulator/rng.py", "semlink.simulator.bits.mcs.TABLE", "should live in one of these"),
        ("simulator/study/cli.py", "semlink.codecs.adjscc.Adjscc", "not 'codecs'"),
        ("codecs/adjscc.py", "semlink.simulator.link.link.Link", "room 'codecs' may import"),
        ("channels/awgn.py", "semlink.simulator.errors.SemlinkError", "room 'channels' may import channels.base, not"),
        ("simulator/plugins.py", "experiments.roi", "belongs in simulator/study"),
    ],
)
def test_a_wrong_import_is_told_with_where_the_name_should_live(importer, name, told):
    said = imports.wrong(imports.Import(ROOT / importer, 1, name))
    assert told in said and "\n" not in said


def test_a_private_name_of_another_room_is_told():
    found = imports.Import(ROOT / "codecs" / "adjscc.py", 1, "semlink.codecs._learned.codec._parts")
    assert "make it public there" in imports.private(found)
    inside = imports.Import(ROOT / "codecs" / "_learned" / "prefix.py", 1, "semlink.codecs._learned.codec._parts")
    assert imports.private(inside) == ""


def test_the_scan_sees_imports_for_types_and_within_functions(tmp_path):
    source = "if TYPE_CHECKING:\n    from semlink.simulator.values import Stream\ndef f():\n    import semlink.codecs\n"
    (tmp_path / "x.py").write_text(source)
    names = [found.name for found in imports.imports_of(tmp_path / "x.py")]
    assert names == ["semlink.simulator.values.Stream", "semlink.codecs"]


def test_every_room_of_the_tree_is_in_the_table():
    rooms = {imports.room_of(module) for module in imports.modules()}
    assert rooms <= imports.MAY_IMPORT.keys()
