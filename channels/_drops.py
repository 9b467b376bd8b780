"""Drops of users, 3GPP TR 38.901 clause 7.5: every image is one user at a random place of a sector.

Ours: places, heights and who is indoors (table 7.2-1; floors from TR 36.873, table 6-1), depths in buildings (7.4.3.1),
removal of faint clusters (end of step 6), phases and coefficients (steps 10 and 11), so that a fade runs on through any
number of slots. Sionna's, with the corrections of `_scenario_3gpp`: line of sight (table 7.4.2-1), path and penetration
loss (7.4.1-1; 7.4.3 with low loss), large-scale parameters, clusters and rays (steps 2 to 9, tables 7.5-2 to 7.5-9).
Not drawn: the loss into cars (7.4.3.2), and the base station's antenna pattern.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from semlink.channels import _scenario_3gpp, _states_3gpp
from semlink.channels._clusters import OFFSETS, Rays, ray_fade, with_line_of_sight, with_subclusters
from semlink.channels._tr38901 import LIGHT
from semlink.channels.base.arrays import check_antennas
from semlink.channels.base.fade import RayFade, ray_correlation

LOS = ("any", "los", "nlos")
HALF_SECTOR = np.pi / 3
USER_HEIGHT = 1.5  # m, on the ground floor
FLOOR_HEIGHT = 3.0  # m
FLOORS = 4, 8  # of buildings, uniform; an indoor user is on any of them
FAINTEST = 10**-2.5  # of the strongest cluster's power: weaker ones are removed
KNOWN_USERS = 2000  # whose mean is the second-order statistic that a receiver knows
AVERAGED_USERS = 1 << 15  # of which the mean gain is taken
LONGEST_DELAY = 30e-6  # s, 9 km: log-normal delay spreads have tails beyond any sector


@dataclass(frozen=True)
class Drops:
    """los: "any" (drawn by distance, clause 7.4.2), "los" or "nlos". indoor: share of users in buildings.

    speed in m/s, in a random horizontal direction per user; carrier_frequency in Hz. rx_antennas (user, random bearing)
    x tx_antennas (base station, facing the sector): horizontal linear arrays of vertical isotropic elements half a
    wavelength apart. min_distance, max_distance: horizontally, in m; users are uniform over the area between.
    large_scale: keep path loss, penetration loss and shadow fading, divided by their mean over such users. It is the
    closest users who make that mean: most have less than it. Otherwise every user's mean gain is 1.
    Raises ValueError for settings out of range or indoor users in line of sight.
    """

    los: str = "any"
    indoor: float = 0.0
    speed: float = 3.0
    carrier_frequency: float = 3.5e9
    rx_antennas: int = 1
    tx_antennas: int = 1
    min_distance: float = 10.0
    max_distance: float = 115.0
    large_scale: bool = False
    csi = "ls"
    scenario: ClassVar[str]  # Sionna's name of it
    base_height: ClassVar[float]  # m
    floors: ClassVar[tuple[int, int]] = FLOORS
    highest_carrier: ClassVar[float] = 100e9  # Hz

    def __post_init__(self) -> None:
        if self.los not in LOS:
            raise ValueError(f"los {self.los!r} is none of {', '.join(LOS)}")
        if not 0 <= self.indoor <= 1:
            raise ValueError(f"indoor is a share of users within 0 and 1, got {self.indoor}")
        if self.los == "los" and self.indoor > 0:
            raise ValueError("indoor users have no line of sight: set indoor=0 or los='any'")
        if not (self.speed >= 0 and 0.5e9 <= self.carrier_frequency <= self.highest_carrier):
            most = f"{self.highest_carrier / 1e9:g} GHz"
            raise ValueError(f"speed must not be negative, the carrier must be within 0.5 and {most}: {self}")
        if not 10 <= self.min_distance <= self.max_distance <= 5000:
            raise ValueError(f"distances must rise within 10 and 5000 m, the range of TR 38.901: {self}")
        check_antennas(self.rx_antennas, self.tx_antennas)

    @property
    def max_doppler(self) -> float:
        """Largest Doppler shift in Hz."""
        return self.speed * self.carrier_frequency / LIGHT

    @property
    def specular_power(self) -> float:
        """Mean share of the line of sight in a user's power: K / (K + 1), or 0 without line of sight."""
        return 0.0 if self.los == "nlos" else float(_known(self).specular.mean())

    def draw(self, rng: np.random.Generator, images: int) -> RayFade:
        """One user per image. `power` is their gain when `large_scale`, `specular` that of their line of sight."""
        users = drop(self, rng, images)
        yaws = 2 * np.pi * rng.random(images), 0.0
        fade = ray_fade(rng, users.rays, self.max_doppler, (self.rx_antennas, self.tx_antennas), yaws)
        specular = users.specular.astype(np.float32)
        if not self.large_scale:
            return replace(fade, specular=specular)
        power = (users.gain / mean_gain(self)).astype(np.float32)
        gains = fade.gains * np.sqrt(power).reshape(images, *(1,) * (fade.gains.ndim - 1))
        return replace(fade, gains=gains, power=power, specular=specular * power)

    def correlation(self, seconds: np.ndarray, hertz: np.ndarray) -> np.ndarray:
        """Mean over users, places and directions of travel; of gains over the root of their `power`."""
        return ray_correlation(_known(self), seconds, hertz)

    def specular_correlation(self, seconds: np.ndarray, hertz: np.ndarray) -> np.ndarray:
        """Of lines of sight alone, at delay 0, over users and directions of travel; 1 where there are none."""
        if not self.specular_power:
            return np.ones(np.broadcast(seconds, hertz).shape, np.complex128)
        known = _known(self)
        sights = RayFade(known.delays[:, :1], known.gains[:, :1, :1], known.doppler[:, :1, :1])
        return ray_correlation(sights, seconds, hertz) / self.specular_power


