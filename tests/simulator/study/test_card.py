"""Cards of training scripts: the recipe that the flags are, facts, and the commit, where there is one."""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from semlink.simulator.study import card


@dataclass(frozen=True)
class Flags:
    """A script's flags."""

    out: Path
    init: Path | None = Path("my") / "weights.safetensors"
    codec: str = "adjscc"
    widths: tuple[int, ...] = (8, 16)
    validate_every: float = 9.0
    threads: int = 3
    device: str = "cuda"


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A git checkout of one commit, whatever this machine's git is set to."""
    if not shutil.which("git"):
        pytest.skip("git is not installed")
    for name in ("GIT_DIR", "GIT_WORK_TREE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    own = tmp_path / "checkout"
    named = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    for command in (("init", "-q", str(own)), ("-C", str(own), *named, "commit", "-q", "--allow-empty", "-m", "x")):
        subprocess.run(["git", *command], check=True)
    return own


def test_the_commit_is_that_of_the_folder(checkout: Path) -> None:
    whole = subprocess.run(["git", "-C", str(checkout), "rev-parse", "HEAD"], capture_output=True, text=True).stdout
    assert len(card.commit(checkout)) >= 4 and whole.startswith(card.commit(checkout))
    assert card.commit(checkout.parent) == "not a git checkout"


def test_a_card_is_the_recipe_the_commit_and_the_facts(checkout: Path) -> None:
    script = checkout / "train.py"
    card.write_card(Flags(checkout), str(script), {"steps": 7, "levels": {"1": 2.5}}, dropped=("validate_every",))
    assert json.loads((checkout / "card.json").read_text()) == {
        "recipe": {"init": str(Path("my") / "weights.safetensors"), "codec": "adjscc", "widths": [8, 16]},
        "commit": card.commit(checkout),
        "steps": 7,
        "levels": {"1": 2.5},
    }


def test_hardware_says_how_many_threads() -> None:
    assert card.hardware(3).endswith(", 3 threads") and card.hardware(0).endswith(", all threads")
