"""Imports are quick and go the allowed ways: no framework for `import semlink.codecs` or `--help`, one engine seam."""

import ast
import subprocess
import sys
import time
from functools import cache
from pathlib import Path

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
# Start-up of a bare interpreter where LIMIT_S is meant; a slower or busier machine gets more in proportion.
BARE_S = 0.03


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    """This interpreter with those arguments; the test fails when it does."""
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done


def seconds(*arguments: str) -> float:
    """Wall-clock time of `python(...)`."""
    started = time.perf_counter()
    python(*arguments)
    return time.perf_counter() - started


def modules(path: Path) -> set[str]:
    """Full names of the modules that a file imports, at its top or inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def importers(folder: str, wanted: set[str]) -> set[str]:
    """Files under a folder that import one of those modules or something below it."""
    return {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / folder).rglob("*.py")
        if any(f"{name}.".startswith(f"{module}.") for name in modules(path) for module in wanted)
    }


@cache
def loaded(*arguments: str) -> frozenset[str]:
    """Top-level names of all modules that an interpreter imports while it runs those arguments."""
    lines = python("-X", "importtime", *arguments).stderr.splitlines()
    return frozenset(line.split("|")[2].strip().partition(".")[0] for line in lines if line.startswith("import time:"))


@pytest.mark.parametrize("what", LIGHT)
def test_loads_no_framework(what):
    assert not HEAVY & loaded(*LIGHT[what])


def test_scan_sees_a_framework():
    assert "matplotlib" in loaded("-c", "import matplotlib")


@pytest.mark.parametrize("what", LIGHT)
def test_takes_less_than_a_second(what):
    rounds = [(seconds("-c", "pass"), seconds(*LIGHT[what])) for _ in range(3)]
    bare, taken = (min(column) for column in zip(*rounds, strict=True))
    assert taken < LIMIT_S * max(1.0, bare / BARE_S)


def test_only_the_engine_and_channels_import_tensorflow():
    found = importers("simulator", ENGINES) | importers("codecs", ENGINES) | importers("experiments", ENGINES)
    assert {path for path in found if not path.startswith("simulator/engine/")} == set()
    assert importers("simulator/engine", ENGINES)


def test_packages_import_only_what_architecture_allows():
    assert importers("channels", {"semlink.simulator", "semlink.codecs"}) == set()
    hidden = {
        "semlink.simulator.link",
        "semlink.simulator.Link",
        "semlink.simulator.engine",
        "semlink.simulator.engine.bridge",
    }
    assert importers("codecs", hidden) == set()
    for folder in ("simulator", "codecs", "channels"):
        assert importers(folder, {"experiments"}) == set()
