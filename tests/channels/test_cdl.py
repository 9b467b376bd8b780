"""Clustered delay lines against their tables, closed forms and Sionna's own CDL."""

import numpy as np
import pytest

from semlink import channels
from semlink.channels._clusters import OFFSETS, RAYS, Rays, with_subclusters
from semlink.channels._tr38901 import LIGHT
from semlink.channels.base.grid import Grid
from semlink.channels.cdl import read_table
from semlink.simulator.conformance.channel import check_draws

DRAWS = 2000
CARRIER = 3.5e9
# 5 standard deviations of a correlation estimated from DRAWS fades of unit power
CLOSE = 5 / np.sqrt(DRAWS)


def sionnas(model: str, delay_spread: float, rx: int = 1, tx: int = 1):
    """Sionna's CDL with the same arrays, seeded; its user stands still."""
    from sionna.phy import config
    from sionna.phy.channel.tr38901 import CDL, PanelArray

    config.seed = 1
    user, base = (PanelArray(1, n, "single", "V", "omni", CARRIER) for n in (rx, tx))
    return CDL(model, delay_spread, CARRIER, user, base, "downlink")


@pytest.mark.parametrize("model", "ABCDE")
def test_draws_are_what_the_channel_tells(model: str) -> None:
    check_draws(channels.create("cdl", model=model, delay_spread=300e-9, speed=30.0))


@pytest.mark.parametrize("model", "ABCDE")
def test_power_delay_profile(model: str) -> None:
    """Power of each path, measured on its gain after some time, against Sionna's reading of the table."""
    spread = 200e-9
    theirs = sionnas(model, spread)
    fade = channels.create("cdl", model=model, delay_spread=spread, speed=30.0).draw(np.random.default_rng(2), DRAWS)
    gains = (fade.gains * np.exp(2j * np.pi * 0.01 * fade.doppler)).sum(-1)
    power = (np.abs(gains) ** 2).mean(0)
    if theirs.los:  # a path of its own here
        gains = np.concatenate([gains[:, :2].sum(1, keepdims=True), gains[:, 2:]], 1)
        power = (np.abs(gains) ** 2).mean(0)
    error = (np.abs(gains) ** 2).std(0) / np.sqrt(DRAWS)
    assert np.all(np.abs(power - theirs.powers.numpy()) < 5 * error + 1e-6)
    assert np.allclose(np.sort(fade.delays[-len(power) :]), np.sort(theirs.delays.numpy()), rtol=1e-5)


@pytest.mark.parametrize("model", "ABCDE")
def test_delay_spread_is_the_asked_one(model: str) -> None:
    """Within the rounding of the table's entries."""
    table = read_table(model)
    power = table.powers.sum(-1)
    mean = (power * table.delays).sum()
    assert abs(np.sqrt((power * table.delays**2).sum() - mean**2) - 1) < 0.01
    assert abs(power.sum() - 1) < 1e-12


@pytest.mark.parametrize("model", ["A", "C", "D"])
def test_frequency_correlation_is_sionnas(model: str) -> None:
    spread = 300e-9
    h, delays = sionnas(model, spread)(DRAWS, 1, 1.0)
    h, delays = h.numpy()[:, 0, 0, 0, 0, :, 0], delays.numpy()[0, 0, 0]
    shifts = np.array([0, 50e3, 200e3, 500e3, 1e6])
    response = h @ np.exp(-2j * np.pi * delays[:, None] * shifts)
    measured = (response * response[:, :1].conj()).mean(0)
    told = channels.create("cdl", model=model, delay_spread=spread).correlation(np.zeros(5), shifts)
    assert np.abs(measured - told).max() < CLOSE