@dataclass(frozen=True)
class Users:
    """rays: of unit power per user. specular: share of the line of sight. gain: linear, path loss and shadow fading."""

    rays: Rays
    specular: np.ndarray
    gain: np.ndarray


def drop(channel: Drops, rng: np.random.Generator, users: int) -> Users:
    """Users at random places; their randomness comes from `rng`, through Sionna's seed."""
    scenario, large, small = _placed(channel, rng, users)
    parameters = large()
    clusters = small(parameters)
    gain = 10 ** (-_array(large.sample_pathloss()) / 10) * _array(parameters.sf)
    powers = without_faint(_array(clusters.powers))
    angles = (_array(a) for a in (clusters.aoa, clusters.zoa, clusters.aod, clusters.zod))
    delays = np.where(powers > 0, _array(clusters.delays), 0).clip(max=LONGEST_DELAY)
    rays = Rays(delays, np.repeat(powers[:, :, None] / len(OFFSETS), len(OFFSETS), 2), *angles)
    k = _array(parameters.k_factor)
    specular = np.where(_array(scenario.los) > 0, k / (k + 1), 0)
    aod, zod = np.radians(_array(scenario.los_aod)), np.radians(_array(scenario.los_zod))
    direct = (aod + np.pi, np.pi - zod, aod, zod)
    spread = 1e-9 * _array(scenario.get_param("cDS"))
    return Users(with_line_of_sight(with_subclusters(rays, spread), specular, direct), specular, gain)


def without_faint(powers: np.ndarray) -> np.ndarray:
    """Powers of clusters `[users, clusters]` without those 25 dB below the user's strongest; their sum is 1 again."""
    kept = np.where(powers < FAINTEST * powers.max(1, keepdims=True), 0, powers)
    return kept / kept.sum(1, keepdims=True)


def mean_gain(channel: Drops) -> float:
    """Mean linear gain of the channel's users: over many fixed places, and in closed form over shadow fading."""
    return _mean_gain(_unit(channel))


