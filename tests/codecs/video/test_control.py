"""Rough colours: what is told comes back, where motion fails it mends, any bytes can be read."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from semlink.codecs.video import _control, _control_code, _offers
from semlink.codecs.video._control_code import LIMIT
from semlink.codecs.video._offers import Offer, controlled


def drawn(rng, shape, share, most=6):
    values = rng.integers(1, most + 1, shape) * rng.choice([-1, 1], shape)
    return values * (rng.random(shape) < share)


@pytest.mark.parametrize("share", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("shape", [(3, 1, 1), (3, 9, 16)])
def test_what_is_packed_comes_back(shape, share):
    numbers = drawn(np.random.default_rng(0), shape, share, LIMIT)
    assert (_control_code.unpack(_control_code.pack(numbers), *shape) == numbers).all()


def test_numbers_that_stand_together_are_cheaper_than_scattered_ones():
    """And both cost less than a bit a cell, the entropy of sparse ones: n H(p) and the digits."""
    rng = np.random.default_rng(0)
    apart = drawn(rng, (3, 16, 16), 0.06, 1)
    together = np.zeros_like(apart)
    together[:, 2:6, 3:7] = rng.choice([-1, 1], (3, 4, 4))
    p = (apart != 0).mean()
    entropy = apart.size * -(p * np.log2(p) + (1 - p) * np.log2(1 - p)) / 8
    assert len(_control_code.pack(together)) < 0.7 * len(_control_code.pack(apart))
    assert len(_control_code.pack(apart)) < 1.25 * (entropy + (apart != 0).sum() / 8) + 6
    assert len(_control_code.pack(np.zeros((3, 16, 16), int))) <= 4


@pytest.mark.parametrize("seed", range(10))
def test_any_bytes_can_be_read(seed):
    rng = np.random.default_rng(seed)
    found = _control.unpack(rng.bytes(int(rng.integers(0, 60))), 64, 48)
    assert found.shape == (3, 8, 6) and np.abs(found).max() <= LIMIT


def test_too_much_is_refused():
    with pytest.raises(ValueError, match="more than 31"):
        _control_code.pack(np.full((1, 1, 1), LIMIT + 1))


def test_what_is_told_leaves_at_most_a_dead_zone():
    """Mean colours of cells come out within half a step and the dead zone, in luma and both colours."""
    now, guess = torch.rand(2, 1, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 0.2 + 0.4
    now = now + F.interpolate(torch.randn(1, 3, 4, 4, generator=torch.Generator().manual_seed(1)) * 0.2, scale_factor=8)
    for kind in (_control.COARSE, _control.FINE):
        cells = _control.change(_control.differences(now, guess, kind), kind)
        left = F.avg_pool2d(_control.opponent(now - guess), 8) - _control.opponent(cells)
        assert float(left.abs().max()) <= (0.5 + _control.DEAD) * _control.STEPS[kind] + 1e-6


def test_it_mends_what_motion_cannot_tell():
    before = torch.full((1, 3, 64, 64), 0.5)
    before[:, :, ::4] = 0.3
    now = before.clone()
    now[:, 0, 16:48, 16:48] = 0.9  # something red has come
    plain = Offer(_offers.HOLD, b"", 1.0)
    coarse, fine = controlled(now, before, plain)
    assert fine.innovation < coarse.innovation < 0.4
    assert len(coarse.body) < len(fine.body) < 60


@pytest.mark.parametrize("size", [0, 1, 254, 255, 700])
def test_motion_and_control_part_again(size):
    motion, control = bytes(range(256)) * 3, b"control"
    offer = Offer(4, motion[:size], 0.1, _control.FINE, control)
    assert _offers.parted(offer.body, _control.FINE) == (motion[:size], control)
    plain = Offer(4, motion[:size], 0.1)
    assert _offers.parted(plain.body, _control.NONE) == (motion[:size], b"")


@pytest.mark.parametrize("body", [b"", b"\xff", b"\xff\x01", b"\x05ab"])
def test_bodies_that_are_cut_off_are_read(body):
    motion, control = _offers.parted(body, _control.COARSE)
    assert len(motion) + len(control) <= len(body)
