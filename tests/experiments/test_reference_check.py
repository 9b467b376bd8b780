"""experiments/reference_check.py: what counts as the same, and that its sets are the committed ones."""

import math
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from scripts import EXPERIMENTS, loaded

from semlink.simulator import data
from semlink.simulator.records.rows import Measurement
from semlink.simulator.records.store import Condition

CONDITION = Condition("semlink", 1 / 12, "awgn", 10.0)
VALUES = {"psnr": np.array([30.0, 20.0]), "snr_measured_db": np.array([0.02, -0.01]), "decode_s": np.array([1.0, 2.0])}


@pytest.fixture(scope="module")
def experiment():
    with loaded("reference_check") as module:
        yield module


def measured(**values) -> Measurement:
    return Measurement(CONDITION, "perfect", ("a.png", "b.png"), (0, 1), {**VALUES, **values})


def test_every_committed_set_has_a_sample(experiment) -> None:
    assert {path.parent.name for path in (EXPERIMENTS.parent / "results/reference").glob("*/rows.h5")} == set(
        experiment.SAMPLES
    )


def test_times_do_not_count(experiment) -> None:
    slower = measured(decode_s=np.array([3.0, 4.0]))
    assert experiment.differences({CONDITION: slower}, {CONDITION: measured()}) == (0.0, "bit for bit")


@pytest.mark.parametrize(
    ("changed", "is_rounding"),
    [
        ({"psnr": np.array([30.0, 20.0 + 1e-5])}, True),
        ({"psnr": np.array([30.0, 20.01])}, False),
        ({"snr_measured_db": np.array([0.02 + 5e-6, -0.01])}, True),  # near 0 dB nothing is relative to the value
        ({"snr_measured_db": np.array([0.021, -0.01])}, False),
        ({"psnr": np.array([30.0, math.nan])}, False),
        ({"psnr": np.array([30.0])}, False),
        ({"ssim": np.array([0.9, 0.9])}, False),
    ],
)
def test_rounding_is_told_from_change(experiment, changed, is_rounding) -> None:
    largest, said = experiment.differences({CONDITION: measured(**changed)}, {CONDITION: measured()})
    assert largest > 0 and (largest <= experiment.ROUNDING) == is_rounding
    assert next(iter(changed)) in said and str(CONDITION) in said


def test_other_pictures_or_conditions_are_no_rounding(experiment) -> None:
    other = replace(measured(), positions=(0, 2))
    assert experiment.differences({CONDITION: other}, {CONDITION: measured()})[0] == math.inf
    assert experiment.differences({}, {CONDITION: measured()})[0] == math.inf


def test_departure_from_committed_rows_is_of_common_pictures_in_db(experiment) -> None:
    committed = Measurement(CONDITION, "perfect", ("a", "b", "c"), (0, 1, 2), {"psnr": np.array([30.0, 20.5, 99.0])})
    assert experiment.departure(measured(), committed) == pytest.approx(0.25)
    assert experiment.departure(measured(), None) is None
    assert experiment.departure(replace(measured(), positions=(0, 7)), committed) is None


def test_samples_of_whole_sets_begin_as_these_do(experiment, tmp_path, monkeypatch) -> None:
    """A limit would take pictures spread over the set, which meet other fades; labelled ones come with their maps."""
    monkeypatch.setenv("SEMLINK_DATA", str(tmp_path))
    for folder in ("test", "testannot"):
        (tmp_path / "camvid-drives" / folder).mkdir(parents=True)
        for k in range(6):
            Image.new("L", (4, 4), k).save(tmp_path / "camvid-drives" / folder / f"f{k}.png")
    (tmp_path / "camvid-drives" / "classes.json").write_text('["sky", "road", "car", "tree"]')
    found = experiment.first_pictures("roi", tmp_path / "out")
    pictures, maps = data.load(found["first"]), data.labels(found["first"], folder=found["maps"])
    assert [round(float(picture.mean()) * 255) for picture in pictures] == [0, 1, 2, 3]
    assert [int(maps[i].max()) for i in range(4)] == [0, 1, 2, 3]
    assert experiment.first_pictures("kodak", tmp_path / "out") == {}
    for name, command in experiment.SAMPLES.items():
        assert ("{first}" in command) == (name in experiment.FIRST), name
