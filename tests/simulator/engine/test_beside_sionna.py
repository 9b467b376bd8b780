"""What the graph does in closed form against Sionna's blocks of the same name, on random numbers."""

import numpy as np
import pytest

from semlink.channels.base.grid import Grid
from semlink.simulator.engine.backend import tensorflow
from semlink.simulator.engine.equalization import make_equalizer, one_layer, sionnas
from semlink.simulator.engine.estimation import interpolating, observing
from semlink.simulator.engine.pilots import interpolator, sionna_grid
from semlink.simulator.engine.setup import SLOTS, Setup

GRID = Grid(subcarriers=24, symbols=14)


def gaussian(*shape: int) -> np.ndarray:
    pairs = np.random.default_rng(sum(shape)).standard_normal((*shape, 2), dtype=np.float32)
    return pairs.view(np.complex64)[..., 0]


@pytest.mark.parametrize("equalizer", ["lmmse", "zf", "mf"])
@pytest.mark.parametrize("rx", [1, 3])
def test_one_layer_is_equalised_as_by_sionna(equalizer: str, rx: int) -> None:
    """With errors that differ from antenna to antenna and element to element, over 30 dB of noise."""
    setup = Setup(GRID, "perfect", equalizer, rx)
    y, h = gaussian(SLOTS, rx, 14, 24), gaussian(SLOTS, rx, 1, 14, 24)
    error = np.abs(gaussian(SLOTS, rx, 1, 14, 24) * 0.3) ** 2
    n0 = np.geomspace(1e-2, 10, SLOTS).astype(np.float32)
    ours, theirs = (found(setup)(y, h, error, n0) for found in (one_layer, sionnas))
    for mine, other in zip(ours, theirs, strict=True):
        assert np.allclose(mine, other, rtol=2e-3 if equalizer == "lmmse" else 1e-4, atol=1e-5)


def test_nothing_arrives_where_the_channel_is_zero() -> None:
    setup, tf = Setup(GRID, "perfect", "zf"), tensorflow()
    h = tf.zeros([SLOTS, 1, 1, 14, 24], tf.complex64)
    x_hat, a = make_equalizer(setup)(tf.ones([SLOTS, 1, 14, 24], tf.complex64), h, tf.zeros(h.shape), tf.ones(SLOTS))
    assert not x_hat.numpy().any() and not a.numpy().any()


@pytest.mark.parametrize("csi", ["ls", "ls-nearest"])
@pytest.mark.parametrize("tx", [1, 2])
@pytest.mark.parametrize("pilot_symbols", [(2, 11), (3,), (0, 5, 12)], ids=str)
def test_pilots_are_read_and_interpolated_as_by_sionna(csi: str, tx: int, pilot_symbols: tuple[int, ...]) -> None:
    from sionna.phy.ofdm import LSChannelEstimator

    grid = Grid(subcarriers=24, symbols=14, pilot_symbols=pilot_symbols)
    setup, y = Setup(grid, csi, rx=2, tx=tx, layers=tx), gaussian(SLOTS, 2, 14, 24)
    theirs, _ = LSChannelEstimator(sionna_grid(grid, tx), interpolator=interpolator(grid, csi, tx))(y[:, None], 1.0)
    ours = interpolating(setup)(observing(setup)(y))
    assert np.allclose(ours, tx**0.5 * theirs[:, 0, :, 0], atol=1e-5)  # its pilots have modulus sqrt(tx), ours 1
