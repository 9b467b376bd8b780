"""What is said of a file that is not there."""

from pathlib import Path

import pytest

from semlink.channels.base.names import near_path


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("runs/rows.h6", "runs/rows.h5"),
        ("rnus/rows.h5", "runs"),
        ("runs/other.txt", ""),
        ("nothing/like/it", ""),
        ("runs/rows.h5", ""),
        ("runs/rows.h5/more", ""),
        ("x" * 5000, ""),
    ],
)
def test_what_lies_there_by_a_similar_name_is_asked_for(tmp_path: Path, asked: str, meant: str) -> None:
    """The first part of a path that is missing is compared; a file has nothing in it, and names may be too long."""
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "rows.h5").touch()
    assert near_path(tmp_path / asked) == (f"did you mean {str(tmp_path / meant)!r}? " if meant else "")
