"""What hardware and air do to a signal besides the channel: base classes of the plug-ins in channels/impairments.

An impairment is a frozen dataclass whose fields are its configuration. What stays the same from slot to slot (the
amplifier, the imbalance, the age) are attributes; what is random comes from `draw(rng, images) -> Disturbance`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf

import numpy as np

from semlink.channels.base.grid import Grid

RX_OVERSAMPLING = 2  # samples of a phase per subcarrier and OFDM symbol


@dataclass(frozen=True)
class Disturbance:
    """Random effects on a block of images; this one is none. Subclasses pickle and override what they have.

    Slot `slots[i]` of image `images[i]` always meets the same draw, whatever else is asked for and in which order.
    Each method answers None where there is no such effect, for every slot alike.
    """

    def phase(self, images: np.ndarray, slots: np.ndarray, grid: Grid) -> np.ndarray | None:
        """Phase of the receiver's mixer in turns, float32 `[n, symbols, RX_OVERSAMPLING * subcarriers]`.

        At the samples of the useful part of each OFDM symbol (`sample_times`).
        """
        return None

    def interference(self, images: np.ndarray, slots: np.ndarray, grid: Grid) -> np.ndarray | None:
        """What others add at the FFT output, complex64 `[n, symbols, subcarriers]`; the wanted mean power sent is 1."""
        return None

    def erased(self, images: np.ndarray, slots: np.ndarray, grid: Grid) -> np.ndarray | None:
        """Which data symbols are dropped, bool `[n, data_symbols]` in raster order; the receiver knows it."""
        return None


class Impairment:
    """One impairment; the defaults do nothing.

    saturation, smoothness: of the transmit amplifier, g(r) = r / (1 + (r / A)^(2p))^(1 / 2p) with A = saturation in
    units of the rms amplitude and p = smoothness (inf: hard clipping).
    tx_iq, rx_iq: (mu, nu) of s' = mu s + nu conj(s). age: seconds between the receiver's channel estimate and the data.
    """

    saturation: float = inf
    smoothness: float = inf
    tx_iq: tuple[complex, complex] = (1, 0)
    rx_iq: tuple[complex, complex] = (1, 0)
    age: float = 0.0

    def draw(self, rng: np.random.Generator, images: int) -> Disturbance:
        """Independent disturbances for `images` images."""
        return Disturbance()

    def phase_correlation(self, seconds: np.ndarray) -> np.ndarray:
        """E[exp(j (theta(t + seconds) - theta(t)))] of the phase, complex128 in the shape of `seconds`."""
        return np.ones(np.shape(seconds), np.complex128)


def sample_times(grid: Grid) -> np.ndarray:
    """Seconds from a slot's start to the samples of a phase, float64 `[symbols, RX_OVERSAMPLING * subcarriers]`."""
    samples = RX_OVERSAMPLING * grid.subcarriers
    useful = np.arange(samples) / (samples * grid.subcarrier_spacing)
    return useful_starts(grid)[:, None] + useful


def useful_starts(grid: Grid) -> np.ndarray:
    """Seconds from the start of a slot to the end of the cyclic prefix of each symbol, float64 `[symbols]`."""
    return np.arange(grid.symbols) * grid.symbol_time + grid.prefix_time


def addressed(key: int, images: np.ndarray, slots: np.ndarray) -> Iterator[np.random.Generator]:
    """A generator for each (image, slot), which depends on nothing else but the Philox key.

    It is one object that moves from counter to counter (a new one would take longer than the draw): use each at once.
    """
    bits = np.random.Philox(key=key)
    rng, state = np.random.Generator(bits), bits.state
    for image, slot in zip(images, slots, strict=True):
        state["state"]["counter"][:] = (0, 0, int(image), int(slot) % 2**64)
        bits.state = state
        yield rng
