"""Drops against Sionna's own generators, corrected where TR 38.901 differs: the same users from the same seed."""

import numpy as np
import pytest
from sionna_corrected import sionnas_users

from semlink import channels
from semlink.channels._clusters import Rays, with_line_of_sight, with_subclusters
from semlink.channels._drops import LONGEST_DELAY, drop, without_faint
from semlink.channels._philox import Philox

SETTINGS = (
    {},
    {"los": "los"},
    {"los": "nlos"},
    {"indoor": 0.5, "large_scale": True},
    {"indoor": 1.0},
    {"carrier_frequency": 28e9},
    {"carrier_frequency": 7e8, "indoor": 0.3},
)


def test_numbers_are_those_of_sionnas_generator() -> None:
    from sionna.phy import config

    config.seed, ours = 2**31 - 5, Philox(2**31 - 5)
    assert np.array_equal(config.tf_rng.uniform([3, 2]), ours.uniform(3, 2))
    config.tf_rng.normal([5, 7])
    ours.skip(5, 7)
    assert np.array_equal(config.tf_rng.normal([4]), ours.normal(4))
    assert np.array_equal(2 * config.tf_rng.uniform([50], 0, 2, np.int32) - 1, ours.signs(50))
    assert np.array_equal(config.tf_rng.normal([2, 3, 4]), ours.normal(2, 3, 4))


@pytest.mark.parametrize("name", ["umi", "uma", "rma"])
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_users_are_sionnas(name: str, settings: dict) -> None:
    """Paths, powers, directions and gains of 40 users to the rounding of its float32."""
    channel = channels.create(name, **settings)
    for seed in (1, 2):
        theirs = sionnas_users(channel, np.random.default_rng(seed), 40)
        ours = drop(channel, np.random.default_rng(seed), 40)
        assert np.allclose(ours.gain, theirs["gain"], rtol=2e-4)
        specular = np.where(theirs["los"], theirs["k"] / (theirs["k"] + 1), 0)
        assert np.allclose(ours.specular, specular, atol=1e-5)
        told = sionnas_rays(theirs, specular)
        assert np.allclose(ours.rays.delays, told.delays, rtol=1e-4, atol=1e-12)
        assert np.allclose(ours.rays.powers, told.powers, atol=2e-6)
        for angle in ("aoa", "zoa", "aod", "zod"):
            assert turned(getattr(ours.rays, angle) - getattr(told, angle)).max() < 1e-4, angle


def sionnas_rays(theirs: dict[str, np.ndarray], specular: np.ndarray) -> Rays:
    """Its clusters as paths, with sub-clusters and the line of sight, which are ours."""
    powers = without_faint(theirs["powers"].astype(float))
    delays = np.where(powers > 0, theirs["delays"], 0).clip(max=LONGEST_DELAY)
    angles = (theirs[angle].astype(float) for angle in ("aoa", "zoa", "aod", "zod"))
    rays = Rays(delays, np.repeat(powers[:, :, None] / 20, 20, 2), *angles)
    aod, zod = np.radians(theirs["direct_aod"]), np.radians(theirs["direct_zod"])
    sub = with_subclusters(rays, 1e-9 * theirs["delay_spread"])
    return with_line_of_sight(sub, specular, (aod + np.pi, np.pi - zod, aod, zod))


def turned(angle: np.ndarray) -> np.ndarray:
    """How far from a whole turn, radians."""
    return np.abs(np.angle(np.exp(1j * angle)))
