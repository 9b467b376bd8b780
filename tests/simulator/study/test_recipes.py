"""Recipe files: defaults of flags from JSON, cards as recipes, overrides for a GPU, plain errors."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from scripts import loaded

from semlink import codecs
from semlink.simulator.errors import SemlinkError
from semlink.simulator.study.cli import read


@dataclass(frozen=True)
class Given:
    """Flags of a test."""

    recipe: Path | None = None
    out: Path = Path("results/none")
    data: tuple[str, ...] = ("samples",)
    batch: int = 4
    snr: tuple[float, float] = (0.0, 1.0)
    init: Path | None = None


def recipe(folder: Path, said: object) -> str:
    (folder / "recipe.json").write_text(json.dumps(said))
    return str(folder / "recipe.json")


def test_a_recipe_gives_defaults_and_flags_override_it(tmp_path) -> None:
    path = recipe(tmp_path, {"batch": 16, "data": ["kodak", "mine"], "out": "somewhere", "snr": [-3, 16]})
    flags = read(Given(), ["--recipe", path, "--batch", "8"])
    assert flags == Given(Path(path), Path("somewhere"), ("kodak", "mine"), 8, (-3, 16))
    assert read(Given(), ["--batch", "8"]) == Given(batch=8)


def test_a_card_is_a_recipe(tmp_path) -> None:
    path = recipe(tmp_path, {"recipe": {"batch": 16, "init": "w.safetensors"}, "commit": "1234567"})
    flags = read(Given(), ["--recipe", path])
    assert flags.batch == 16 and flags.init == Path("w.safetensors")


@pytest.mark.parametrize(("gpu", "batch"), [(False, 16), (True, 64)])
def test_a_gpu_has_its_own_sizes(tmp_path, monkeypatch, gpu: bool, batch: int) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    assert read(Given(), ["--recipe", recipe(tmp_path, {"batch": 16, "cuda": {"batch": 64}})]).batch == batch


def test_what_is_no_recipe(tmp_path) -> None:
    with pytest.raises(SemlinkError, match="unknown flag 'bacth'; known: recipe, out, data"):
        read(Given(), ["--recipe", recipe(tmp_path, {"bacth": 16})])
    with pytest.raises(SemlinkError, match="JSON object of flags"):
        read(Given(), ["--recipe", recipe(tmp_path, [1, 2])])
    with pytest.raises(SemlinkError, match="no such recipe"):
        read(Given(), ["--recipe", str(tmp_path / "none.json")])
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(SemlinkError, match="JSON object of flags"):
        read(Given(), ["--recipe", str(tmp_path / "broken.json")])


def test_shipped_recipes_are_flags_of_their_training_scripts() -> None:
    folder = Path(__file__).parents[3] / "experiments" / "recipes"
    hybrid = set(folder.glob("*hybrid*.json"))
    assert hybrid and hybrid < set(folder.glob("*.json"))
    with loaded("train_hybrid") as train:
        for path in hybrid:
            assert read(train.HybridFlags(), ["--recipe", str(path)]).small_data == ("cifar10-train",)
    with loaded("train") as train:
        for path in set(folder.glob("*.json")) - hybrid:
            flags = read(train.TrainFlags(), ["--recipe", str(path)])
            assert flags.codec.split(":")[0] in codecs.names() and flags.data != ("cifar10",)
