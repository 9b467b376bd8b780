"""experiments/train_level.py learns, resumes, and leaves what `sgd_jscc:level=blind` loads."""

import csv
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from scripts import loaded

from semlink import codecs
from semlink.codecs._diffusion.sampling import contact_sheet
from semlink.codecs.sgd_jscc.blind import LevelNetwork, alpha_of, level_network, noisy, unit_power
from semlink.codecs.sgd_jscc.latent import LatentNetwork
from semlink.simulator import SemlinkError
from semlink.simulator.conformance.codec import smooth_pictures
from semlink.simulator.training.run import save_weights


@pytest.fixture(scope="module")
def experiment() -> Iterator[ModuleType]:
    with loaded("train_level") as module:
        yield module


@pytest.fixture
def flags(experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)  # a path with `test` in it is no training set
    (tmp_path / "pictures").mkdir()
    for i, picture in enumerate(smooth_pictures(20, 32, 32)):
        contact_sheet(picture[None], 1).save(tmp_path / "pictures" / f"{i}.png")
    torch.manual_seed(0)
    save_weights(LatentNetwork(7, (16, 16), (1, 1)), tmp_path / "weights.safetensors", {})
    return experiment.LevelFlags(
        out=tmp_path / "out",
        data=("pictures",),
        codec="sgd_jscc:weights=weights.safetensors",
        crop=32,
        steps=4,
        batch=4,
        copies=2,
    )


def test_the_script_leaves_an_estimator_that_sgd_jscc_loads(experiment, flags, capsys) -> None:
    assert experiment.main(replace(flags, steps=2)) == 0
    assert experiment.main(flags) == 0, "continues"
    assert "mean |error| of the SNR on held-out pictures" in capsys.readouterr().out
    rows = list(csv.DictReader((flags.out / "curve.csv").open()))
    assert [row["step"] for row in rows] == ["2", "4"]
    card = json.loads((flags.out / "card.json").read_text())
    assert card["steps"] == 4 and set(card["held_out_mean_error_db_by_snr"]) == {"-5", "0", "5", "10", "15"}
    codec = codecs.create("sgd_jscc", level="blind", estimator=flags.out / "weights.safetensors")
    assert isinstance(level_network(codec.estimator, 2 * codec.planes), LevelNetwork)
    with pytest.raises(SemlinkError, match="estimates levels of 14 planes, not 28"):
        level_network(codec.estimator, 28)


def test_more_steps_find_the_level_better(experiment, flags) -> None:
    """On the latent of smooth pictures, whatever its network: after 80 steps the error is much smaller."""
    flags = replace(flags, batch=8, copies=4, lr=1e-2, ema=0.8)
    experiment.main(replace(flags, steps=1, out=flags.out / "short"))
    experiment.main(replace(flags, steps=80, out=flags.out / "long"))
    first, last = (total(flags.out / name / "curve.csv") for name in ("short", "long"))
    assert last < 0.6 * first, (first, last)


def total(curve: Path) -> float:
    """Sum of the errors at all levels in the last line of a curve."""
    *_, row = csv.DictReader(curve.open())
    return sum(float(value) for name, value in row.items() if name.startswith("error_db_at_"))


def test_noisy_states_have_the_level_and_the_power_that_are_told() -> None:
    x0 = torch.randn(3, 14, 64, 64, generator=torch.Generator().manual_seed(0))
    snr_db = torch.tensor([-5.0, 5.0, 15.0])
    states = noisy(x0, snr_db, torch.Generator().manual_seed(1))
    assert torch.allclose(states.square().mean((1, 2, 3)), torch.ones(3), atol=1e-4)
    shares = (states * x0).mean((1, 2, 3)) / x0.square().mean((1, 2, 3))
    assert torch.allclose(shares, alpha_of(snr_db).sqrt(), atol=0.01)
    assert torch.allclose(alpha_of(torch.tensor([0.0, 10.0])), torch.tensor([1 / 2, 10 / 11]))
    assert not unit_power(torch.zeros(1, 2, 4, 4)).any(), "nothing stays nothing"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"crop": 40}, "--crop 40"),
        ({"copies": 0}, "--copies 0"),
        ({"codec": "adjscc"}, "'adjscc' estimates no level"),
        ({"data": ("kodak",)}, "a test set is not for training"),
    ],
)
def test_wrong_flags_are_refused(experiment, flags, change, message) -> None:
    with pytest.raises(SemlinkError, match=message):
        experiment.main(replace(flags, **change))
