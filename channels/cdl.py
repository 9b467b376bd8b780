"""Clustered delay lines of 3GPP TR 38.901 (tables 7.7.1-1 to 7.7.1-5): rays with directions at both ends.

Time and frequency are as rich as in `tdl`, but antennas see each cluster from its own direction, so that their
correlation follows from the geometry, and each image travels in a random horizontal direction of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.special import j0

from semlink.channels._clusters import OFFSETS, RAYS, Rays, coupled, ray_fade
from semlink.channels._tr38901 import LIGHT, sionna_table
from semlink.channels.base.arrays import check_antennas
from semlink.channels.base.fade import RayFade
from semlink.channels.base.names import unknown

MODELS = ("A", "B", "C", "D", "E")


@dataclass(frozen=True)
class Cdl:
    """model: "A" to "C" without, "D" and "E" with a line of sight. delay_spread: rms, in seconds.

    speed: of the receiver in m/s. carrier_frequency in Hz. rx_antennas x tx_antennas: horizontal linear arrays of
    vertical isotropic elements half a wavelength apart, each facing the other end (azimuth 180 and 0 degrees).
    Raises ValueError for an unknown model or negative values.
    """

    model: str = "A"
    delay_spread: float = 100e-9
    speed: float = 3.0
    carrier_frequency: float = 3.5e9
    rx_antennas: int = 1
    tx_antennas: int = 1
    csi = "ls"

    def __post_init__(self) -> None:
        if self.model not in MODELS:
            raise ValueError(unknown("CDL model", str(self.model), MODELS))
        if not (self.delay_spread >= 0 and self.speed >= 0 and self.carrier_frequency > 0):
            raise ValueError(f"delay spread and speed must not be negative, the carrier must be positive: {self}")
        check_antennas(self.rx_antennas, self.tx_antennas)

    @property
    def max_doppler(self) -> float:
        """Largest Doppler shift in Hz."""
        return self.speed * self.carrier_frequency / LIGHT

    @property
    def specular_power(self) -> float:
        """Power of the line of sight (models D and E), else 0."""
        table = read_table(self.model)
        return float(table.powers[0, 0]) if table.powers[0, 1] == 0 else 0.0

    def draw(self, rng: np.random.Generator, images: int) -> RayFade:
        """Independent fades: random phases, random coupling of the rays' angles, random direction of travel."""
        table = read_table(self.model)
        aoa = np.broadcast_to(table.aoa, (images, *table.aoa.shape))
        zoa, aod, zod = (coupled(rng, angles, images) for angles in (table.zoa, table.aod, table.zod))
        powers = np.broadcast_to(table.powers, aoa.shape)
        rays = Rays(table.delays * self.delay_spread, powers, aoa, zoa, aod, zod)
        return ray_fade(rng, rays, self.max_doppler, (self.rx_antennas, self.tx_antennas))

    def correlation(self, seconds: np.ndarray, hertz: np.ndarray) -> np.ndarray:
        """Sum over rays of power times J0(2 pi nu seconds sin(zoa)) times delay phase.

        The Bessel function is the mean over the direction of travel; antennas are not part of it.
        """
        table = read_table(self.model)
        shape = np.broadcast(seconds, hertz).shape
        lags, place = np.unique(np.abs(np.broadcast_to(seconds, shape)), return_inverse=True)
        in_time = j0(2 * np.pi * self.max_doppler * lags[:, None, None] * np.sin(table.zoa))
        weights = (table.powers * in_time).sum(-1)[place.reshape(shape)]
        phases = np.exp(-2j * np.pi * np.asarray(hertz)[..., None] * table.delays * self.delay_spread)
        return (weights * phases).sum(-1)

    def specular_correlation(self, seconds: np.ndarray, hertz: np.ndarray) -> np.ndarray:
        """Of the line of sight alone, at delay 0, over directions of travel; of no use for models without one."""
        turns = self.max_doppler * np.sin(read_table(self.model).zoa[0, 0]) * np.asarray(seconds)
        return np.broadcast_to(j0(2 * np.pi * turns), np.broadcast(seconds, hertz).shape).astype(np.complex128)


@cache
def read_table(model: str) -> Rays:
    """The rays of one model before coupling, arrays `[paths, rays]`; delays `[paths]` in units of the rms spread.

    Powers sum to 1; a line of sight is a first path with all its power in its first ray (equation 7.7-0a).
    """
    table = sionna_table(f"CDL-{model}")
    powers = 10 ** (np.asarray(table["powers"]) / 10)
    per_ray = np.repeat(powers[:, None] / powers.sum() / RAYS, RAYS, 1)
    offsets = np.tile(OFFSETS, (len(powers), 1))
    if table["los"]:
        per_ray[0] = np.eye(RAYS)[0] * per_ray[0].sum()
        offsets[0] = 0
    spreads = {"aoa": "cASA", "zoa": "cZSA", "aod": "cASD", "zod": "cZSD"}
    angles = {name: np.radians(np.asarray(table[name])[:, None] + table[c] * offsets) for name, c in spreads.items()}
    return Rays(np.asarray(table["delays"]), per_ray, **angles)


PLUGIN = Cdl
