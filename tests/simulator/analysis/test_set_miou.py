"""mIoU of a set: the formula against the confusion of all pixels, and intervals that hold the truth often enough."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from semlink.simulator import SemlinkError
from semlink.simulator.analysis import set_miou
from semlink.simulator.analysis.statistics import NOTHING
from semlink.simulator.metrics import of_set
from semlink.simulator.metrics.segmentation import confusion, iou, mean_iou, mean_iou_of_present, overlaps
from semlink.simulator.records.rows import Measurement
from semlink.simulator.records.store import Condition

CLASSES = ("sky", "road", "car")


def maps(seed: int, images: int, right: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Labels, of mostly two classes and a rare third, and predictions of which a share is right."""
    g = torch.Generator().manual_seed(seed)
    labels = torch.multinomial(torch.tensor([0.6, 0.37, 0.03]), images * 400, True, generator=g).reshape(images, 20, 20)
    wrong = torch.rand(labels.shape, generator=g) > right
    return torch.where(wrong, torch.randint(3, labels.shape, generator=g), labels), labels


def measured(predicted: torch.Tensor, labels: torch.Tensor, first: int = 0) -> Measurement:
    hits, unions = (part.double().numpy() for part in overlaps(confusion(predicted, labels, 3)))
    places = tuple(range(first, first + len(labels)))
    values = of_set.columns("miou_truth", CLASSES, hits, unions)
    return Measurement(Condition("codec", 0.1, "awgn", 0.0), "perfect", tuple(map(str, places)), places, values)


def test_the_set_counts_all_its_pixels_once():
    predicted, labels = maps(0, 12, 0.8)
    found = set_miou.interval(measured(predicted, labels), "miou_truth")
    assert found.mean == pytest.approx(float(mean_iou(confusion(predicted, labels, 3).sum(0)))) and found.n == 12
    assert found.low < found.mean < found.high


def test_a_class_that_never_occurs_is_left_out():
    hits, unions = np.array([[3.0, 0, 0], [0, 0, 0]]), np.array([[4.0, 2, 0], [0, 0, 0]])
    assert set_miou.set_miou(hits, unions) == pytest.approx([0.375, np.nan], nan_ok=True)


def test_differences_are_paired_and_narrower_than_the_values():
    (better, labels), (worse, same) = maps(1, 30, 0.8), maps(1, 30, 0.75)
    assert torch.equal(labels, same)
    first, second = measured(better, labels), measured(worse, labels)
    found = set_miou.difference(first, second, "miou_truth")
    values = [set_miou.interval(m, "miou_truth") for m in (first, second)]
    assert found.mean == pytest.approx(values[0].mean - values[1].mean) and found.low > 0
    assert found.high - found.low < sum(v.high - v.low for v in values)
    assert set_miou.difference(first, first, "miou_truth").high == 0


def test_only_common_pictures_are_compared():
    predicted, labels = maps(2, 8, 0.8)
    early, late = measured(predicted[:6], labels[:6]), measured(predicted[3:], labels[3:], first=3)
    found = set_miou.difference(early, late, "miou_truth")
    assert found.n == 3 and found.mean == found.low == found.high == 0
    with pytest.raises(SemlinkError, match="share no picture"):
        set_miou.difference(measured(predicted[:2], labels[:2]), late, "miou_truth")
    assert set_miou.interval(early, "miou_sent") == NOTHING == set_miou.difference(early, late, "miou_sent")


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    truth = set_miou.interval(measured(*maps(99, 1500, 0.8)), "miou_truth").mean
    found = [set_miou.interval(measured(*maps(seed, 40, 0.8)), "miou_truth") for seed in range(100, 160)]
    assert 50 <= sum(i.low <= truth <= i.high for i in found) <= 60


def test_a_picture_counts_the_classes_that_it_shows():
    labels = torch.tensor([[[0, 0], [1, 1]]])
    predicted = torch.tensor([[[0, 2], [1, 1]]])
    counts = confusion(predicted, labels, 3)
    assert float(mean_iou_of_present(counts)) == pytest.approx((0.5 + 1) / 2)
    assert float(mean_iou(counts)) == pytest.approx((0.5 + 1 + 0) / 3)
    ignored = confusion(predicted, torch.full_like(labels, 9), 3, ignore=9)
    assert mean_iou_of_present(ignored).isnan().all()


def test_its_variables_describe_themselves():
    (name, *_) = of_set.columns("miou_sent", CLASSES, np.ones((1, 3)), np.ones((1, 3)))
    assert of_set.is_part(name) and "sky" in of_set.describe(name).label
    assert of_set.describe("miou_sent_of_set").better == "higher" and not of_set.is_part("miou_sent_of_set")
    assert of_set.describe("psnr") is None


def test_the_region_alone_has_the_miou_of_its_classes() -> None:
    predicted, labels = maps(0, 12, 0.8)
    whole = measured(predicted, labels)
    values = of_set.of_classes(whole.values, CLASSES[1:])
    assert all(of_set.is_part(name) for name in values) and len(values) == 4
    found = set_miou.interval(replace(whole, values=values), "miou_region")
    assert found.mean == pytest.approx(float(iou(confusion(predicted, labels, 3).sum(0))[1:].mean()))
    assert "classes of the region" in of_set.describe("miou_region_of_set").label
