"""experiments/train_diffusion.py learns, resumes, and leaves what `ddnm` loads."""

import csv
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from PIL import Image
from scripts import loaded

from semlink import codecs
from semlink.codecs._diffusion.networks import make_scheduler, make_unet
from semlink.codecs._diffusion.sampling import contact_sheet, sample
from semlink.codecs._diffusion.training import DenoiserRun, Examples
from semlink.simulator import SemlinkError, TxInfo
from semlink.simulator.conformance.codec import noiseless, smooth_pictures
from semlink.simulator.training.run import Budget


@pytest.fixture(scope="module")
def experiment() -> Iterator[ModuleType]:
    with loaded("train_diffusion") as module:
        yield module


@pytest.fixture
def flags(experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)  # a path with `test` in it is no training set
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i, picture in enumerate(smooth_pictures(20, 32, 32)):
        contact_sheet(picture[None], 1).save(folder / f"{i}.png")
    return experiment.DiffusionFlags(
        out=tmp_path / "out", data=("pictures",), crop=32, patch=4, widths=(32, 32), steps=4, batch=4
    )


def test_a_denoiser_learns(tmp_path) -> None:
    """States that are all the same constant: the more noise, the more a network can learn about them."""
    torch.manual_seed(0)
    x0 = torch.ones(16, 2, 8, 8)
    written: list[Path] = []
    run = DenoiserRun(
        make_unet(2, (32, 32), side=8),
        make_scheduler(),
        lambda generator: Examples(x0),
        Examples(x0),
        lambda network, folder: written.append(folder),
        Budget(steps=30, batch=16, lr=3e-3, ema=0.8, warm_up=1),
        tmp_path,
    )
    before = run.levels(quick=False)
    run.spend()
    after = run.levels(quick=False)
    gains = {name: before[name] - after[name] for name in before}
    assert gains["error_db_at_0.1"] > 10 and gains["error_db_at_0.3"] > 8 and gains["error_db_at_0.6"] > 4, gains
    run.save(after)
    assert written == [tmp_path]


def test_conditions_reach_the_network() -> None:
    torch.manual_seed(0)
    network = make_unet(2, (32, 32), hints=1, classes=3, side=8).eval()
    x, hints = torch.randn(1, 3, 8, 8).split([2, 1], 1)
    steps = torch.tensor([10])
    with torch.no_grad():
        outputs = [
            network(torch.cat([x, plane], 1), steps, class_labels=torch.tensor([label])).sample
            for plane, label in ((hints, 0), (0 * hints, 0), (hints, 3))
        ]
    assert outputs[0].shape == x.shape
    assert not torch.allclose(outputs[0], outputs[1]) and not torch.allclose(outputs[0], outputs[2])


def test_samples_are_reproducible() -> None:
    network = make_unet(3, (32, 32), side=8).eval()
    one, other = (
        sample(network, make_scheduler(), (2, 3, 8, 8), 3, torch.Generator().manual_seed(0)) for _ in range(2)
    )
    assert torch.equal(one, other) and bool(torch.isfinite(one).all())


def test_the_script_leaves_a_prior_that_ddnm_loads(experiment, flags, capsys) -> None:
    assert experiment.main(replace(flags, steps=2)) == 0
    assert experiment.main(flags) == 0, "continues"
    assert "error of held-out pictures" in capsys.readouterr().out
    rows = list(csv.DictReader((flags.out / "curve.csv").open()))
    assert [row["step"] for row in rows] == ["2", "4"]
    card = json.loads((flags.out / "card.json").read_text())
    assert card["steps"] == 4 and card["recipe"]["patch"] == 4 and set(card["held_out_error_db_by_alpha"]) > {"0.9"}
    assert Image.open(flags.out / "samples.png").size == (8 * 32, 4 * 32)
    codec = codecs.create("ddnm", rho=1 / 24, prior=flags.out / "pipeline", steps=2)
    images = smooth_pictures(2, 64, 64)
    assert codec.decode(noiseless(codec.encode(images, TxInfo(snr_db=20.0)))).shape == images.shape


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"crop": 36}, "--crop 36 is no multiple of 8"),
        ({"widths": (48,)}, "multiples of 32"),
        ({"data": ("kodak",)}, "a test set is not for training"),
        ({"codec": "adjscc"}, "'adjscc' has no denoiser to train"),
    ],
)
def test_wrong_flags_are_refused(experiment, flags, change, message) -> None:
    with pytest.raises(SemlinkError, match=message):
        experiment.main(replace(flags, **change))
