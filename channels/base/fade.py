"""Draw, then apply: a channel draws a `Fade` once per block of images; a fade answers for any slot at any time.

A channel is a frozen dataclass with `csi` (the default CSI mode), `draw(rng, images) -> Fade` and
`correlation(seconds, hertz)`, the second-order statistics that its receiver knows. One file, one channel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from semlink.channels.base.grid import Grid

OVERSAMPLING = 4  # of the taps of `tail`, relative to one sample per subcarrier


class Channel(Protocol):
    """One channel model; its fields are its configuration, E|h|^2 = 1 over draws, antennas, time and frequency.

    A channel with several antennas also has `rx_antennas` and `tx_antennas`, one with a line of sight that moves
    `specular_correlation(seconds, hertz)`, the correlation of that part alone, 1 at (0, 0). Draws are keyed by its type
    and settings, unless it has `identity`, a text that tells what they depend on (such as the contents of a file).
    """

    csi: str
    specular_power: float  # share of E|h|^2 that comes with constant modulus and random phase

    def draw(self, rng: np.random.Generator, images: int) -> Fade:
        """Independent fades for `images` images."""
        ...

    def correlation(self, seconds: np.ndarray, hertz: np.ndarray) -> np.ndarray:
        """E[h(t + seconds, f + hertz) h*(t, f)], complex128, broadcast over both arguments; 1 at (0, 0)."""
        ...


def antennas(channel: Channel) -> tuple[int, int]:
    """(receive, transmit) antennas of a channel; (1, 1) unless it says otherwise."""
    return getattr(channel, "rx_antennas", 1), getattr(channel, "tx_antennas", 1)


class Fade:
    """Frequency responses of a block of images, continuous in time from slot 0 on; subclasses are frozen and pickle.

    images: how many. power, specular: per image, float32 `[images]`, the local mean of |h|^2 (large-scale gain) and of
    its constant-modulus part, which a receiver tracks; None where they are 1 and the channel's `specular_power`.
    Shapes: `antennas` below stands for nothing with one antenna at each end, else for (receive, transmit).
    """

    images: int
    power: np.ndarray | None = None
    specular: np.ndarray | None = None

    def at(self, images: np.ndarray, slots: np.ndarray, grid: Grid) -> np.ndarray:
        """Response of slot `slots[i]` of image `images[i]`: complex64 `[n, *antennas, symbols, subcarriers]`.

        Slots may be negative: what was before the first one.
        """
        raise AttributeError(f"{type(self).__name__} must define at(images, slots, grid)")

    def known(self, images: np.ndarray, slots: np.ndarray, grid: Grid) -> np.ndarray:
        """Gain of each resource element behind the receiver's FFT; `at`, unless paths outlast the cyclic prefix."""
        return self.at(images, slots, grid)

    def tail(self, images: np.ndarray, slots: np.ndarray, grid: Grid) -> np.ndarray | None:
        """Taps beyond the cyclic prefix, complex64 `[n, *antennas, symbols, taps]`, or None where there are none.

        Tap i is delayed by the prefix and i samples, OVERSAMPLING samples per subcarrier and symbol.
        """
        return None

    def response(self, start_slot: int, n_slots: int, grid: Grid = Grid()) -> np.ndarray:
        """Responses of all images: complex64 `[images, n_slots, *antennas, symbols, subcarriers]`."""
        images = np.repeat(np.arange(self.images), n_slots)
        slots = np.tile(np.arange(start_slot, start_slot + n_slots), self.images)
        flat = self.at(images, slots, grid)
        return flat.reshape(self.images, n_slots, *flat.shape[1:])


class PathFade(Fade):
    """Paths of fixed delay and moving gain: h(t, f) = sum_p g_p(t) e^{-j 2 pi f tau_p}; subclasses have `_paths`.

    delays: seconds, float64 `[paths]` for all images or `[images, paths]`.
    """

    delays: np.ndarray

    def _paths(self, images: np.ndarray, slots: np.ndarray, grid: Grid) -> np.ndarray:
        """Gain of every path in every OFDM symbol: complex64 `[n, *antennas, symbols, paths]`."""
        raise AttributeError(f"{type(self).__name__} must define _paths(images, slots, grid)")

    def at(self, images: np.ndarray, slots: np.ndarray, grid: Grid) -> np.ndarray:
        return self._heard(self._paths(images, slots, grid), images, grid)

    def known(self, images: np.ndarray, slots: np.ndarray, grid: Grid) -> np.ndarray:
        excess = self.excess(grid)
        if not excess.any():
            return self.at(images, slots, grid)
        inside, paths = np.float32(1) - _of(excess, images), self._paths(images, slots, grid)
        return self._heard(paths * _lifted(inside, paths.ndim), images, grid)

    def tail(self, images: np.ndarray, slots: np.ndarray, grid: Grid) -> np.ndarray | None:
        excess = self.excess(grid)
        if not excess.any():
            return None
        late = np.broadcast_to(_of(excess, images), (len(images), excess.shape[-1]))
        place = np.rint(late * OVERSAMPLING * grid.subcarriers).astype(int)
        paths = self._paths(images, slots, grid)
        taps = np.zeros((*paths.shape[:-1], place.max() + 1), np.complex64)
        for path in np.flatnonzero(late.any(0)):
            rows = np.flatnonzero(late[:, path])
            taps[rows, ..., place[rows, path]] += paths[rows, ..., path]
        return taps

    def excess(self, grid: Grid) -> np.ndarray:
        """By how much each path outlasts the cyclic prefix, as a share of the useful symbol; float32, as `delays`.

        Raises ValueError for a path that outlasts a whole symbol beyond the prefix.
        """
        excess = np.maximum(self.delays - grid.prefix_time, 0) * grid.subcarrier_spacing
        if excess.max() > 1:
            raise ValueError(
                f"a path of {1e6 * self.delays.max():.1f} us outlasts the prefix by more than a symbol of "
                f"{1e6 / grid.subcarrier_spacing:.1f} us: use a smaller subcarrier spacing"
            )
        return np.where(excess > 1e-9, excess, 0).astype(np.float32)

    def _heard(self, paths: np.ndarray, images: np.ndarray, grid: Grid) -> np.ndarray:
        """Paths to subcarriers."""
        if self.delays.ndim == 1:
            return paths @ unit_phasor(-self.delays[:, None] * grid.frequencies())
        chosen, place = np.unique(images, return_inverse=True)
        phases = unit_phasor(-self.delays[chosen][:, :, None] * grid.frequencies())[place]
        return paths @ phases.reshape(len(images), *(1,) * (paths.ndim - 3), *phases.shape[1:])


