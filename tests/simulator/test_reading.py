"""Files that users bring: whatever is wrong with one is said in a line, and what is no file is not waited for."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from semlink.codecs._diffusion.captions import FileCaptions, write_captions
from semlink.simulator import SemlinkError
from semlink.simulator.analysis.published import read_levels
from semlink.simulator.conformance.codec import smooth_pictures
from semlink.simulator.files import digest, read_json, reading
from semlink.simulator.records import rows
from semlink.simulator.study import recipes
from semlink.simulator.study.said import said
from semlink.simulator.training.tuning import read_tuning

PICTURES = smooth_pictures(1, 8, 8)
READERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "any JSON": ("a.json", lambda path: read_json(path, "no list")),
    "recipe": ("recipe.json", recipes._read),
    "run.json": ("run.json", lambda path: said(path.parent)),
    "captions": ("captions.json", lambda path: FileCaptions(str(path))(PICTURES)),
    "captions to add to": ("captions.json", lambda path: write_captions(path, PICTURES, ["a"])),
    "rows": ("rows.h5", rows.read),
    "tuned weights": ("w.safetensors", read_tuning),
}


@pytest.mark.parametrize("content", [b"[" * 100_000, b'{"a":' * 100_000, b"{", b"\xff\xfe\x00", b""], ids=repr)
@pytest.mark.parametrize(("name", "read"), READERS.values(), ids=READERS)
def test_a_damaged_file_is_one_line(tmp_path: Path, name: str, read: Callable[[Path], object], content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(SemlinkError) as caught:
        read(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("content", ["3", "[]", '"text"', "null"])
@pytest.mark.parametrize("reader", ["recipe", "run.json", "captions"])
def test_json_of_another_kind_is_one_line(tmp_path: Path, reader: str, content: str) -> None:
    name, read = READERS[reader]
    (tmp_path / name).write_text(content)
    with pytest.raises(SemlinkError, match=name):
        read(tmp_path / name)


@pytest.mark.parametrize("read", [read for _, read in READERS.values()] + [digest, read_levels])
def test_a_pipe_is_not_waited_for(tmp_path: Path, read: Callable[[Path], object]) -> None:
    name = next((name for name, own in READERS.values() if own is read), "pipe")
    os.mkfifo(tmp_path / name)
    with pytest.raises(SemlinkError, match="a folder, pipe or device, not a file"):
        read(tmp_path / name)


@pytest.mark.parametrize(
    "error", [AttributeError("x\ny"), RecursionError(), RuntimeError(""), OSError(5, "x"), KeyError(1)]
)
def test_whatever_a_library_raises_is_one_line(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(SemlinkError, match="f: broken; mend it [(].+[)]$"), reading(tmp_path / "f", "broken; mend it"):
        raise error


def test_missing_files_and_own_errors_pass(tmp_path: Path) -> None:
    for error in (FileNotFoundError("gone"), SemlinkError("said already")):
        with pytest.raises(type(error), match=str(error)), reading(tmp_path / "f", "broken"):
            raise error
