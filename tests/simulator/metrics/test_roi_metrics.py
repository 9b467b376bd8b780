"""theta-PSNR, PSNR by region and mIoU: definitions, hand cases, brute force, and maps of every awkward kind."""

import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from semlink.simulator import metrics
from semlink.simulator.errors import SemlinkError
from semlink.simulator.metrics.psnr import mse, psnr, psnr_roi, psnr_roni, theta_psnr
from semlink.simulator.metrics.segmentation import confusion, iou, mean_iou, miou

TRUTH = torch.tensor([[[0, 0, 1], [2, 1, 9]]])
GUESS = torch.tensor([[[0, 1, 1], [2, 2, 0]]])


def random_cases() -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Original, received and a mask of random shape that has both regions."""
    random = np.random.default_rng(1)
    for _ in range(20):
        batch, height, width = random.integers(1, 4), random.integers(2, 40), random.integers(2, 40)
        x = torch.from_numpy(random.random((batch, 3, height, width)))
        y = torch.from_numpy(random.random((batch, 3, height, width)))
        mask = torch.from_numpy(random.random((batch, height, width)) < random.random())
        mask[:, 0, 0], mask[:, 0, 1] = True, False
        yield x, y, mask


def test_regions_make_up_the_picture() -> None:
    for x, y, mask in random_cases():
        share = mask.double().mean((1, 2))
        inside, outside = (10 ** (-f(x, y, mask) / 10) for f in (psnr_roi, psnr_roni))
        assert torch.allclose(share * inside + (1 - share) * outside, mse(x, y))
        assert torch.allclose(theta_psnr(x, y, mask, share), psnr(x, y))


def test_theta_psnr_is_symmetric_and_between_its_regions() -> None:
    for x, y, mask in random_cases():
        value = theta_psnr(x, y, mask, 0.8)
        assert torch.allclose(value, theta_psnr(x, y, ~mask, 0.2))
        both = torch.stack([psnr_roi(x, y, mask), psnr_roni(x, y, mask)])
        assert (value >= both.amin(0) - 1e-9).all() and (value <= both.amax(0) + 1e-9).all()


def test_theta_psnr_of_one_pixel_empty_and_full_regions() -> None:
    x = torch.full((1, 3, 5, 7), 0.5)
    y = x.clone()
    y[:, :, 2, 3] += 0.1
    y[:, :, 0, 0] += 0.34
    mask = torch.zeros(1, 5, 7)
    mask[:, 2, 3] = 1
    outside = 0.34**2 / 34
    assert psnr_roi(x, y, mask).item() == pytest.approx(20, abs=1e-4)
    assert psnr_roni(x, y, mask).item() == pytest.approx(-10 * math.log10(outside), abs=1e-4)
    expected = -10 * math.log10(0.8 * 0.01 + 0.2 * outside)
    assert theta_psnr(x, y, mask, 0.8).item() == pytest.approx(expected, abs=1e-4)
    for whole in (torch.zeros_like(mask), torch.ones_like(mask)):
        assert torch.allclose(theta_psnr(x, y, whole, 0.8), psnr(x, y))


def test_miou_of_a_case_counted_by_hand() -> None:
    # class 0: 1 of {two true, one guessed}; class 1: 1 of {2 true, 2 guessed}; class 2: 1 of {1 true, 2 guessed}
    counts = confusion(GUESS, TRUTH, 4, ignore=9)
    assert counts[0].tolist() == [[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
    assert iou(counts)[0, :3].tolist() == pytest.approx([1 / 2, 1 / 3, 1 / 2])
    assert iou(counts)[0, 3].isnan()
    assert miou(GUESS, TRUTH, 4, ignore=9).tolist() == pytest.approx([(1 / 2 + 1 / 3 + 1 / 2) / 3])


def test_miou_is_one_zero_or_nothing() -> None:
    assert miou(TRUTH, TRUTH, 10).item() == 1
    assert miou((TRUTH == 0).long(), (TRUTH != 0).long(), 2).item() == 0
    assert miou(GUESS, torch.full_like(TRUTH, 9), 3, ignore=9).isnan().all()


def test_a_class_that_is_only_guessed_counts_as_zero() -> None:
    truth = torch.zeros(1, 2, 2, dtype=torch.long)
    guess = torch.tensor([[[0, 0], [0, 1]]])
    assert miou(guess, truth, 5).item() == pytest.approx((3 / 4 + 0) / 2)


def test_confusion_by_brute_force() -> None:
    random = torch.Generator().manual_seed(2)
    for classes in (1, 2, 7):
        truth = torch.randint(0, classes + 1, (3, 11, 6), generator=random)
        guess = torch.randint(0, classes, (3, 11, 6), generator=random)
        counts = confusion(guess.to(torch.uint8), truth.to(torch.uint8), classes, ignore=classes)
        for image in range(3):
            for row in range(classes):
                for column in range(classes):
                    expected = ((truth[image] == row) & (guess[image] == column)).sum()
                    assert counts[image, row, column] == expected


def test_miou_ignores_the_numbering_and_the_neighbours() -> None:
    random = torch.Generator().manual_seed(3)
    truth, guess = torch.randint(0, 5, (2, 4, 9, 8), generator=random)
    order = torch.randperm(5, generator=random)
    values = miou(guess, truth, 5)
    assert torch.allclose(values, miou(order[guess], order[truth], 5))
    assert torch.equal(values[2:3], miou(guess[2:3], truth[2:3], 5))


def test_miou_of_a_set_is_that_of_one_long_image() -> None:
    random = torch.Generator().manual_seed(4)
    truth, guess = torch.randint(0, 4, (2, 6, 5, 5), generator=random)
    whole = miou(guess.reshape(1, 30, 5), truth.reshape(1, 30, 5), 4)
    assert mean_iou(confusion(guess, truth, 4).sum(0)).item() == pytest.approx(whole.item())


@pytest.mark.parametrize(
    "guess, truth, message",
    [
        (GUESS, TRUTH, "labels: classes 0 to 9"),
        (GUESS + 8, TRUTH.clamp_max(2), "predicted map: classes 8 to 10"),
        (GUESS - 1, TRUTH.clamp_max(2), "predicted map: classes -1"),
        (GUESS.float(), TRUTH, "integers"),
        (GUESS, TRUTH == 1, "integers"),
        (GUESS[0], TRUTH[0], "batch, H, W"),
        (GUESS[:, :1], TRUTH, "batch, H, W"),
        (GUESS[:0], TRUTH[:0], "not empty"),
    ],
)
def test_refuses_what_is_no_class_map(guess: torch.Tensor, truth: torch.Tensor, message: str) -> None:
    with pytest.raises(SemlinkError, match=message):
        miou(guess, truth, 3)


def test_rows_know_the_names() -> None:
    for name in ("miou_truth", "miou_sent"):
        assert (metrics.describe(name).units, metrics.describe(name).better) == ("1", "higher")
    assert metrics.describe("miou_sent").label == "mIoU against the transmitted map"
