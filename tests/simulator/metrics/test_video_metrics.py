"""Metrics of clips on clips whose values are known."""

import numpy as np
import pytest
import torch

from semlink.simulator.errors import SemlinkError
from semlink.simulator.metrics import video


def scene(side=48, seed=0):
    coarse = torch.rand(1, 3, 12, 12, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(coarse, (2 * side, 2 * side), mode="bicubic").clamp(0, 1)[0]


def panned(frames=6, step=2, side=48):
    large = scene(side)
    return torch.stack([large[:, 10 : 10 + side, step * t : step * t + side] for t in range(frames)])


def test_worst_is_the_fifth_percentile_on_the_bad_side():
    values = np.arange(101)
    assert video.worst(values) == 5
    assert video.worst(values, better="lower") == 95
    assert video.worst([float("nan"), 7.0]) == 7
    assert np.isnan(video.worst([]))


def test_the_source_itself_moves_as_the_source():
    x = panned()
    sums = video.motion(x, x).numpy()
    assert video.energy_ratio(sums) == pytest.approx(1)
    assert video.correlation(sums) == pytest.approx(1)
    assert video.change_error(x, x).max() == 0


def test_a_still_clip_does_not_pass():
    x = panned()
    sums = video.motion(x, x[:1].expand_as(x)).numpy()
    assert video.energy_ratio(sums) == 0
    assert video.correlation(sums) == 0
    assert video.frozen(x[:1].expand_as(x)).all() and not video.frozen(x).any()


def test_half_of_the_motion_is_a_quarter_of_its_energy():
    x = panned()
    half = x.mean(0, keepdim=True) + 0.5 * (x - x.mean(0, keepdim=True))
    sums = video.motion(x, half).numpy()
    assert video.energy_ratio(sums) == pytest.approx(0.25, rel=1e-5)
    assert video.correlation(sums) == pytest.approx(1, rel=1e-5)


def test_independent_noise_adds_its_energy_and_takes_correlation():
    x = panned(8)
    noise = 0.05 * torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    sums = video.motion(x, x + noise).numpy()
    xx = float(sums[:, 0].sum())
    added = 2 * 0.05**2 * x[0].numel() * 7  # the variance of a difference is twice that of the noise
    assert video.energy_ratio(sums) == pytest.approx(1 + added / xx, rel=0.05)
    assert video.correlation(sums) == pytest.approx((1 + added / xx) ** -0.5, rel=0.05)


def test_seams_are_told_from_the_inside():
    errors = np.ones(11)
    errors[3::4] = 2.5  # the change into frames 4, 8
    assert video.seam_ratio(errors, 4) == pytest.approx(2.5)
    assert np.isnan(video.seam_ratio(errors, 1))
    errors[3] = 100  # a cut at 4 is no seam
    assert video.seam_ratio(errors, 4, cuts=(4,)) == pytest.approx(2.5)


def test_after_cuts_takes_ten_frames_of_each():
    values = np.zeros(40)
    values[12:22] = 30
    assert video.after_cuts(values, (12,)) == 30
    assert video.after_cuts(values, (12, 35)) == pytest.approx(20)
    assert np.isnan(video.after_cuts(values, ()))


def test_flow_of_a_pan_is_its_speed_and_explains_it():
    x = panned(2, step=2)
    field, holds = video.flow(x[0], x[1])
    inner = field[:, 8:-8, 8:-8]
    assert float(inner[1].median()) == pytest.approx(2, abs=0.2)
    assert float(inner[0].median()) == pytest.approx(0, abs=0.2)
    assert holds.float().mean() > 0.7
    unmoved = float((x[1] - x[0]).double().square().mean())
    assert video.warping_error(x[0], x[1], field, holds) < 0.1 * unmoved


def test_flicker_is_warping_error_and_stillness_is_not():
    x = panned(2)
    field, holds = video.flow(x[0], x[1])
    own = video.warping_error(x[0], x[1], field, holds)
    brighter = (x[1] + 0.1).clamp(0, 1)
    assert video.warping_error(x[0], brighter, field, holds) > 5 * own
    grey = torch.full_like(x, 0.5)
    assert video.warping_error(grey[0], grey[1], field, holds) == pytest.approx(0, abs=1e-12)


def test_tlp_is_zero_for_the_same_change_and_not_for_none():
    x = panned(3, step=6, side=64)
    assert video.tlp(x, x).max() == 0
    assert video.tlp(x, x[:1].expand_as(x)).min() > 0


def test_shapes_that_differ_are_refused():
    with pytest.raises(SemlinkError, match="two or more frames"):
        video.motion(panned(2), panned(3))
