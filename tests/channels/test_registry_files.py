"""Plug-ins that are installed nowhere: a class by its file."""

from pathlib import Path

import pytest

from semlink import codecs
from semlink.channels.base.registry import UnknownName
from semlink.simulator.errors import SemlinkError
from semlink.simulator.study.checks import check_codecs
from semlink.simulator.words import Word, parse, with_settings

SOURCE = """
from dataclasses import dataclass

@dataclass
class Half:
    rho: float
    gain: float = 0.5
    encodes_on = "nothing"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "of_mine.py"
    path.write_text(SOURCE)
    return path


def test_a_class_of_a_file_is_made_once(file: Path) -> None:
    first = codecs.create(f"{file}:Half", rho=0.25, gain=2.0)
    assert (first.rho, first.gain) == (0.25, 2.0)
    assert type(codecs.create(f"{file}:Half", rho=0.5)) is type(first), "loaded once"


def test_its_word_has_settings_like_any_other() -> None:
    word = parse("path/of_mine.py:Half:gain=2,name=x")
    assert word == Word("path/of_mine.py:Half", (("gain", 2), ("name", "x")))
    assert str(word) == "path/of_mine.py:Half:gain=2,name=x" and word.file == "path/of_mine.py"
    assert with_settings("of_mine.py:Half", gain=3) == "of_mine.py:Half:gain=3"
    assert parse("digital:source=webp").file == ""


def test_what_is_wrong_is_told_before_anything_runs(file: Path) -> None:
    check_codecs([f"{file}:Half:gain=2"])
    for word, told in (
        (f"{file}x.py:Half", "there is no file"),
        (f"{file}:Half:gian=2", "did you mean 'gain'"),
        (f"{file}:Half:gain=much", "must be a finite number"),
    ):
        with pytest.raises(SemlinkError, match=told):
            check_codecs([word])
    with pytest.raises(UnknownName, match="unknown class 'Halv'; did you mean 'Half'"):
        codecs.create(f"{file}:Halv", rho=0.5)


def test_a_file_that_fails_to_load_is_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "broken.py"
    path.write_text("raise RuntimeError('not yet')")
    with pytest.raises(RuntimeError, match="not yet"):
        codecs.create(f"{path}:Half", rho=0.5)
    path.write_text(SOURCE)
    assert codecs.create(f"{path}:Half", rho=0.5).gain == 0.5
