"""Forms of the equalised symbols: noise levels as their names say, finite where nothing arrived."""

import numpy as np
import pytest
import torch

from semlink.simulator import finite, variance_preserving, zero_forcing
from semlink.simulator.forms import snr_db

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
    assert abs(error.abs().square().mean() * 10 ** (snr_db(a, 1e-6)[0] / 10) - 1) < 0.02


def test_variance_preserving_has_unit_power_and_noise_level_one_minus_a(received) -> None:
    x, x_hat, a = received
    state = variance_preserving(x_hat, a)
    assert abs(state.abs().square().mean() - 1) < 0.01
    assert abs((state - A**0.5 * x).abs().square().mean() - (1 - A)) < 0.01


def test_nothing_received_is_zero_and_finite() -> None:
    nothing, a = torch.zeros(4, dtype=torch.complex64), torch.zeros(4)
    assert not zero_forcing(nothing, a).any() and not variance_preserving(nothing, a).any()
    assert torch.equal(snr_db(a, 1e-6), snr_db(a + 1e-6, 1e-6)) and abs(snr_db(a + 1, 1e-4)[0] - 40) < 0.01


def test_symbols_that_are_not_finite_are_lost() -> None:
    x_hat = torch.tensor([[1 + 1j, complex("nan"), 2.0, 3.0, 4.0, complex(0, -torch.inf), 2e4j, -1e38]])
    a = torch.tensor([[0.5, 0.5, float("nan"), float("inf"), 0.0, 0.5, 0.5, 1.0]])
    x, reliability, bad = finite(x_hat, a)
    assert bad == 6 and x.tolist() == [[1 + 1j] + 7 * [0]] and reliability.tolist() == [[0.5] + 7 * [0]]


@pytest.mark.parametrize("db", [-20.0, 0.0, 17.5])
def test_snr_of_a_constant_channel(db: float) -> None:
    a = 1 / (1 + 10 ** (-db / 10))
    assert snr_db(torch.tensor([a], dtype=torch.float64), 1e-6).item() == pytest.approx(db)
    assert snr_db(np.array([a]), 1e-6)[0] == pytest.approx(db)
    assert snr_db(torch.tensor([a]), 1e-6).dtype == torch.float32