@dataclass(frozen=True)
class RayFade(PathFade):
    """Paths made of rays: g_p(t) = sum_m c_pm e^{j 2 pi nu_pm t}.

    gains: complex64 `[images, *antennas, paths, rays]`. doppler: Hz, float64 `[images, paths, rays]`.
    """

    delays: np.ndarray
    gains: np.ndarray
    doppler: np.ndarray
    power: np.ndarray | None = None
    specular: np.ndarray | None = None

    @property
    def images(self) -> int:  # type: ignore[override]
        return len(self.gains)

    def _paths(self, images: np.ndarray, slots: np.ndarray, grid: Grid) -> np.ndarray:
        gains = np.ascontiguousarray(np.moveaxis(self.gains[images], -1, 0))
        doppler = np.ascontiguousarray(np.moveaxis(self.doppler[images], 2, 0))
        extra = gains.ndim - doppler.ndim
        start, step = (
            v.reshape(*v.shape[:2], *(1,) * extra, v.shape[2])
            for v in (
                unit_phasor(doppler * (slots * grid.slot_time)[:, None]),
                unit_phasor(doppler * grid.symbol_time),
            )
        )
        rays = gains * start
        paths = np.empty((*gains.shape[1:-1], grid.symbols, gains.shape[-1]), np.complex64)
        for symbol in range(grid.symbols):
            paths[..., symbol, :] = rays.sum(0)  # rays first: sums run over long rows
            rays *= step
        return paths


def ray_correlation(fade: RayFade, seconds: np.ndarray, hertz: np.ndarray) -> np.ndarray:
    """Mean over images and antennas of the sum over rays of |c|^2 e^{j 2 pi (nu seconds - tau hertz)}, complex128.

    The correlation of a channel whose rays have independent uniform phases, from one large draw of it.
    """
    shape = np.broadcast(seconds, hertz).shape
    times, t = np.unique(np.round(np.broadcast_to(seconds, shape), 12), return_inverse=True)
    shifts, f = np.unique(np.round(np.broadcast_to(hertz, shape), 6), return_inverse=True)
    powers = (np.abs(fade.gains) ** 2).reshape(fade.images, -1, *fade.gains.shape[-2:]).mean(1)
    in_time = np.stack([(powers * unit_phasor(fade.doppler * time)).sum(-1) for time in times])
    delays = np.broadcast_to(fade.delays, in_time.shape[1:])
    phases = unit_phasor(-delays.reshape(-1, 1) * shifts)
    table = in_time.reshape(len(times), -1).astype(np.complex128) @ phases / fade.images
    return table[t.reshape(shape), f.reshape(shape)]


def unit_phasor(turns: np.ndarray) -> np.ndarray:
    """e^{j 2 pi turns} as complex64; whole turns are removed in float64 first, so long clips keep their phase."""
    radians = (2 * np.pi * (turns - np.rint(turns))).astype(np.float32)
    phasor = np.empty(radians.shape, np.complex64)
    np.cos(radians, out=phasor.real)
    np.sin(radians, out=phasor.imag)
    return phasor


def complex_normal(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """CN(0, 1) samples, complex64."""
    pairs = rng.standard_normal((*shape, 2), dtype=np.float32)
    return pairs.view(np.complex64)[..., 0] * np.float32(np.sqrt(0.5))


def philox_key(rng: np.random.Generator) -> int:
    """A fresh 63-bit key for draws that are made later."""
    return int(rng.integers(1 << 63))


def _of(values: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Per-path values of each of `images`: the same for all, or a row an image."""
    return values if values.ndim == 1 else values[images]


def _lifted(values: np.ndarray, ndim: int) -> np.ndarray:
    """Per-path values `[paths]` or `[n, paths]` with axes of length 1 in the middle."""
    return values if values.ndim == 1 else values.reshape(len(values), *(1,) * (ndim - 2), -1)
