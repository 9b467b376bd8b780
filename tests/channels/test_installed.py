"""Entry points: read once, and again when something is installed."""

from importlib import metadata

import pytest

from semlink.channels.base import installed as module
from semlink.channels.base.installed import installed


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A place where packages are installed, of which there are none yet."""
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def install(folder, name):
    """A package with one plug-in of that name."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[semlink.tried]\n{name} = some.module:Thing\n")


def test_what_is_installed_later_is_found(folder):
    assert installed("semlink.tried") == ()
    for names in (["one"], ["one", "two"]):
        install(folder, names[-1])
        assert sorted(point.name for point in installed("semlink.tried")) == names
    assert installed("semlink.other") == ()


def test_packages_are_read_once_for_a_group(folder, monkeypatch):
    reads = []
    monkeypatch.setattr(module, "entry_points", lambda group: reads.append(group) or ())
    for _ in range(3):
        installed("semlink.codecs")
        installed("semlink.channels")
    assert reads == ["semlink.codecs", "semlink.channels"]
    install(folder, "three")
    installed("semlink.codecs")
    assert reads[2:] == ["semlink.codecs"]


def test_they_are_those_that_python_finds():
    assert set(installed("console_scripts")) == set(metadata.entry_points(group="console_scripts"))
