"""A channel together with impairments, itself a channel: `impair(channel, "cfo", hertz=200.0)`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from semlink.channels.base.fade import Channel, Fade, antennas
from semlink.channels.base.grid import Grid
from semlink.channels.base.impairment import Disturbance, Impairment


@dataclass(frozen=True)
class Impaired:
    """`channel` with `impairments`; as a channel it draws and correlates exactly as the bare one does.

    Raises ValueError for something that is no impairment, for two amplifiers, for two imbalances at one end, and for
    an impaired channel inside another.
    """

    channel: Channel
    impairments: tuple[Impairment, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "impairments", tuple(self.impairments))
        if isinstance(self.channel, Impaired):
            raise ValueError("the channel is impaired already: add to its impairments with channels.impair")
        for impairment in self.impairments:
            if not isinstance(impairment, Impairment):
                raise ValueError(
                    f"{impairment!r} is no impairment: derive it from semlink.channels.base.impairment.Impairment"
                )
        for what in ("saturation", "tx_iq", "rx_iq"):
            self._only(what)

    @property
    def csi(self) -> str:
        """The bare channel's default CSI mode."""
        return self.channel.csi

    @property
    def specular_power(self) -> float:
        """The bare channel's."""
        return self.channel.specular_power

    @property
    def coherence(self) -> str:
        """The bare channel's, "" where it has none."""
        return getattr(self.channel, "coherence", "")

    @property
    def rx_antennas(self) -> int:
        """The bare channel's."""
        return antennas(self.channel)[0]

    @property
    def tx_antennas(self) -> int:
        """The bare channel's."""
        return antennas(self.channel)[1]

    def draw(self, rng: np.random.Generator, images: int) -> Fade:
        """Fades of the bare channel."""
        return self.channel.draw(rng, images)

    def correlation(self, seconds: np.ndarray, hertz: np.ndarray) -> np.ndarray:
        """Of the bare channel; `phase_correlation` has what the mixer adds."""
        return self.channel.correlation(seconds, hertz)

    @property
    def amplifier(self) -> tuple[float, float]:
        """(saturation, smoothness) of the one amplifier, (inf, inf) without."""
        chosen = self._only("saturation")
        return chosen.saturation, chosen.smoothness

    @property
    def tx_iq(self) -> tuple[complex, complex]:
        """(mu, nu) of the transmitter, (1, 0) without imbalance."""
        return self._only("tx_iq").tx_iq

    @property
    def rx_iq(self) -> tuple[complex, complex]:
        """(mu, nu) of the receiver, (1, 0) without imbalance."""
        return self._only("rx_iq").rx_iq

    @property
    def age(self) -> float:
        """Seconds by which the receiver's estimate is older than the data: the ages add up."""
        return sum(i.age for i in self.impairments)

    def phase_correlation(self, seconds: np.ndarray) -> np.ndarray:
        """Of the summed phases, which are independent: the product."""
        ones = np.ones(np.shape(seconds), np.complex128)
        return reduce(np.multiply, (i.phase_correlation(seconds) for i in self.impairments), ones)

    def disturb(self, rng: np.random.Generator, images: int) -> Disturbances:
        """Disturbances of all impairments; one more at the end leaves the draws of those before it as they are."""
        return Disturbances(tuple(i.draw(rng, images) for i in self.impairments))

    def _only(self, what: str) -> Impairment:
        """The one impairment whose attribute `what` is not neutral."""
        neutral = Impairment()
        chosen = [i for i in self.impairments if getattr(i, what) != getattr(neutral, what)]
        if len(chosen) > 1:
            name = {"saturation": "amplifier", "tx_iq": "IQ modulator", "rx_iq": "IQ demodulator"}[what]
            raise ValueError(f"a link has one {name}, got {' and '.join(map(repr, chosen))}: leave one out")
        return chosen[0] if chosen else neutral


@dataclass(frozen=True)
class Disturbances(Disturbance):
    """Several disturbances at once: phases and interference add up, erasures unite."""

    parts: tuple[Disturbance, ...]

    def phase(self, images: np.ndarray, slots: np.ndarray, grid: Grid) -> np.ndarray | None:
        """Sum of the phases, in turns."""
        return _together(np.add, (p.phase(images, slots, grid) for p in self.parts))

    def interference(self, images: np.ndarray, slots: np.ndarray, grid: Grid) -> np.ndarray | None:
        """Sum of all interference."""
        return _together(np.add, (p.interference(images, slots, grid) for p in self.parts))

    def erased(self, images: np.ndarray, slots: np.ndarray, grid: Grid) -> np.ndarray | None:
        """What any of them drops."""
        return _together(np.logical_or, (p.erased(images, slots, grid) for p in self.parts))


def _together(join: Callable[..., np.ndarray], answers: Any) -> np.ndarray | None:
    """The answers that are not None, joined; None when all are."""
    given = [a for a in answers if a is not None]
    return reduce(join, given) if given else None
