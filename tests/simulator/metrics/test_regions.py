"""Quality by region: what each number means, images without a region, annotations found by their picture."""

import pytest
import torch

from semlink.simulator import SemlinkError
from semlink.simulator.metrics.psnr import psnr, theta_psnr
from semlink.simulator.metrics.regions import PSNRS, Judge, Segmenter, Truth, digest

CLASSES = ("dark", "bright")


def left(pictures: torch.Tensor) -> torch.Tensor:
    """The left half, unless a picture is black (nothing) or white (all) in its first pixel."""
    maps = torch.zeros(len(pictures), *pictures.shape[2:])
    maps[..., : maps.shape[-1] // 2] = 1
    first = pictures[:, :, 0, 0].mean(1)
    maps[first == 0] = 0
    maps[first == 1] = 1
    return maps


class Eyes:
    """Sees whether pixels are bright, and counts how often it looks."""

    def __init__(self) -> None:
        self.looks = 0

    def __call__(self, pictures: torch.Tensor) -> torch.Tensor:
        self.looks += len(pictures)
        return (pictures.mean(1) > 0.5).long()


@pytest.fixture
def pictures() -> torch.Tensor:
    return 0.1 + 0.8 * torch.rand(4, 3, 8, 12, generator=torch.Generator().manual_seed(0))


def worse(pictures: torch.Tensor) -> torch.Tensor:
    """An error of 0.1 in the left half, of 0.02 in the right one."""
    error = torch.full_like(pictures, 0.02)
    error[..., :6] = 0.1
    return (pictures + error * (pictures < 0.5) - error * (pictures >= 0.5)).clamp(0, 1)


def test_regions_are_measured_apart(pictures):
    found = Judge(left, theta=0.8).measure(PSNRS, pictures, received := worse(pictures))
    assert found["psnr_roi"] == pytest.approx(20, abs=1e-3) and found["psnr_roni"] == pytest.approx(33.979, abs=1e-3)
    assert torch.equal(found["theta_psnr"], theta_psnr(pictures, received, left(pictures), 0.8))
    assert set(Judge(left).names()) == set(PSNRS)


def test_an_image_without_a_region_speaks_for_no_codec(pictures):
    pictures[0, :, 0, 0], pictures[1, :, 0, 0] = 0, 1
    found = Judge(left).measure(PSNRS, pictures, received := worse(pictures))
    whole = psnr(pictures, received)
    assert found["psnr_roi"][0] == whole[0] == found["theta_psnr"][0] and found["psnr_roni"][1] == whole[1]
    assert found["psnr_roi"][2] != whole[2] and all(torch.isfinite(v).all() for v in found.values())


def test_miou_against_what_was_sent_and_against_the_annotation(pictures):
    eyes = Eyes()
    seen = eyes(pictures)
    annotated = seen.clone()
    annotated[:, 0] = 7  # nobody knows
    judge = Judge(
        left, 0.8, Segmenter(eyes, CLASSES), Truth(dict(zip(map(digest, pictures), annotated, strict=True)), 7)
    )
    assert judge.names() == (*PSNRS, "miou_truth", "miou_sent")
    same = judge.measure(("miou_truth", "miou_sent"), pictures, pictures)
    assert same["miou_truth"].tolist() == [1] * 4 == same["miou_sent"].tolist() and "psnr" not in same
    received = pictures.clone()
    received[:, :, 0] = 1 - received[:, :, 0]  # only where nobody knows
    found = judge.measure(("miou_truth", "miou_sent"), pictures[[2, 0]], received[[2, 0]])
    assert found["miou_truth"].tolist() == [1, 1] and (found["miou_sent"] < 1).all()
    assert found["miou_truth_union_dark"].tolist() == (seen[[2, 0], 1:] == 0).sum((1, 2)).tolist()
    assert (found["miou_sent_hits_dark"] < found["miou_sent_union_dark"]).all()


def test_originals_are_looked_at_once(pictures):
    judge = Judge(left, 0.8, Segmenter(eyes := Eyes(), CLASSES))
    for _ in range(3):
        judge.measure(("miou_sent",), pictures, worse(pictures))
    assert eyes.looks == 4 + 3 * 4


def test_what_cannot_be_measured_is_refused(pictures):
    with pytest.raises(SemlinkError, match="cannot measure miou_sent here; what can be: psnr"):
        Judge(left).measure(("miou_sent",), pictures, pictures)
    judge = Judge(left, 0.8, Segmenter(Eyes(), CLASSES), Truth({}))
    with pytest.raises(SemlinkError, match="none of those that were annotated"):
        judge.measure(("miou_truth",), pictures, pictures)
