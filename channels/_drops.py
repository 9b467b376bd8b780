"""Drops of users, 3GPP TR 38.901 clause 7.5: every image is one user at a random place of a sector.

Tables are those that Sionna ships, and numbers are drawn in its order, so that both drop the same users from the same
seed but for where Sionna 1.2.2 differs from the report (`tests/channels/sionna_corrected.py` tells where, and is what
drops are compared with). Heights and who is indoors follow table 7.2-1, floors TR 36.873, table 6-1; buildings have low
loss. A scenario, `umi`, `uma` or `rma`, tells its own formulas: line of sight (table 7.4.2-1), path loss (7.4.1-1) and
zenith angles of departure (7.5-7 to 7.5-9).
Not drawn: the loss into cars (7.4.3.2), and the base station's antenna pattern.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import ClassVar

import numpy as np

from semlink.channels._clusters import RAYS, Rays, ray_fade, with_line_of_sight, with_subclusters
from semlink.channels._philox import Philox
from semlink.channels._scenario_3gpp import INDOORS, NLOS, Site, Table, read_table
from semlink.channels._scenario_3gpp import LOS as LOS_STATE
from semlink.channels._small_scale import Departure, LargeScale, draw_clusters
from semlink.channels._tr38901 import LIGHT
from semlink.channels.base.arrays import check_antennas
from semlink.channels.base.fade import RayFade, ray_correlation
from semlink.channels.base.names import unknown

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
class Drops(ABC):
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
    scenario: ClassVar[str]  # as the files of its tables are named
    base_height: ClassVar[float]  # m
    floors: ClassVar[tuple[int, int]] = FLOORS
    deepest: ClassVar[float] = 25.0  # m in a building
    lowest_tabulated: ClassVar[float] = 0.0  # GHz: below it the tables' formulas are taken there
    highest_carrier: ClassVar[float] = 100e9  # Hz

    def __post_init__(self) -> None:
        if self.los not in LOS:
            raise ValueError(unknown("los", str(self.los), LOS))
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
    def gigahertz(self) -> float:
        """The carrier."""
        return self.carrier_frequency / 1e9

    @property
    def table(self) -> Table:
        """The scenario's numbers at this carrier."""
        return read_table(self.scenario, max(self.gigahertz, self.lowest_tabulated))

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

    @abstractmethod
    def sight_probability(self, site: Site) -> np.ndarray:
        """Table 7.4.2-1: chance of each user, or of the building's wall, to be in line of sight."""

    @abstractmethod
    def basic_loss(self, site: Site, sight: np.ndarray, numbers: Philox) -> np.ndarray:
        """Table 7.4.1-1 in dB; sight: of the user, or of the building's wall."""

    @abstractmethod
    def zenith_spread(self, site: Site, los: np.ndarray) -> np.ndarray:
        """Tables 7.5-7 to 7.5-9: mean of lg ZSD."""

    @abstractmethod
    def zenith_offset(self, site: Site) -> np.ndarray:
        """The same tables: of zenith angles of departure without line of sight, degrees."""

    def shadow_deviation(self, at: Placed) -> np.ndarray:
        """Table 7.4.1-1 in dB."""
        return self.table.numbers["sigmaSF"][at.state]


@dataclass(frozen=True)
class Placed:
    """Users at their places: in sight of it they or their building's wall, `state` as in `_scenario_3gpp`, and their
    basic path loss in dB; numbers: of all that is still to be drawn.
    """

    site: Site
    sight: np.ndarray
    state: np.ndarray
    loss: np.ndarray
    numbers: Philox


@dataclass(frozen=True)
class Users:
    """rays: of unit power per user. specular: share of the line of sight. gain: linear, path loss and shadow fading."""

    rays: Rays
    specular: np.ndarray
    gain: np.ndarray


def drop(channel: Drops, rng: np.random.Generator, users: int) -> Users:
    """Users at random places; their randomness comes from `rng`, through a seed as Sionna takes one."""
    at = placed(channel, rng, users)
    large, departure = draw_large_scale(channel, at)
    clusters = draw_clusters(at.numbers, at.site, at.state, channel.table, large, departure)
    gain = 10 ** (-(at.loss + loss_into_buildings(at, channel.gigahertz)) / 10) * large.sf
    powers = without_faint(clusters.powers)
    delays = np.where(powers > 0, clusters.delays, 0).clip(max=LONGEST_DELAY)
    per_ray = np.repeat(powers[:, :, None] / RAYS, RAYS, 2)
    rays = Rays(delays, per_ray, clusters.aoa, clusters.zoa, clusters.aod, clusters.zod)
    specular = np.where(at.state == LOS_STATE, large.k / (large.k + 1), 0)
    azimuth, zenith = at.site.azimuth, at.site.zenith
    direct = (azimuth + np.pi, np.pi - zenith, azimuth, zenith)
    spread = 1e-9 * channel.table.numbers["cDS"][at.state]
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
    at = placed(channel, np.random.default_rng(0), AVERAGED_USERS)
    shadow = np.exp((np.log(10) * large_scale_law(channel, at)[1][:, 3]) ** 2 / 2)
    return float((10 ** (-(at.loss + loss_into_buildings(at, channel.gigahertz)) / 10) * shadow).mean())