@pytest.mark.parametrize("model", ["B", "E"])
def test_time_correlation_is_sionnas(model: str) -> None:
    """Sionna's coefficients for a user who travels horizontally (its CDL also sends him up and down)."""
    import tensorflow as tf
    from sionna.phy.channel.tr38901 import Rays as SionnaRays
    from sionna.phy.channel.tr38901 import Topology

    speed, rate = 30.0, 2000.0
    cdl = sionnas(model, 100e-9)
    spread_out = (tf.repeat(v, DRAWS, 0) for v in cdl._random_coupling(cdl._aoa, cdl._aod, cdl._zoa, cdl._zod))
    aoa, aod, zoa, zod = spread_out
    way = np.random.default_rng(3).uniform(0, 2 * np.pi, DRAWS)
    velocity = speed * np.stack([np.cos(way), np.sin(way), 0 * way], -1)[:, None]
    still = [tf.repeat(v, DRAWS, 0) for v in (cdl._los_aoa, cdl._los_aod, cdl._los_zoa, cdl._los_zod)]
    velocity, sight = tf.constant(velocity, tf.float32), tf.fill([DRAWS, 1, 1], cdl.los)
    distance, orientation = tf.zeros([DRAWS, 1, 1]), tf.zeros([DRAWS, 1, 3])
    topology = Topology(velocity, "rx", *still, sight, distance, orientation, orientation)
    delays, powers, xpr = (tf.repeat(v, DRAWS, 0) for v in (cdl._delays * 1e-7, cdl._powers, cdl._xpr))
    rays = SionnaRays(delays, powers, aoa, aod, zoa, zod, xpr)
    h, _ = cdl._cir_sampler(8, rate, tf.repeat(cdl._k_factor, DRAWS, 0), rays, topology)
    h = h.numpy()[:, 0, 0, :, 0, 0]
    measured = (h * h[..., :1].conj()).mean(0).sum(0)  # uncorrelated paths
    ours = channels.create("cdl", model=model, speed=speed, carrier_frequency=CARRIER)
    told = ours.correlation(np.arange(8) / rate, np.zeros(8))
    assert np.abs(told).min() < 0.5, "the lags must be long enough to tell"
    assert np.abs(measured - told).max() < CLOSE


def closed_form(model: str, rx: int, tx: int) -> complex:
    """E[h h*] between antenna (rx, tx) and antenna (0, 0) in turns of half a wavelength along y, from the table."""
    table = read_table(model)
    arrival = np.exp(1j * np.pi * rx * -np.sin(table.zoa)[:, :, None] * np.sin(table.aoa)[:, None])
    departure = np.exp(1j * np.pi * tx * np.sin(table.zod)[:, :, None] * np.sin(table.aod)[:, None])
    pairs = [0] if table.powers[0, 1] == 0 else []  # all rays of a line of sight are one
    factor = arrival.mean((1, 2)) * departure.mean((1, 2))
    factor[pairs] = arrival[pairs, 0, 0] * departure[pairs, 0, 0]
    return (table.powers.sum(1) * factor).sum()


@pytest.mark.parametrize("model", ["A", "B", "D"])
def test_spatial_correlation(model: str) -> None:
    """Of our draws and of Sionna's, both against the closed form of the cluster angles."""
    fade = channels.create("cdl", model=model, rx_antennas=3, tx_antennas=2).draw(np.random.default_rng(4), DRAWS)
    h = fade.response(2, 1)[:, 0, :, :, 3, 10]
    assert np.abs((np.abs(h) ** 2).mean(0) - 1).max() < CLOSE
    theirs = sionnas(model, 100e-9, 3, 2)(DRAWS, 1, 1.0)[0].numpy()[:, 0, :, 0, :, :, 0].sum(-1)
    for rx, tx in ((1, 0), (2, 0), (0, 1), (1, 1)):
        told = closed_form(model, rx, tx)
        assert abs((h[:, rx, tx] * h[:, 0, 0].conj()).mean() - told) < CLOSE
        assert abs(abs((theirs[:, rx, tx] * theirs[:, 0, 0].conj()).mean()) - abs(told)) < CLOSE


@pytest.mark.parametrize("model", ["D", "E"])
def test_rician_factor(model: str) -> None:
    """Of a flat fade, by moments: E|h|^4 / (E|h|^2)^2 = 2 - (K / (K + 1))^2; in all K is about 9 dB."""
    channel = channels.create("cdl", model=model, delay_spread=0.0)
    power = np.abs(channel.draw(np.random.default_rng(5), 20_000).gains.sum((1, 2))) ** 2
    share = np.sqrt(2 - (power**2).mean() / power.mean() ** 2)
    assert abs(share - channel.specular_power) < 0.01
    assert 8 < 10 * np.log10(share / (1 - share)) < 11
    first = read_table(model).powers.sum(1)
    assert abs(10 * np.log10(first[0] / first[1]) - {"D": 13.3, "E": 22.0}[model]) < 0.05  # K1 of tables 7.7.1-4, -5


