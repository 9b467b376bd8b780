"""The receiver's side of a link: which graph it runs, and the long-term statistics that it knows."""

from __future__ import annotations

import warnings
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from semlink.channels.base.fade import OVERSAMPLING
from semlink.channels.base.grid import Grid
from semlink.channels.base.impaired import Impaired
from semlink.simulator.engine.calibration import hardware_arguments, measure
from semlink.simulator.engine.knowledge import Distortion, none, receiver_statistics
from semlink.simulator.engine.setup import Setup
from semlink.simulator.engine.statistics import Prior
from semlink.simulator.link.fades import Fades, Noise, identity
from semlink.simulator.link.settings import LinkSettings
from semlink.simulator.rng import generator

DELAY = 4  # slots, of a delayed report unless the link says otherwise
WORTH_A_WARNING = 40.0  # dB of signal over intersymbol interference
NOISES = 8  # generators that are kept
SAMPLE = 64  # images of a draw from which long-term shares are taken


class LongTerm:
    """What the receiver of a link knows in the long term, worked out once: thin state under pure functions."""

    def __init__(self, settings: LinkSettings) -> None:
        self.settings = settings
        self.impaired = settings.impaired
        self._statistics: dict[tuple[Setup, float], dict[str, Any]] = {}
        self._noises: dict[tuple[int, str, str], Noise] = {}
        self._faded: tuple[int, Fades] | None = None

    def noise(self, seed: int, snr: str, use: str = "data") -> Noise:
        """The noise of a seed and SNR. The last few are kept where they stand, so that a clip's next frame goes on.

        use: for what; what is drawn does not depend on it.
        """
        asked = (seed, snr, use)
        found = self._noises.pop(asked, None) or Noise(self.settings.channel, seed, snr, self.settings.grid)
        while len(self._noises) >= NOISES:
            del self._noises[next(iter(self._noises))]
        self._noises[asked] = found
        return found

    def fades(self, seed: int) -> Fades:
        """The fades of a seed. Those of the last one are kept, so that the SNRs of a sweep share what is drawn."""
        if self._faded is None or self._faded[0] != seed:
            self._faded = seed, Fades(self.settings.channel, seed)
        return self._faded[1]

    @cached_property
    def age(self) -> int:
        """Whole slots by which the estimate is older than the data."""
        age = self.impaired.age if self.impaired else 0.0
        return int(np.ceil(age / self.settings.grid.slot_time - 1e-9))

    @cached_property
    def within_prefix(self) -> float:
        """Share of the channel's power that arrives as wanted signal; 1 unless paths outlast the cyclic prefix."""
        rng = generator("within prefix", identity(self.settings.channel))
        fade, images = self.settings.channel.draw(rng, SAMPLE), np.arange(SAMPLE)
        if fade.tail(images, 0 * images, self.settings.grid) is None:
            return 1.0
        whole, known = (np.mean(np.abs(f(images, 0 * images, self.settings.grid)) ** 2) for f in (fade.at, fade.known))
        share = float(known / whole)
        cap = 10 * np.log10(share / max(1 - share, 1e-9))
        if cap < WORTH_A_WARNING:
            prefix = 1e6 * self.settings.grid.prefix_time
            warnings.warn(
                f"{identity(self.settings.channel)}: paths outlast the cyclic prefix of {prefix:.1f} us; intersymbol "
                f"interference caps the SINR at {cap:.1f} dB on average",
                stacklevel=2,
            )
        return share

    @cached_property
    def distortion(self) -> Distortion:
        """What hardware and overrun do to the signal on average."""
        if self.within_prefix == 1 and not self._in_time:
            return none(self.settings.grid)
        bare = Impaired(self.settings.channel, ()) if self.impaired is None else self.impaired
        found = measure(bare, self.settings.grid, generator("calibration", repr(bare.impairments)))
        share = self.within_prefix
        return replace(found, power=found.power * share, overrun=(1 - share) / share)

    @cached_property
    def _in_time(self) -> bool:
        """Whether an impairment acts on the waveform, and not on symbols alone."""
        if self.impaired is None:
            return False
        drawn, one, grid = self.impaired.disturb(generator("probe"), 1), np.zeros(1, int), self.settings.grid
        steady = (self.impaired.amplifier[0], self.impaired.tx_iq, self.impaired.rx_iq) == (np.inf, (1, 0), (1, 0))
        return not steady or any(f(one, one, grid) is not None for f in (drawn.phase, drawn.interference))

    def setup(self, tail: np.ndarray | None) -> Setup:
        """The graph for slots whose paths have that tail."""
        late = self.within_prefix < 1 or tail is not None
        taps = 0 if tail is None else min(t for t in lengths(self.settings.grid) if t >= tail.shape[-1])
        setup = replace(self.settings.setup, hardware=self._in_time or late, taps=taps)
        if setup.csi == "perfect":
            return replace(setup, recalled=late or self.age > 0)
        return replace(setup, recalled=True, specular=False) if self.delay else setup

    @cached_property
    def delay(self) -> int:
        """Slots by which the transmitter's report is older than the data."""
        delay = self.settings.csit_delay
        return delay if delay is not None else DELAY * (self.settings.csit == "delayed")

    @cached_property
    def memory(self) -> complex:
        """Correlation of the channel with its report."""
        seconds = np.array(self.delay * self.settings.grid.slot_time)
        phase = self.impaired.phase_correlation(seconds) if self.impaired else 1.0
        return complex(self.settings.channel.correlation(seconds, np.array(0.0)) * phase)

    @cached_property
    def whitens(self) -> bool:
        """Whether estimates depend on the noise level, because coloured interference is whitened with it."""
        return bool(self.distortion.profile.any()) and self.settings.csi == "lmmse"

    def statistics(self, setup: Setup, n0: float) -> dict[str, Any]:
        """Constant arguments of the graph by name; n0: noise level at which coloured interference is whitened."""
        key = (replace(setup, taps=0), float(f"{n0:.6g}") if self.whitens else 1.0)
        if key not in self._statistics:
            found = receiver_statistics(setup, self._prior(), self.distortion, key[1])
            hardware = hardware_arguments(self.distortion, self.impaired) if setup.hardware else {}
            self._statistics[key] = found | hardware
        return self._statistics[key]

    def _prior(self) -> Prior:
        channel, age = self.settings.channel, self.age * self.settings.grid.slot_time
        phase = self.impaired.phase_correlation if self.impaired else np.ones_like
        bare = self.impaired.channel if self.impaired else channel
        return Prior(channel.correlation, phase, getattr(bare, "specular_correlation", None), age)


def lengths(grid: Grid) -> tuple[int, int]:
    """Numbers of taps that tails are filled up to: few, so that few graphs are compiled; the second is the longest."""
    return grid.subcarriers, OVERSAMPLING * grid.subcarriers + 1