def placed(channel: Drops, rng: np.random.Generator, users: int) -> Placed:
    """Users at random places, and what their state is there."""
    numbers = Philox(int(rng.integers(1 << 31)))
    area = channel.min_distance**2, channel.max_distance**2
    flat, azimuth = np.sqrt(rng.uniform(*area, users)), rng.uniform(-HALF_SECTOR, HALF_SECTOR, users)
    indoors = rng.random(users) < channel.indoor
    height = heights(rng, indoors, channel.floors) if channel.indoor else np.full(users, USER_HEIGHT)
    depth = np.where(indoors, depths(numbers.uniform(users), channel.deepest), 0)
    site = Site(flat, azimuth, height, indoors, depth, channel.base_height)
    sight = np.full(users, channel.los == "los")
    if channel.los == "any":
        sight = numbers.uniform(users) < channel.sight_probability(site)
    state = np.where(indoors, INDOORS, np.where(sight, LOS_STATE, NLOS))
    return Placed(site, sight, state, channel.basic_loss(site, sight, numbers), numbers)


def large_scale_law(channel: Drops, at: Placed) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of the logarithms of LARGE_SCALE, `[users, 7]` each."""
    of, state = channel.table.numbers, at.state
    zsd = channel.zenith_spread(at.site, state == LOS_STATE)
    means = (of["muDS"], of["muASD"], of["muASA"], 0 * of["muK"], of["muK"] / 10, of["muZSA"])
    deviations = (of["sigmaDS"], of["sigmaASD"], of["sigmaASA"], of["sigmaK"] / 10, of["sigmaZSA"], of["sigmaZSD"])
    ds, asd, asa, k, zsa, spread = (deviation[state] for deviation in deviations)
    sf = channel.shadow_deviation(at) / 10
    return np.stack([*(m[state] for m in means), zsd], 1), np.stack([ds, asd, asa, sf, k, zsa, spread], 1)


def draw_large_scale(channel: Drops, at: Placed) -> tuple[LargeScale, Departure]:
    """Step 4, and what it says of zenith angles of departure."""
    mean, deviation = large_scale_law(channel, at)
    drawn = np.einsum("uij,uj->ui", channel.table.roots[at.state], at.numbers.normal(len(mean), mean.shape[1]))
    ds, asd, asa, sf, k, zsa, zsd = (10 ** (mean + deviation * drawn)).T
    azimuths, zeniths = (np.minimum(asd, 104), np.minimum(asa, 104)), (np.minimum(zsa, 52), np.minimum(zsd, 52))
    offset = np.where(at.state == LOS_STATE, 0, channel.zenith_offset(at.site))
    return LargeScale(ds, *azimuths, sf, k, *zeniths), Departure(offset, 3 / 8 * 10 ** mean[:, 6])


def depths(drawn: np.ndarray, most: float) -> np.ndarray:
    """Clause 7.4.3.1: the least of two uniform draws within `most` metres; 1 - sqrt(1 - u) of one has its law."""
    return most * (1 - np.sqrt(1 - drawn.astype(float)))


def loss_into_buildings(at: Placed, gigahertz: float) -> np.ndarray:
    """Clause 7.4.3.1, low loss, dB: the wall, 0.5 dB a metre, and 4.4 dB at random; 0 outdoors."""
    glass, concrete = 2 + 0.2 * gigahertz, 5 + 4 * gigahertz
    wall = 5 - 10 * np.log10(0.3 * 10 ** (-glass / 10) + 0.7 * 10 ** (-concrete / 10))
    drawn = at.numbers.normal(len(at.state))
    return np.where(at.site.indoors, wall + 0.5 * at.site.depth + 4.4 * drawn, 0)


def heights(rng: np.random.Generator, indoors: np.ndarray, floors: tuple[int, int]) -> np.ndarray:
    """Of users in m: 3 (n - 1) + 1.5 on floor n, any of a building's indoors, the first outdoors."""
    own = rng.integers(1, rng.integers(floors[0], floors[1] + 1, len(indoors)) + 1)
    return USER_HEIGHT + FLOOR_HEIGHT * np.where(indoors, own - 1, 0)


def _unit(channel: Drops) -> Drops:
    """The same users with one antenna at each end and unit power: what the caches below hold."""
    return replace(channel, rx_antennas=1, tx_antennas=1, large_scale=False)


def _known(channel: Drops) -> RayFade:
    return _known_users(_unit(channel))


@lru_cache(maxsize=8)
def _known_users(channel: Drops) -> RayFade:
    return channel.draw(np.random.default_rng(0), KNOWN_USERS)
