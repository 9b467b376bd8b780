"""Block motion: known shifts are found, and moving by them gives the frame."""

import pytest
import torch
import torch.nn.functional as F

from semlink.codecs.video._motion import block_motion, moved


def texture(side=64):
    """Grey, with the contrast of photographs, and smooth enough that half a pixel means something."""
    noise = torch.rand(1, 1, side, side, generator=torch.Generator().manual_seed(0)).expand(-1, 3, -1, -1)
    smooth = F.avg_pool2d(F.pad(noise, (3,) * 4, mode="circular"), 7, stride=1)
    return 0.5 + 0.2 * (smooth - smooth.mean()) / smooth.std()


@pytest.mark.parametrize("shift", [(0, 0), (3, -5), (-12, 7), (16, 16)])
def test_a_shift_is_found_in_the_middle(shift):
    before = texture(96)
    now = before.roll((-shift[0], -shift[1]), (2, 3))  # what is at p was at p + shift
    flow = block_motion(now, before)[..., 3:-3, 3:-3]
    expected = torch.tensor(shift, dtype=torch.float32)[None, :, None, None].expand_as(flow)
    assert torch.allclose(flow, expected, atol=0.1)


def test_half_a_pixel_is_found():
    fine = texture(192)
    whole = F.avg_pool2d(fine, 2)
    half = F.avg_pool2d(fine.roll(-1, 3), 2)
    flow = block_motion(half, whole)[..., 3:-3, 3:-3]
    assert flow[:, 1].mean() == pytest.approx(0.5, abs=0.12)
    assert flow[:, 0].abs().mean() < 0.1


def test_what_is_flat_stays():
    assert torch.equal(block_motion(torch.full((1, 3, 32, 32), 0.3), torch.full((1, 3, 32, 32), 0.4)),
                       torch.zeros(1, 2, 4, 4))  # fmt: skip


def test_moving_by_whole_pixels_is_a_shift_and_edges_go_on():
    frame = torch.rand(1, 3, 16, 16)
    flow = torch.zeros(1, 2, 2, 2)
    flow[:, 1] = 3
    found = moved(frame, flow)
    assert torch.allclose(found[..., :13], frame[..., 3:], atol=1e-5)
    assert torch.allclose(found[..., 13:], frame[..., 15:].expand(-1, -1, -1, 3), atol=1e-5)


def test_moving_by_what_was_found_brings_the_frame_nearer():
    before = texture(64)
    now = before.roll((-3, 2), (2, 3)) * 0.98
    error = (moved(before, block_motion(now, before)) - now).square().mean()
    assert error < 0.1 * (before - now).square().mean()
