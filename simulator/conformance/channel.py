"""What every channel and every link must do, as one call each; AssertionErrors tell the numbers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor

from semlink.channels.base.fade import Channel, antennas
from semlink.channels.base.grid import Grid
from semlink.simulator.values import Stream, Transmission

if TYPE_CHECKING:
    from semlink.simulator.link.link import Link

CONTRACT = 0.04  # relative tolerance of gain and noise variance in each bin of `a`


def check_channel(channel: Channel, csi: tuple[str, ...] | None = None, snr_db: float = 5.0) -> None:
    """Check a channel: draws by key, E|h|^2 = 1, continuity over slots, and the contract on x_hat and a.

    csi: modes in which the contract is tested, all that the channel allows by default.
    """
    check_draws(channel)
    modes = csi or (("perfect",) if getattr(channel, "coherence", "") == "symbol" else ("perfect", "ls", "lmmse"))
    for mode in modes:
        check_contract(channel, mode, snr_db)


def check_draws(channel: Channel, images: int = 2000) -> None:
    """Determinism, continuity in time, unit mean power and agreement with `correlation`, over all antenna pairs."""
    grid = Grid()
    first, again = (channel.draw(np.random.default_rng(7), 4) for _ in range(2))
    whole = first.response(0, 4, grid)
    pairs = () if antennas(channel) == (1, 1) else antennas(channel)
    shape = (4, 4, *pairs, grid.symbols, grid.subcarriers)
    assert whole.dtype == np.complex64 and whole.shape == shape, (
        f"response is {whole.dtype} {whole.shape}, not complex64 {shape}"
    )
    assert np.array_equal(whole, again.response(0, 4, grid)), "the same draw gives another response"
    assert np.allclose(whole[:, 2:], first.response(2, 2, grid), atol=1e-4), "slots 2, 3 differ when asked for alone"
    h = channel.draw(np.random.default_rng(1), images).response(5, 1, grid)
    h = h.reshape(images, -1, grid.symbols, grid.subcarriers)
    power = (np.abs(h) ** 2).mean((1, 2, 3))
    error = power.std() / math.sqrt(images)
    assert abs(power.mean() - 1) < 4 * error + 1e-3, f"E|h|^2 = {power.mean():.4f} +- {error:.4f}, not 1"
    for dt, df in ((0, 0), (0, 1), (0, 9), (3, 0), (9, 20)):
        product = (h[:, :, dt, 20 + df] * h[:, :, 0, 20].conj()).mean(1)
        told = channel.correlation(np.array(dt * grid.symbol_time), np.array(df * grid.subcarrier_spacing))
        spread = max(1.0, float(np.sqrt((np.abs(product) ** 2).mean() / 2)))
        assert abs(product.mean() - told) < 5 * spread / math.sqrt(images), (
            f"correlation at {dt} symbols, {df} subcarriers: {product.mean():.3f}, told {told:.3f}"
        )


def check_contract(channel: Channel, csi: str, snr_db: float, images: int = 768, tolerance: float = CONTRACT) -> None:
    """`check_link` over the channel with that CSI mode, a layer per transmit antenna."""
    from semlink.simulator.link.link import Link

    check_link(Link(channel, csi=csi, layers=antennas(channel)[1]), snr_db, images, tolerance)


def check_link(link: Link, snr_db: float, images: int = 768, tolerance: float = CONTRACT) -> None:
    """Regress x_hat on x in quarters of `a`: gain a, noise variance a (1 - a), each within the relative tolerance.

    One slot an image of Gaussian symbols, without importance.
    """
    rng = np.random.default_rng(3)
    x = rng.standard_normal((images, link.places, 2), dtype=np.float32).view(np.complex64)[..., 0]
    x /= np.sqrt((np.abs(x) ** 2).mean(1, keepdims=True))
    stream = link(Transmission((Stream("x", "analog", torch.from_numpy(x)),)), snr_db, seed=11).streams[0]
    check_reception(x, cast(Tensor, stream.x_hat).numpy(), cast(Tensor, stream.a).numpy(), tolerance, f"{link!r}")


def check_reception(x: np.ndarray, x_hat: np.ndarray, a: np.ndarray, tolerance: float, what: str) -> None:
    """The regression of `check_link` on arrays of one shape; symbols with a = 0 must be 0."""
    assert not x_hat[a == 0].any(), f"{what}: symbols with a = 0 are not 0"
    x, x_hat, a = x[a > 0], x_hat[a > 0], a[a > 0]
    edges = np.quantile(a, [0, 0.25, 0.5, 0.75, 1])
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        chosen = (a >= low) & (a <= high)
        part, sent_part, told = x_hat[chosen], x[chosen], a[chosen]
        gain = (part * sent_part.conj()).real.mean() / (np.abs(sent_part) ** 2).mean() / told.mean()
        noise = (np.abs(part - told * sent_part) ** 2).mean() / (told * (1 - told)).mean()
        where = f"{what}, a {low:.3f}..{high:.3f}"
        assert abs(gain - 1) < tolerance, f"{where}: gain is {gain:.3f} times a"
        assert abs(noise - 1) < tolerance, f"{where}: noise variance is {noise:.3f} times a (1 - a)"
