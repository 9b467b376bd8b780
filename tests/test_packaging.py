"""The wheel holds all of the package and nothing else, works away from the repository, and every version is pinned."""

import configparser
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
FOLDERS = ("simulator", "codecs", "channels", "experiments")
LEFT_OUT = "semlink/codecs/weights/prior-"  # of codecs that need minutes a picture
SKIPPED = shutil.ignore_patterns("__pycache__", "*.pyc", ".*")


def settings() -> configparser.ConfigParser:
    """setup.cfg."""
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def requirements() -> list[Requirement]:
    """What the package and its extras ask for."""
    config = settings()
    lists = [config["options"]["install_requires"], *config["options.extras_require"].values()]
    return [Requirement(line) for text in lists for line in text.split("\n") if line]


def pins() -> dict[str, Requirement]:
    """The lines of constraints.txt by canonical name."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    found = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(r.name): r for r in found}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """A wheel built offline from a copy of the repository, tests and all."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in (*FOLDERS, "tests"):
        shutil.copytree(ROOT / name, source / name, ignore=SKIPPED)
    for name in ("setup.py", "setup.cfg", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    addition = source / "codecs" / "folder_codec"  # a codec may be a folder with weights of its own
    (addition / "weights").mkdir(parents=True)
    (addition / "__init__.py").write_text("PLUGIN = dict\n")
    (addition / "weights" / "own.safetensors").write_bytes(b"\0")
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run([*command, "-w", out, source], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return zipfile.ZipFile(next(out.glob("*.whl")))


def test_wheel_holds_every_file_of_the_package_and_nothing_else(wheel):
    inside = {n for n in wheel.namelist() if ".dist-info/" not in n}
    here = {
        f"semlink/{path.relative_to(ROOT).as_posix().replace('simulator/package/', '')}"
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and (path.suffix == ".py" or {"weights", "tables", "recipes"} & set(path.parts))
    }
    here = {name for name in here if not name.startswith(LEFT_OUT)}
    own = {"semlink/codecs/folder_codec/__init__.py", "semlink/codecs/folder_codec/weights/own.safetensors"}
    assert inside == here | own
    assert any(re.fullmatch(r"semlink/codecs/weights/.*\.safetensors", n) for n in inside)
    assert {"semlink/simulator/bits/tables/bler.json", "semlink/codecs/tables/rate_quality.json"} <= inside


def test_wheel_lists_plugins_with_the_standard_library_alone(wheel, tmp_path):
    wheel.extractall(tmp_path)
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import semlink.simulator\nfrom semlink import channels, codecs\n"
        "print(semlink.simulator.__file__, *codecs.names(), *channels.names())"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, tmp_path], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    file, *names = done.stdout.split()
    assert Path(file).is_relative_to(tmp_path)
    assert {"adjscc", "deepjscc", "digital", "digital_capacity", "folder_codec"} <= set(names)
    assert {"awgn", "rayleigh", "rician", "tdl"} <= set(names)


def test_weights_stay_small_and_each_has_its_card():
    weights = list((ROOT / "codecs" / "weights").rglob("*.safetensors"))
    assert sum(path.stat().st_size for path in weights) <= 70_000_000
    for path in weights:
        of_pipeline = path.parent.parent / "card.json"
        assert path.with_suffix(".json").is_file() or of_pipeline.is_file(), f"{path.name} has no card"


def test_the_wheel_stays_within_60_megabytes(wheel):
    assert 30_000_000 < sum(file.compress_size for file in wheel.infolist()) <= 60_000_000


def test_wheel_metadata_carries_licence_and_extras(wheel):
    folder = f"semlink-{settings()['metadata']['version']}.dist-info"
    metadata = wheel.read(f"{folder}/METADATA").decode()
    assert "License-Expression: Apache-2.0" in metadata
    assert f"{folder}/licenses/LICENSE" in wheel.namelist()
    extras = set(re.findall(r"^Provides-Extra: (.+)$", metadata, re.MULTILINE))
    assert extras == {"test", "lint", "docs", "zoo", "fid", "dask", "tensorboard"}


@pytest.mark.parametrize("name", sorted({canonicalize_name(r.name) for r in requirements()}))
def test_requirement_is_pinned_to_a_version_that_it_admits(name):
    pin = next(iter(pins()[name].specifier))
    assert pin.operator == "=="
    assert all(r.specifier.contains(pin.version) for r in requirements() if canonicalize_name(r.name) == name)


def test_pins_are_exact_public_and_sorted_by_use():
    assert all([s.operator for s in r.specifier] == ["=="] and not r.url for r in pins().values())
    assert not any("+" in str(r) or r.marker for r in pins().values()), "a local build exists on one platform only"
    assert str(pins()["torch"]) == "torch==2.13.0"


def test_changelog_describes_this_version():
    versions = re.findall(r"^## \[(\d[^]]*)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert versions[0] == settings()["metadata"]["version"]
