"""Drops of users against TR 38.901's own formulas and tables, and against Sionna's coefficients."""

import math

import numpy as np
import pytest
from scipy.stats import kstest

from semlink import channels
from semlink.channels._drops import LONGEST_DELAY, drop, mean_gain, placed
from semlink.channels.base.grid import Grid
from semlink.simulator.conformance.channel import check_draws

USERS = 1000
CLOSE = 5 / math.sqrt(USERS)  # 5 standard deviations of an estimated correlation
GHZ = 3.5


@pytest.mark.parametrize(
    ("name", "settings"),
    [("umi", {}), ("rma", {"los": "los"}), ("uma", {"indoor": 0.8, "speed": 1.0})],
    ids=str,
)
def test_draws_are_what_the_channel_tells(name: str, settings: dict) -> None:
    check_draws(channels.create(name, **settings), images=800)


def line_of_sight_probability(name: str, distance: float) -> float:
    """Table 7.4.2-1 for a user at 1.5 m."""
    if name == "rma":
        return math.exp(-(distance - 10) / 1000)
    return 18 / distance + math.exp(-distance / {"umi": 36, "uma": 63}[name]) * (1 - 18 / distance)


@pytest.mark.parametrize(("name", "distance"), [("umi", 40.0), ("umi", 110.0), ("uma", 120.0), ("rma", 700.0)])
def test_line_of_sight_probability(name: str, distance: float) -> None:
    channel = channels.create(name, min_distance=distance, max_distance=distance)
    sights = drop(channel, np.random.default_rng(1), USERS).specular > 0
    told = line_of_sight_probability(name, distance)
    assert abs(sights.mean() - told) < 4 * math.sqrt(told * (1 - told) / USERS)
    everyone_inside = channels.create(name, min_distance=distance, max_distance=distance, indoor=1.0)
    assert not drop(everyone_inside, np.random.default_rng(1), 50).specular.any()


# mean of lg(DS / 1 s) and of K in dB: table 7.5-6 parts 1 and 2 at 3.5 GHz (UMa: at 6 GHz, its note 6)
LOG_DELAY_SPREAD = {
    ("umi", "los"): -0.24 * math.log10(1 + GHZ) - 7.14,
    ("umi", "nlos"): -0.24 * math.log10(1 + GHZ) - 6.83,
    ("uma", "los"): -6.955 - 0.0963 * math.log10(6),
    ("uma", "nlos"): -6.28 - 0.204 * math.log10(6),
    ("rma", "los"): -7.49,
    ("rma", "nlos"): -7.43,
}
K_DB = {"umi": (9.0, 5.0), "uma": (9.0, 3.5), "rma": (7.0, 4.0)}


@pytest.mark.parametrize(("name", "los"), LOG_DELAY_SPREAD, ids=str)
def test_delay_spread_and_rician_factor(name: str, los: str) -> None:
    """rms delay spread of the drawn paths, whose median the clusters keep to within 15 %; K as tabulated."""
    users = drop(channels.create(name, los=los), np.random.default_rng(2), USERS)
    power, delays = users.rays.powers.sum(-1), users.rays.delays
    mean = (power * delays).sum(1)
    spread = np.sqrt((power * delays**2).sum(1) - mean**2)
    assert np.allclose(power.sum(1), 1, atol=1e-5)
    assert abs(np.median(np.log10(spread)) - LOG_DELAY_SPREAD[name, los]) < math.log10(1.15) + 0.03
    if los == "nlos":
        assert not users.specular.any()
        return
    k_db = 10 * np.log10(users.specular / (1 - users.specular))
    mean_db, std_db = K_DB[name]
    assert abs(k_db.mean() - mean_db) < 4 * std_db / math.sqrt(USERS)
    assert abs(k_db.std() / std_db - 1) < 0.08


def test_specular_power_is_the_drawn_line_of_sight() -> None:
    """Amplitude of each user's own sight, and the share that the channel tells of all of them."""
    channel = channels.create("uma", los="los", speed=30.0)
    fade = channel.draw(np.random.default_rng(3), USERS)
    assert np.allclose(np.abs(fade.gains[:, 0].sum(-1)) ** 2, fade.specular, atol=1e-5)
    assert abs(fade.specular.mean() - channel.specular_power) < 5 * fade.specular.std() * math.sqrt(2 / USERS)
    assert fade.power is None
    tone = np.exp(2j * np.pi * 1e-3 * fade.doppler[:, 0, 0])
    told = channel.specular_correlation(np.array(1e-3), np.array(0.0))
    assert abs(np.average(tone, weights=fade.specular) - told) < 1.5 * CLOSE and abs(told) < 0.8
    assert channels.create("uma", los="nlos").specular_power == 0


