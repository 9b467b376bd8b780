"""Paths traced through a built-in city scene of Sionna RT: a mast at 10 m, users at 1.5 m on open ground around it.

h = sum_p A_p e^{j phi_p} e^{j 2 pi nu_p t} e^{-j 2 pi f tau_p}: amplitude A, delay tau (from the first path on) and
angles of every path come from the trace. An image is received by one of the users, who moves in a random direction d:
nu = speed / wavelength * <arrival, d>. The place is known to far more than a wavelength, so phases phi are uniform and
independent. The default scenario comes traced with the package; others are traced once and cached (_path_cache.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import j0

from semlink.channels._path_cache import PathTable, Scenario, paths, scenes, table_file
from semlink.channels._tr38901 import LIGHT
from semlink.channels.base.arrays import check_antennas, shape
from semlink.channels.base.fade import RayFade, unit_phasor
from semlink.channels.base.names import unknown


@dataclass(frozen=True)
class RayTraced:
    """scene: a built-in scene of sionna.rt with open ground. users: places in it, drawn once and for all.

    speed: of the users in m/s. carrier_frequency in Hz. max_depth: reflections and diffractions of a path at most.
    rx_antennas, tx_antennas: half-wavelength lines; the users' is across their way, the mast's is along the y axis.
    large_scale: False divides each user's gain out, E|h|^2 = 1 for everyone; True keeps it, with one constant per scene
    so that its mean over users is 1, and `Fade.power` holds each. Raises ValueError for an unknown scene or impossible
    numbers, and at the first use where a trace is needed and cannot be made.
    """

    scene: str = "simple_street_canyon"
    users: int = 128
    speed: float = 3.0
    carrier_frequency: float = 3.5e9
    max_depth: int = 3
    rx_antennas: int = 1
    tx_antennas: int = 1
    large_scale: bool = False
    csi = "ls"

    def __post_init__(self) -> None:
        if self.scene not in scenes():
            raise ValueError(unknown("scene", str(self.scene), scenes()))
        if int(self.users) != self.users or int(self.max_depth) != self.max_depth:
            raise ValueError(f"users and max_depth must be whole numbers: {self}")
        if self.users < 1 or self.speed < 0 or self.carrier_frequency <= 0 or self.max_depth < 0:
            raise ValueError(f"users and carrier must be positive, speed and max_depth not negative: {self}")
        check_antennas(self.rx_antennas, self.tx_antennas)

    @property
    def max_doppler(self) -> float:
        """Largest Doppler shift in Hz."""
        return self.speed * self.carrier_frequency / LIGHT

    @property
    def specular_power(self) -> float:
        """Mean power of the strongest path."""
        return float((self._amplitudes()[:, 0] ** 2).mean())

    def draw(self, rng: np.random.Generator, images: int) -> RayFade:
        """Independent fades: random user, direction of travel and phases."""
        table, users = self.table(), rng.integers(self.users, size=images)
        heading = 2 * np.pi * rng.random((images, 1))
        amplitudes = self._amplitudes()[users]
        width = int((amplitudes > 0).sum(1).max())
        zenith, azimuth = np.moveaxis(table.arrival[users, :width].astype(np.float64), -1, 0)
        out_zenith, out_azimuth = np.moveaxis(table.departure[users, :width].astype(np.float64), -1, 0)
        along = np.sin(zenith) * np.cos(azimuth - heading)
        at_user = line(self.rx_antennas, np.sin(zenith) * np.sin(azimuth - heading))
        at_mast = line(self.tx_antennas, np.sin(out_zenith) * np.sin(out_azimuth))
        rays = amplitudes[:, :width] * unit_phasor(rng.random((images, width)))
        gains = rays[:, None, None] * at_user[:, :, None] * at_mast[:, None]
        gains = gains.reshape(images, *shape(self.rx_antennas, self.tx_antennas), width, 1)
        power = (amplitudes**2).sum(1) if self.large_scale else None
        doppler = self.max_doppler * along[..., None]
        return RayFade(excess_delays(table)[users, :width], gains, doppler, power, amplitudes[:, 0] ** 2)

    def correlation(self, seconds: np.ndarray, hertz: np.ndarray) -> np.ndarray:
        """Mean over users of the sum over paths of A^2 J0(2 pi nu seconds sin(zenith)) e^{-j 2 pi tau hertz}.

        J0 is the exact mean over directions of travel. complex128, broadcast over both arguments.
        """
        table, amplitudes = self.table(), self._amplitudes()
        real = amplitudes > 0
        power = amplitudes[real].astype(np.float64) ** 2
        reach = self.max_doppler * np.sin(table.arrival[real][:, 0].astype(np.float64))
        form = np.broadcast(seconds, hertz).shape
        times, t = np.unique(np.round(np.broadcast_to(seconds, form), 12), return_inverse=True)
        shifts, f = np.unique(np.round(np.broadcast_to(hertz, form), 6), return_inverse=True)
        in_time = power * j0(2 * np.pi * reach * times[:, None])
        found = in_time @ np.exp(-2j * np.pi * excess_delays(table)[real][:, None] * shifts) / power.sum()
        return found[t.reshape(form), f.reshape(form)]

    def specular_correlation(self, seconds: np.ndarray, hertz: np.ndarray) -> np.ndarray:
        """Of the strongest paths alone, from their own delay on: their mean J0(2 pi nu seconds sin(zenith))."""
        power = self._amplitudes()[:, 0].astype(np.float64) ** 2
        reach = self.max_doppler * np.sin(self.table().arrival[:, 0, 0].astype(np.float64))
        times, t = np.unique(np.round(seconds, 12), return_inverse=True)
        found = j0(2 * np.pi * reach * times[:, None]) @ power / power.sum()
        return np.broadcast_to(found[t.reshape(np.shape(seconds))], np.broadcast(seconds, hertz).shape).astype(complex)

    def files(self) -> tuple[Path, ...]:
        """The table of its paths; none where they are yet to be traced."""
        found = table_file(self._scenario())
        return (found,) if found else ()

    def table(self) -> PathTable:
        """The traced paths; amplitudes are absolute path gains."""
        return paths(self._scenario())

    def _scenario(self) -> Scenario:
        return Scenario(self.scene, int(self.users), float(self.carrier_frequency), int(self.max_depth))

    def _amplitudes(self) -> np.ndarray:
        """Amplitudes A after normalisation, float32 `[users, paths]`."""
        amplitudes = self.table().amplitudes.astype(np.float64)
        power = (amplitudes**2).sum(1, keepdims=True)
        return (amplitudes / np.sqrt(power.mean() if self.large_scale else power)).astype(np.float32)


def line(antennas: int, sine: np.ndarray) -> np.ndarray:
    """Phases of a half-wavelength line for paths at `sine` from broadside `[n, paths]`: `[n, antennas, paths]`."""
    return unit_phasor(np.arange(antennas)[:, None] * sine[:, None] / 2)


def excess_delays(table: PathTable) -> np.ndarray:
    """Delays after each user's first path, float64 `[users, paths]`; 0 for padding."""
    delays, real = table.delays.astype(np.float64), table.amplitudes > 0
    first = np.where(real, delays, np.inf).min(1, keepdims=True)
    return np.where(real, delays - first, 0.0)


PLUGIN = RayTraced
