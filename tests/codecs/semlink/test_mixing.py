"""Mixing of symbols against linear estimation theory, and what it is for: multiplied errors and peaks of power."""

import numpy as np
import pytest
import torch
from scipy.linalg import hadamard as scipys

from semlink import channels, codecs
from semlink.codecs.semlink.mixing import MIXED, hadamard, mixed, mixed_symbols, unmixed, unmixed_symbols
from semlink.simulator import Link
from semlink.simulator.conformance.codec import check_transmission, noiseless, smooth_pictures
from semlink.simulator.values import Stream, Transmission


def test_the_matrix_is_scipys() -> None:
    assert np.allclose(hadamard(MIXED), scipys(MIXED) / np.sqrt(MIXED))


@pytest.mark.parametrize("symbols", [5, 16, 77, 512])
def test_nothing_is_lost_over_a_noiseless_channel(symbols: int) -> None:
    x = torch.view_as_complex(torch.randn(3, symbols, 2))
    sent = mixed_symbols(x)
    assert torch.allclose(sent.abs().square().sum(1), x.abs().square().sum(1), rtol=1e-5)
    found, a = unmixed_symbols(sent, torch.ones(3, symbols))
    assert torch.allclose(found, x, atol=1e-4) and a.min() > 0.9999


def test_the_estimate_is_the_conditional_mean_and_knows_its_error() -> None:
    """numpy's regression on many draws finds the same weights; errors are uncorrelated with what was received."""
    generator = torch.Generator().manual_seed(0)
    draws, p = 40_000, torch.exp(torch.randn(1, MIXED, 1, generator=generator)).expand(-1, -1, 2)
    a = torch.rand(1, MIXED, generator=generator).expand(draws, -1)
    u = torch.randn(draws, MIXED, 2, generator=generator) * p.sqrt()
    noise = torch.randn(draws, MIXED, 2, generator=generator)
    x_hat = a[..., None] * mixed(u) + (a * (1 - a)).sqrt()[..., None] * noise
    found, left = unmixed(x_hat, a, p.expand(draws, -1, -1))
    weights = np.linalg.lstsq(x_hat[..., 0].numpy(), u[..., 0].numpy(), rcond=None)[0]
    regressed = x_hat[..., 0].numpy() @ weights
    assert np.mean((regressed - found[..., 0].numpy()) ** 2) < 0.002 * float(p.mean())
    assert torch.allclose((found - u).square().mean(0), (left * p)[0], rtol=0.05)


def test_what_did_not_come_is_estimated_from_what_did() -> None:
    u = torch.randn(64, 32, 2)
    a = torch.ones(64, 32) * (torch.arange(32) < 24)
    found, left = unmixed(mixed(u) * a[..., None], a, torch.ones_like(u))
    assert torch.allclose(left, torch.full_like(left, 0.25), atol=1e-3)
    assert 0.2 < float((found - u).square().mean()) < 0.3
    nothing, all_left = unmixed(torch.zeros(2, 32, 2), torch.zeros(2, 32), torch.ones(2, 32, 2))
    assert not nothing.any() and torch.allclose(all_left, torch.ones(2, 32, 2))


def test_peaks_survive_estimated_channels_only_when_mixed() -> None:
    """Of symbols with powers 11 and 1/3, LS estimates leave the strong ones an error of their own size, N0."""
    generator = torch.Generator().manual_seed(1)
    images, symbols = 128, 768
    power = torch.where(torch.arange(symbols) < symbols // 16, 11.0, 1 / 3)
    x = torch.view_as_complex(torch.randn(images, symbols, 2, generator=generator)) * (power / 2).sqrt()
    x = x / x.abs().square().mean(1, keepdim=True).sqrt()
    link = Link(channels.create("rayleigh"), csi="ls")
    errors = []
    for symbols_sent in (x, mixed_symbols(x)):
        stream = link(Transmission((Stream("x", "analog", symbols_sent),)), 15.0, seed=3).streams[0]
        x_hat, a = (stream.x_hat, stream.a) if not errors else unmixed_symbols(stream.x_hat, stream.a)
        good = stream.a.mean(1) > 0.9
        strong = (x_hat / a - x)[good][:, power > 1]
        errors.append(float(strong.abs().square().mean()))
    assert errors[1] < 0.4 * errors[0], errors


def test_planes_are_mixed_when_the_link_is_known() -> None:
    images, codec = smooth_pictures(2, 64, 64), codecs.create("semlink", base="none")
    link = Link(channels.create("tdl"))
    tx = link.tx_info(10.0, codec.uses(64, 64), statistics=True)
    sent, plain = codec.encode(images, tx), codec.encode(images, link.tx_info(10.0))
    check_transmission(sent, 2)
    kurtosis = [float((s.streams[0].payload.abs() ** 4).mean()) for s in (plain, sent)]
    assert kurtosis[1] < kurtosis[0]
    both = [codec.decode(noiseless(s)) for s in (plain, sent)]
    assert torch.allclose(*both, atol=2e-3)