@pytest.mark.parametrize("los", ["los", "nlos"])
def test_response_is_sionnas(los: str) -> None:
    """Frequency correlation and mean power of Sionna's own UMi channel for users at the same distance."""
    import tensorflow as tf
    from sionna.phy import config
    from sionna.phy.channel.tr38901 import PanelArray, UMi

    distance = 60.0
    element = PanelArray(1, 1, "single", "V", "omni", GHZ * 1e9)
    theirs = UMi(GHZ * 1e9, "low", element, element, "downlink", enable_pathloss=False, enable_shadow_fading=False)
    zeros, base = tf.zeros([USERS, 1, 3]), tf.tile([[[0.0, 0.0, 10.0]]], [USERS, 1, 1])
    config.seed = 4
    inside = tf.zeros([USERS, 1], tf.bool)
    theirs.set_topology(base + [distance, 0, -8.5], base, zeros, zeros, zeros, inside, los == "los")
    h, delays = (v.numpy() for v in theirs(1, 1.0))
    h, delays = h[:, 0, 0, 0, 0, :, 0], delays[:, 0, 0]
    shifts = np.array([0, 100e3, 300e3, 1e6, 3e6])
    response = np.stack([(h * np.exp(-2j * np.pi * delays * f)).sum(1) for f in shifts], 1)
    measured = (response * response[:, :1].conj()).mean(0)
    ours = channels.create("umi", los=los, min_distance=distance, max_distance=distance)
    told = ours.correlation(np.zeros(5), shifts)
    assert np.abs(measured - told).max() < CLOSE * 1.5  # both are estimates from as many users


@pytest.mark.parametrize(("name", "distance"), [("umi", 10.0), ("uma", 35.0)])
def test_path_loss(name: str, distance: float) -> None:
    """Line of sight before the breakpoint, table 7.4.1-1, over the three-dimensional distance; 4 dB of shadows."""
    channel = channels.create(name, los="los", min_distance=distance, max_distance=distance, large_scale=True)
    gain_db = 10 * np.log10(drop(channel, np.random.default_rng(5), USERS).gain)
    slant = math.hypot(distance, channel.base_height - 1.5)
    constant, slope = {"umi": (32.4, 21.0), "uma": (28.0, 22.0)}[name]
    told = -(constant + slope * math.log10(slant) + 20 * math.log10(GHZ))
    assert abs(gain_db.mean() - told) < 4 * 4 / math.sqrt(USERS)
    assert abs(gain_db.std() / 4 - 1) < 0.08


def test_mean_gain_in_closed_form() -> None:
    """At one distance it is the path loss times the mean of a log-normal of 4 dB."""
    channel = channels.create("umi", los="los", min_distance=50.0, max_distance=50.0, rx_antennas=2)
    loss = 32.4 + 21 * math.log10(math.hypot(50, 8.5)) + 20 * math.log10(GHZ)
    told = 10 ** (-loss / 10) * math.exp((0.4 * math.log(10)) ** 2 / 2)
    assert abs(mean_gain(channel) / told - 1) < 1e-3


@pytest.mark.parametrize("name", ["umi", "uma", "rma"])
def test_large_scale_gain_has_mean_one(name: str) -> None:
    """Over places that the constant was not made of; most users are below the mean, by 10 dB and more."""
    channel = channels.create(name, large_scale=True)
    gain = drop(channel, np.random.default_rng(6), 3000).gain / mean_gain(channel)
    assert abs(gain.mean() - 1) < 4 * gain.std() / math.sqrt(len(gain))
    assert 10 * math.log10(np.median(gain)) < -10


def test_large_scale_scales_the_same_users() -> None:
    plain, scaled = (channels.create("umi", large_scale=s).draw(np.random.default_rng(8), 64) for s in (False, True))
    ratio = np.abs(scaled.response(1, 1)) ** 2 / np.abs(plain.response(1, 1)) ** 2
    assert np.allclose(ratio / scaled.power[:, None, None, None], 1, atol=1e-3)
    assert np.allclose(scaled.specular, plain.specular * scaled.power, rtol=1e-5)
    assert scaled.power.dtype == scaled.specular.dtype == np.float32


