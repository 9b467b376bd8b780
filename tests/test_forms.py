"""Forms of the equalised symbols: noise levels as their names say, finite where nothing arrived."""

import pytest
import torch

from semlink.simulator.forms import noise_variance, variance_preserving, zero_forcing

A = 0.3
N = 200_000


@pytest.fixture
def received() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """x, x_hat under the contract, and a."""
    generator = torch.Generator().manual_seed(0)
    x, noise = (torch.randn(N, dtype=torch.complex64, generator=generator) for _ in range(2))
    return x, A * x + (A * (1 - A)) ** 0.5 * noise, torch.full((N,), A)


def test_zero_forcing_is_unbiased_with_the_told_noise(received) -> None:
    x, x_hat, a = received
    error = zero_forcing(x_hat, a) - x
    assert abs((error * x.conj()).mean()) < 0.02
    assert abs(error.abs().square().mean() / noise_variance(a)[0] - 1) < 0.02


def test_variance_preserving_has_unit_power_and_noise_level_one_minus_a(received) -> None:
    x, x_hat, a = received
    state = variance_preserving(x_hat, a)
    assert abs(state.abs().square().mean() - 1) < 0.01
    assert abs((state - A**0.5 * x).abs().square().mean() - (1 - A)) < 0.01


def test_nothing_received_is_zero_and_finite() -> None:
    nothing, a = torch.zeros(4, dtype=torch.complex64), torch.zeros(4)
    assert not zero_forcing(nothing, a).any() and not variance_preserving(nothing, a).any()
    assert torch.isfinite(noise_variance(a)).all()