@lru_cache(maxsize=16)
def _mean_gain(channel: Drops) -> float:
    scenario, large, _ = _placed(channel, np.random.default_rng(0), AVERAGED_USERS)
    shadow = np.exp((np.log(10) * _array(scenario.lsp_log_std)[:, 3]) ** 2 / 2)
    return float((10 ** (-_array(large.sample_pathloss()) / 10) * shadow).mean())


def _placed(channel: Drops, rng: np.random.Generator, users: int) -> tuple[Any, Any, Any]:
    """Sionna's scenario, with users at random places, and its generators of large-scale parameters and of rays."""
    scenario, large, small = _generators(channel.scenario, channel.carrier_frequency, channel.los)
    import tensorflow as tf
    from sionna.phy import config

    config.seed = int(rng.integers(1 << 31))
    area = channel.min_distance**2, channel.max_distance**2
    distance, azimuth = np.sqrt(rng.uniform(*area, users)), rng.uniform(-HALF_SECTOR, HALF_SECTOR, users)
    indoors = rng.random(users) < channel.indoor
    height = heights(rng, indoors, channel.floors) if channel.indoor else np.full(users, USER_HEIGHT)
    place = np.stack([distance * np.cos(azimuth), distance * np.sin(azimuth), height], -1)
    base = np.tile([0, 0, channel.base_height], (users, 1))
    zeros = tf.zeros([users, 1, 3])
    inside = tf.constant(indoors)[:, None]
    user, base = (tf.constant(v[:, None], tf.float32) for v in (place, base))
    los = None if channel.los == "any" else channel.los == "los"
    scenario.set_topology(user, base, zeros, zeros, zeros, inside, los)
    large.topology_updated_callback()
    small.topology_updated_callback()
    return scenario, large, small


def heights(rng: np.random.Generator, indoors: np.ndarray, floors: tuple[int, int]) -> np.ndarray:
    """Of users in m: 3 (n - 1) + 1.5 on floor n, any of a building's indoors, the first outdoors."""
    own = rng.integers(1, rng.integers(floors[0], floors[1] + 1, len(indoors)) + 1)
    return USER_HEIGHT + FLOOR_HEIGHT * np.where(indoors, own - 1, 0)


@lru_cache(maxsize=16)
def _generators(name: str, carrier_frequency: float, los: str) -> tuple[Any, Any, Any]:
    """Sionna 1.2.2's objects for one scenario (`los`: it remembers a forced one), corrected."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    # whoever wakes TensorFlow first decides whether torch keeps room on a GPU
    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)
    from sionna.phy.channel import tr38901

    element = tr38901.PanelArray(1, 1, "single", "V", "omni", carrier_frequency)
    settings = {"ut_array": element, "bs_array": element, "direction": "downlink"}
    settings |= {} if name == "RMa" else {"o2i_model": "low"}
    theirs = getattr(tr38901, f"{name}Scenario")
    answering = _states_3gpp.one_of_each(theirs(carrier_frequency, **settings))
    scenario = _scenario_3gpp.corrected(_states_3gpp.gathering(theirs, answering))(carrier_frequency, **settings)
    small = _states_3gpp.rays_generator(scenario)
    small._ray_offsets = tf.constant(OFFSETS, tf.float32)  # the 16th of its own is -0.1481
    return scenario, _states_3gpp.large_scale_generator(scenario), small


def _array(tensor: Any) -> np.ndarray:
    """A tensor `[users, 1 base, 1 user, ...]` as float64 `[users, ...]`."""
    return tensor.numpy()[:, 0, 0].astype(np.float64)


def _unit(channel: Drops) -> Drops:
    """The same users with one antenna at each end and unit power: what the caches below hold."""
    return replace(channel, rx_antennas=1, tx_antennas=1, large_scale=False)


def _known(channel: Drops) -> RayFade:
    return _known_users(_unit(channel))


@lru_cache(maxsize=8)
def _known_users(channel: Drops) -> RayFade:
    return channel.draw(np.random.default_rng(0), KNOWN_USERS)
