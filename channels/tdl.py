"""Tapped delay lines of 3GPP TR 38.901 (tables 7.7.2-1 to 7.7.2-5) with the isotropic (Jakes) Doppler spectrum.

Each path is a sum of 20 sinusoids at evenly spread angles with a random offset (Xiao, Zheng and Beaulieu 2006), so a
fade runs on through any number of slots. Delay profiles are read from the tables that Sionna ships.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.special import j0

from semlink.channels._tr38901 import LIGHT, sionna_table
from semlink.channels.base.arrays import check_antennas, correlated, shape
from semlink.channels.base.fade import RayFade, unit_phasor
from semlink.channels.base.names import unknown

MODELS = ("A", "B", "C", "D", "E", "A30", "B100", "C300")
RAYS = 20
LOS_ANGLE = np.pi / 4  # between the specular path and the motion, as in Sionna


@dataclass(frozen=True)
class Tdl:
    """model: "A" to "E", or "A30", "B100", "C300" whose delays are fixed. delay_spread: rms, in seconds.

    speed: of the receiver in m/s. carrier_frequency in Hz. rx_antennas x tx_antennas responses, of which the scattered
    part is correlated as rho^|i - j| at each end; a line of sight is the same at all antennas (broadside).
    Raises ValueError for an unknown model or negative values.
    """

    model: str = "A"
    delay_spread: float = 100e-9
    speed: float = 3.0
    carrier_frequency: float = 3.5e9
    rx_antennas: int = 1
    tx_antennas: int = 1
    rx_correlation: float = 0.0
    tx_correlation: float = 0.0
    csi = "ls"

    def __post_init__(self) -> None:
        if self.model not in MODELS:
            raise ValueError(unknown("TDL model", str(self.model), MODELS))
        if self.delay_spread < 0 or self.speed < 0 or self.carrier_frequency <= 0:
            raise ValueError(f"delay spread and speed must not be negative, the carrier must be positive: {self}")
        check_antennas(self.rx_antennas, self.tx_antennas, self.rx_correlation, self.tx_correlation)

    @property
    def max_doppler(self) -> float:
        """Largest Doppler shift in Hz."""
        return self.speed * self.carrier_frequency / LIGHT

    @property
    def specular_power(self) -> float:
        """Power of the line of sight (models D and E), else 0."""
        table = read_table(self.model)
        return float(table.powers[0]) if table.specular else 0.0

    def profile(self) -> Profile:
        """Delays in seconds and powers that sum to 1."""
        table = read_table(self.model)
        return Profile(
            table.delays * (self.delay_spread if table.scalable else 1e-9), table.powers, table.specular, True
        )

    def draw(self, rng: np.random.Generator, images: int) -> RayFade:
        """Independent fades: random phases of all rays, random offset of the angles of each path."""
        profile, antennas = self.profile(), shape(self.rx_antennas, self.tx_antennas)
        rays = (images, len(profile.delays), RAYS)
        angles = 2 * np.pi * (np.arange(RAYS) + rng.random(rays[:2])[..., None]) / RAYS
        phases = unit_phasor(rng.random((images, *antennas, *rays[1:])))
        line_of_sight = unit_phasor(rng.random((images, *(1 for _ in antennas)))) if profile.specular else None
        gains = correlated(phases, self.rx_correlation, self.tx_correlation)
        gains *= np.sqrt(profile.powers / RAYS).astype(np.float32)[:, None]
        if line_of_sight is not None:
            angles[:, 0] = LOS_ANGLE
            gains[..., 0, :] = 0
            gains[..., 0, 0] = line_of_sight * np.float32(np.sqrt(profile.powers[0]))
        return RayFade(profile.delays, gains, self.max_doppler * np.cos(angles))

    def correlation(self, seconds: np.ndarray, hertz: np.ndarray) -> np.ndarray:
        """Sum over paths of power times Doppler correlation (Bessel J0, or the specular tone) times delay phase."""
        profile, nu = self.profile(), self.max_doppler
        scattered = j0(2 * np.pi * nu * seconds).astype(np.complex128)
        specular = self.specular_correlation(seconds, np.array(0.0))
        total = np.zeros(np.broadcast(seconds, hertz).shape, np.complex128)
        for path, (delay, power) in enumerate(zip(profile.delays, profile.powers, strict=True)):
            in_time = specular if profile.specular and path == 0 else scattered
            total += power * in_time * np.exp(-2j * np.pi * np.asarray(hertz) * delay)
        return total

    def specular_correlation(self, seconds: np.ndarray, hertz: np.ndarray) -> np.ndarray:
        """Of the line of sight alone: its Doppler tone, at delay 0."""
        tone = np.exp(2j * np.pi * self.max_doppler * np.cos(LOS_ANGLE) * np.asarray(seconds))
        return np.broadcast_to(tone, np.broadcast(seconds, hertz).shape)


@dataclass(frozen=True)
class Profile:
    """Power-delay profile. specular: the first path is a line of sight. scalable: delays are in units of the spread."""

    delays: np.ndarray
    powers: np.ndarray
    specular: bool
    scalable: bool


@cache
def read_table(model: str) -> Profile:
    """The table of one model from Sionna's data files, powers normalised by their sum; does not import Sionna."""
    table = sionna_table(f"TDL-{model}")
    powers = 10 ** (np.asarray(table["powers"]) / 10)
    return Profile(np.asarray(table["delays"]), powers / powers.sum(), bool(table["los"]), bool(table["scale_delays"]))


PLUGIN = Tdl