def test_doppler_is_bounded_and_the_spread_of_directions_shows() -> None:
    channel = channels.create("cdl", model="A", speed=50.0, carrier_frequency=2e9)
    doppler = channel.draw(np.random.default_rng(6), 500).doppler
    assert channel.max_doppler == pytest.approx(50 * 2e9 / LIGHT)
    assert np.abs(doppler).max() <= channel.max_doppler
    # isotropic travel: rms is sin(zoa) / sqrt(2) of the maximum
    told = channel.max_doppler * np.sqrt((np.sin(read_table("A").zoa) ** 2).mean() / 2)
    assert abs(np.sqrt((doppler**2).mean()) / told - 1) < 0.05


def test_line_of_sight_turns_as_told() -> None:
    channel = channels.create("cdl", model="D", speed=30.0)
    tone = np.exp(2j * np.pi * channel.draw(np.random.default_rng(8), DRAWS).doppler[:, 0, 0, None] * [0, 5e-4, 1e-3])
    told = channel.specular_correlation(np.array([0, 5e-4, 1e-3]), np.zeros(3))
    assert abs(told[2]) < 0.6, "the lag must be long enough to tell"
    assert np.abs(tone.mean(0) - told).max() < CLOSE


def test_ray_offsets_have_unit_spread() -> None:
    """Table 7.5-3 is a Laplacian of rms 1, symmetric."""
    assert abs(OFFSETS.sum()) < 1e-12
    assert abs(np.sqrt((OFFSETS**2).mean()) - 1) < 0.01


def test_subclusters() -> None:
    """Tables 7.5-5: the two strongest clusters hold 10, 6 and 4 of their rays at 0, 1.28 and 2.56 spreads."""
    strength = np.array([0.1, 0.5, 0.3, 0.1])
    powers = np.repeat(strength[None, :, None] / RAYS, RAYS, 2)
    label = np.broadcast_to(np.arange(4.0)[:, None], powers.shape)
    rays = with_subclusters(Rays(np.array([[0, 1e-7, 2e-7, 3e-7]]), powers, *[label] * 4), np.array([1e-9]))
    assert np.allclose(rays.powers.sum(-1)[0], [0.25, 0.15, 0.1, 0.15, 0.09, 0.06, 0.1, 0.1])
    late = np.array([0, 1.28e-9, 2.56e-9])
    assert np.allclose(rays.delays[0], [*(1e-7 + late), *(2e-7 + late), 0, 3e-7])
    assert np.array_equal(rays.aoa[0, :, 0], [1, 1, 1, 2, 2, 2, 0, 3])
    assert np.array_equal((rays.powers[0, :3] > 0).sum(0), np.ones(RAYS)), "every ray in one sub-cluster"


def test_continues_without_a_break() -> None:
    """The step from the last symbol of a slot to the first of the next is like any other step."""
    grid = Grid()
    fade = channels.create("cdl", model="B", speed=60.0).draw(np.random.default_rng(7), 200)
    h = fade.response(40, 2, grid).reshape(200, 2 * grid.symbols, -1)
    steps = np.abs(np.diff(h, axis=1)).mean((0, 2))
    assert steps.max() / steps.min() < 1.3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model": "F"}, "CDL model 'F'"),
        ({"delay_spread": -1e-9}, "negative"),
        ({"speed": -1.0}, "negative"),
        ({"speed": float("nan")}, "negative"),
        ({"carrier_frequency": 0.0}, "positive"),
        ({"tx_antennas": 0}, "tx_antennas"),
        ({"rx_antennas": 1.5}, "rx_antennas"),
    ],
    ids=str,
)
def test_bad_settings_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        channels.create("cdl", **settings)
