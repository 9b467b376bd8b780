"""experiments/train_hybrid.py learns, resumes, and leaves what `semlink:hybrid=` loads."""

import csv
import json
import multiprocessing.pool
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
from semlink.codecs.semlink.hybrid import pairs
from semlink.codecs.semlink.hybrid.pairs import Pair
from semlink.codecs.semlink.hybrid.training import StepSettings, even, log_error
from semlink.codecs.semlink.hybrid.training_pairs import central_crops, random_crops, split_pairs
from semlink.simulator import SemlinkError, TxInfo
from semlink.simulator.conformance.codec import noiseless, smooth_pictures


@pytest.fixture(scope="module")
def experiment() -> Iterator[ModuleType]:
    with loaded("train_hybrid") as module:
        yield module


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two sets, `photographs` and `thumbnails`; bases are coded without other processes, which would cost seconds."""
    monkeypatch.chdir(tmp_path)  # a path with `test` in it is no training set
    for name, side in (("photographs", 136), ("thumbnails", 32)):
        (tmp_path / name).mkdir()
        for i, picture in enumerate(smooth_pictures(52, side, side)):
            contact_sheet(picture[None], 1).save(tmp_path / name / f"{i:02d}.png")

    class Threads:
        Pool = staticmethod(multiprocessing.pool.ThreadPool)

    monkeypatch.setattr(pairs, "get_context", lambda method: Threads)


@pytest.fixture
def flags(experiment, folders) -> Any:
    return experiment.HybridFlags(
        out=Path("out"),
        data=("photographs",),
        variants=1,
        small_data=("thumbnails",),
        small_variants=2,
        groups=1,
        per_group=2,
        crop=32,
        steps=4,
        device="cpu",
    )


@pytest.mark.slow
def test_the_script_resumes_and_leaves_networks_that_semlink_loads(experiment, flags, capsys) -> None:
    assert experiment.main(replace(flags, steps=2)) == 0
    assert experiment.main(flags) == 0, "continues"
    rows = list(csv.DictReader((flags.out / "curve.csv").open()))
    assert [row["step"] for row in rows] == ["2", "4"]
    levels = [f"{kind}psnr_{at}" for kind in ("", "small_") for at in ("1dB_1/24", "10dB_1/24", "10dB_1/6")]
    assert list(rows[0]) == ["step", "seconds", *levels]
    assert all(10 < float(rows[1][name]) < 60 for name in levels)
    assert float(rows[1]["psnr_10dB_1/6"]) > float(rows[1]["psnr_1dB_1/24"])
    card = json.loads((flags.out / "card.json").read_text())
    assert card["steps"] == 4 and card["recipe"]["groups"] == 1 and "pairs" not in card["recipe"]
    assert set(card["held_out"]) == set(levels) and "psnr_10dB_1/6" in capsys.readouterr().out
    codec = codecs.create("semlink", rho=1 / 6, hybrid=flags.out / "weights.safetensors")
    images = smooth_pictures(1, 64, 64)
    assert codec.decode(noiseless(codec.encode(images, TxInfo(snr_db=10.0)))).shape == images.shape


def test_photographs_alone_and_a_start_from_weights(experiment, flags) -> None:
    alone = replace(flags, small_data=(), steps=1, out=Path("alone"))
    assert experiment.main(alone) == 0
    assert not any(name.startswith("small_") for name in json.loads(Path("alone/card.json").read_text())["held_out"])
    start = alone.out / "weights.safetensors"
    assert experiment.main(replace(alone, init=start, out=Path("next"), pairs=Path("alone/pairs"))) == 0
    assert not Path("next/pairs").exists(), "bases are those of the first run"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": "huge"}, "unknown size 'huge'; known: compact, base"),
        ({"data": ("kodak",)}, "a test set is not for training"),
        ({"small_data": ("cifar10",)}, "a test set is not for training"),
    ],
)
def test_wrong_flags_are_refused(experiment, flags, change, message) -> None:
    with pytest.raises(SemlinkError, match=message):
        experiment.main(replace(flags, **change))


def test_all_variants_of_a_picture_are_held_out(folders) -> None:
    split = split_pairs(("thumbnails",), Path("pairs"), 3, seed=0)
    assert len(split.train) == 3 * 50 and len(split.held_out) == 3 * 2
    assert not any(torch.equal(own.picture, held.picture) for own in split.train for held in split.held_out)
    again = split_pairs(("thumbnails",), Path("pairs"), 3, seed=9)
    assert all(torch.equal(a.base, b.base) for a, b in zip(split.train, again.train, strict=True)), "kept"


def test_crops_keep_picture_and_base_together() -> None:
    """A picture that tells its place, and a base that is its complement."""
    place = torch.arange(64, dtype=torch.uint8).expand(3, 48, 64)
    pair = Pair(place, 255 - place, 0.5)
    for crops in (
        random_crops([pair], 3, 2, 16, True, torch.Generator().manual_seed(0)),
        central_crops([pair, pair], 16),
    ):
        assert torch.allclose(crops.pictures + crops.base, torch.ones(()))
        assert set(crops.bpp.tolist()) == {0.5} and set(crops.small.tolist()) == {1.0}
    assert central_crops([pair], 16).pictures[0, 0, 0, 0] * 255 == 24
    assert central_crops([pair], 48).small.tolist() == [0.0]


def test_numbers_of_symbols_and_errors() -> None:
    assert [even(rate, 192) for rate in (1 / 192, 1 / 6, 1e-9)] == [2, 64, 2]
    received, pictures = torch.zeros(4, 3, 8, 8), torch.full((4, 3, 8, 8), 0.1)
    received[2:] = 0.1
    expected = (torch.tensor([0.01, 0.0]) + 1e-5).log().mean()
    assert log_error(received, pictures, 2) == pytest.approx(expected.item(), rel=1e-5)
    assert StepSettings().snr_db == (-3.0, 20.0)
