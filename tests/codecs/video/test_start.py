"""Where generation starts: told errors, noise levels that grow with them, and the network's view."""

import pytest
import torch

from semlink.codecs.video._start import (
    LEVELS,
    MARGIN,
    PLANES,
    TOLD,
    Start,
    innovation_of,
    level_of,
)

HALF = 2 ** (1 / 8)  # half of a quarter of an octave


def start(innovation=0.1, heard=1.0, contrast=0.2):
    drawn = torch.randn(1, 3, 32, 48, generator=torch.Generator().manual_seed(0))
    return Start(0.5 + contrast * drawn, torch.zeros(1, 3, 4, 6), torch.zeros(1, 2, 2, 3), innovation, heard)


@pytest.mark.parametrize("innovation", [0.008, 0.02, 0.1, 0.33, 1.0, 1.5])
def test_told_innovations_are_within_half_a_step(innovation):
    told = innovation_of(level_of(innovation))
    assert innovation / HALF <= told * (1 + 1e-9) and told <= innovation * HALF * (1 + 1e-9)


def test_levels_fit_into_their_bits():
    assert LEVELS == 32 and {level_of(v) for v in (0.0, 1e-9, 5.0)} == {0, 31}


def test_noise_never_falls_with_what_is_off():
    """Check 7 of the design's ten."""
    shares = [0.0, 0.01, 0.05, 0.2, 0.7, 1.5]
    for hold in (0.0, 0.5, 1.0):
        by_innovation = [start(v, hold).noise for v in shares]
        by_anchor = [start(0.05, 1 - v / 1.5).noise for v in shares]
        assert by_innovation == sorted(by_innovation) and by_anchor == sorted(by_anchor)
        assert by_anchor[-1] > by_anchor[0]


def test_noise_is_the_error_with_a_margin():
    """An innovation is a share of the variance of the frame: here 0.1 of 0.2^2, in pixels of twice the range."""
    assert start(0.1).noise == pytest.approx(MARGIN * 2 * (0.1 * 0.2**2) ** 0.5, rel=0.05)
    assert start(0.1).alpha == pytest.approx(1 / (1 + start(0.1).noise ** 2))


def test_little_is_not_worth_a_step():
    assert not start(0.01).worth and start(0.05).worth and start(0.01, heard=0.5).worth


def test_the_network_sees_planes_and_numbers_of_its_kind():
    own = start()
    assert own.planes().shape == (1, PLANES, 32, 48) and own.told().shape == (1, TOLD)
    torn = Start(own.guess, own.cells, torch.tensor([[[[0.0, 0.0, 9.0]], [[0.0, 0.0, 0.0]]]]), 0.1, 1.0)
    seen = torn.planes()[0, -1]
    assert float(seen[:, :12].max()) == 0 and float(seen[:, 20:].min()) > 0


def test_another_version_of_the_anchor_becomes_the_frame_alike():
    own = Start(torch.zeros(1, 3, 16, 16), torch.full((1, 3, 2, 2), 0.25), torch.full((1, 2, 1, 1), 4.0), 0.1, 1.0)
    picture = torch.zeros(1, 3, 16, 16)
    picture[:, :, 8:, 8:] = 0.5
    assert torch.allclose(own.of(picture)[0, :, 6, 6], torch.full((3,), 0.75))
    assert torch.allclose(own.of(picture)[0, :, 2, 2], torch.full((3,), 0.25))