def test_line_of_sight_arrives_from_where_it_departs_to() -> None:
    """Users are in the sector, below the base station, and their sights are straight lines."""
    rays = drop(channels.create("uma", los="los"), np.random.default_rng(9), 100).rays
    up, down = (
        np.stack([np.sin(z) * np.cos(a), np.sin(z) * np.sin(a), np.cos(z)], -1)[:, 0, 0]
        for a, z in ((rays.aoa, rays.zoa), (rays.aod, rays.zod))
    )
    assert np.allclose(up, -down, atol=1e-5)
    assert np.all(up[:, 2] > 0) and np.all(np.abs(np.arctan2(down[:, 1], down[:, 0])) < np.pi / 3 + 1e-5)


def test_distance_is_uniform_over_the_area() -> None:
    """From the zenith angle of departure: the mean of d^2 is the middle of its range."""
    rays = drop(channels.create("umi", los="los"), np.random.default_rng(10), USERS).rays
    squared = (8.5 * np.tan(np.pi - rays.zod[:, 0, 0])) ** 2
    low, high = 10.0**2, 115.0**2
    assert abs(squared.mean() - (low + high) / 2) < 4 * (high - low) / math.sqrt(12 * USERS)
    assert squared.min() > 0.99 * low and squared.max() < 1.01 * high


@pytest.mark.parametrize(("name", "most"), [("umi", 25.0), ("uma", 25.0), ("rma", 10.0)])
def test_depth_in_buildings_is_the_least_of_two_uniform_draws(name: str, most: float) -> None:
    """TR 38.901, clause 7.4.3.1: P(depth < d) = 1 - (1 - d / most)^2; and the rest of the way is outdoors."""
    channel = channels.create(name, indoor=1.0)
    site = placed(channel, np.random.default_rng(12), USERS).site
    assert kstest(site.depth, lambda d: 1 - (1 - d / most) ** 2).pvalue > 1e-3
    assert np.allclose(site.depth + site.outside, site.flat, rtol=1e-5)


def test_antennas() -> None:
    """Unit power per pair, and a line of sight of the same modulus at all of them; users' own bearings differ."""
    channel = channels.create("rma", los="los", rx_antennas=2, tx_antennas=3)
    fade = channel.draw(np.random.default_rng(11), 500)
    h = fade.response(0, 1)[:, 0]
    assert h.shape[1:3] == (2, 3)
    assert np.abs((np.abs(h[..., 0, 0]) ** 2).mean(0) - 1).max() < 5 / math.sqrt(500)
    sight = fade.gains[:, :, :, 0, 0]
    assert np.allclose(np.abs(sight) ** 2, fade.specular[:, None, None], atol=1e-5)
    assert np.std(np.angle(sight[:, 1, 0] / sight[:, 0, 0])) > 0.5


def test_delays_stay_within_what_a_grid_can_hold() -> None:
    """Some users' paths outlast the cyclic prefix, none by more than a symbol."""
    grid = Grid()
    fade = channels.create("uma", los="los").draw(np.random.default_rng(12), 1000)
    excess = fade.excess(grid)
    assert fade.delays.min() >= 0 and fade.delays.max() < LONGEST_DELAY + 0.1e-6
    assert 0.01 < excess.any(1).mean() < 0.5


def test_a_draw_depends_on_its_key_alone() -> None:
    """Not on what was drawn before, for this channel or another."""
    channel = channels.create("umi", speed=10.0)
    first = channel.draw(np.random.default_rng(13), 8)
    channels.create("rma", los="nlos").draw(np.random.default_rng(1), 5)
    channel.draw(np.random.default_rng(2), 40)
    again = channel.draw(np.random.default_rng(13), 8)
    assert np.array_equal(first.gains, again.gains) and np.array_equal(first.delays, again.delays)
    assert np.array_equal(first.doppler, again.doppler) and np.array_equal(first.specular, again.specular)
    assert not np.array_equal(first.gains, channel.draw(np.random.default_rng(14), 8).gains)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"los": "maybe"}, "los 'maybe'"),
        ({"indoor": 1.5}, "share"),
        ({"los": "los", "indoor": 0.8}, "indoor users"),
        ({"speed": -1.0}, "speed"),
        ({"carrier_frequency": 3.5}, "carrier"),
        ({"min_distance": 1.0}, "distances"),
        ({"min_distance": 80.0, "max_distance": 50.0}, "distances"),
        ({"rx_antennas": 0}, "rx_antennas"),
    ],
    ids=str,
)
def test_bad_settings_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        channels.create("umi", **settings)
