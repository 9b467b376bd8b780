"""What a link is: its channel, receiver, grid, antennas, channel knowledge and power, checked against each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from semlink.channels.base.fade import Channel, antennas
from semlink.channels.base.grid import Grid
from semlink.channels.base.impaired import Impaired
from semlink.simulator import power as rules
from semlink.simulator.engine.setup import Csi, Setup
from semlink.simulator.errors import SemlinkError
from semlink.simulator.link.named import NAMED, check_name

BITS = 3  # of a quantised report's magnitudes and phases


@dataclass(frozen=True)
class LinkSettings:
    """An OFDM link over `channel`.

    csi: "perfect", "ls" (linear interpolation), "ls-nearest", "lmmse", or None for the channel's default (perfect on
    awgn, ls on fading). equalizer: "lmmse", "zf" or "mf". grid: numerology and pilots.
    layers: streams per resource element. precoding: "none" (a layer an antenna) or "svd" (needs csit).
    csit: what the transmitter knows of what the receiver knows, which feeds it back: "none", "perfect" (fresh and
    exact), "delayed" by `csit_delay` slots, or "quantised" to `csit_bits` for magnitude and phase of every subband and
    slot. Both ends hold the same report, so the receiver knows what is made of it; csi is then "lmmse" or "perfect".
    power: name of an allocation rule (`semlink.simulator.power.names()`), for analog streams.
    placement: "order", or "importance": the more important a symbol, the stronger its place (needs csit).
    SemlinkError for an unknown name or a combination that cannot work.
    """

    channel: Channel
    csi: str | None = None
    equalizer: str = "lmmse"
    power: str = "uniform"
    grid: Grid = Grid()
    layers: int = 1
    precoding: str = "none"
    csit: str = "none"
    csit_delay: int | None = None
    csit_bits: int = BITS
    placement: str = "order"

    def __post_init__(self) -> None:
        object.__setattr__(self, "csi", self.csi or self.channel.csi)
        for name in NAMED:
            check_name(name, getattr(self, name))
        if getattr(self.channel, "coherence", "") == "symbol" and self.csi != "perfect":
            raise SemlinkError('gains that change with every symbol cannot be estimated from pilots: use csi="perfect"')
        check_antennas(self)
        check_knowledge(self)

    @property
    def impaired(self) -> Impaired | None:
        """The channel with its impairments; None for a bare one."""
        return self.channel if isinstance(self.channel, Impaired) else None

    @property
    def calibrated(self) -> bool:
        """Whether `a` is right in every single fade, not only on average over them."""
        return self.csi == "perfect" and self.impaired is None

    @property
    def places(self) -> int:
        """Symbols of a slot: data resource elements times layers."""
        return self.grid.data_symbols * self.layers

    @property
    def setup(self) -> Setup:
        """What the compiled graph is made for."""
        rx, tx = antennas(self.channel)
        specular = self.csi != "perfect" and self.channel.specular_power > 0
        return Setup(
            self.grid, cast(Csi, self.csi), self.equalizer, rx, tx, self.layers, self.precoding == "svd", specular
        )


def check_antennas(settings: LinkSettings) -> None:
    """SemlinkError for more layers than antennas, or antennas that nothing feeds."""
    rx, tx = antennas(settings.channel)
    if not isinstance(settings.layers, int) or not 1 <= settings.layers <= min(rx, tx):
        raise SemlinkError(
            f"layers={settings.layers} over {rx} receive and {tx} transmit antennas: give 1 to {min(rx, tx)} layers, "
            "or the channel more antennas (rx_antennas, tx_antennas)"
        )
    if settings.precoding == "none" and settings.layers != tx:
        raise SemlinkError(
            f"{tx} transmit antennas without precoding carry {tx} layers, not {settings.layers}: "
            f'use layers={tx} or precoding="svd"'
        )
    if settings.grid.subcarriers % tx:
        raise SemlinkError(f"{settings.grid.subcarriers} subcarriers cannot be shared by the pilots of {tx} antennas")


def check_knowledge(settings: LinkSettings) -> None:
    """SemlinkError when transmitter or receiver would have to know what they cannot."""
    rule = rules.create(settings.power)
    needs = [f"power={settings.power!r}"] if rule.needs_channel else []
    needs += ['precoding="svd"'] if settings.precoding == "svd" else []
    needs += ['placement="importance"'] if settings.placement == "importance" else []
    if needs and settings.csit == "none":
        raise SemlinkError(f'{needs[0]} needs channel knowledge at the transmitter: give csit="perfect" or "delayed"')
    if needs and settings.csi in ("ls", "ls-nearest"):
        raise SemlinkError(
            f"{needs[0]} with csi={settings.csi!r}: a report holds more than the LS estimate of one resource element, "
            'so the receiver could not tell the SINR; use csi="lmmse" or "perfect"'
        )
    if rule.needs_channel and settings.precoding == "none" and settings.layers > 1:
        raise SemlinkError(f'power={settings.power!r} over {settings.layers} layers needs precoding="svd"')
    check_feedback(settings)


def check_feedback(settings: LinkSettings) -> None:
    """SemlinkError for a delay or a number of bits that cannot be, and for what the channel's gains do not last for."""
    delay, bits = settings.csit_delay, settings.csit_bits
    if not (isinstance(delay, int | None) and isinstance(bits, int) and (delay is None or delay > 0) and 0 < bits < 17):
        raise SemlinkError(f"csit_delay must be whole slots, 1 or more, and csit_bits 1 to 16, got {delay}, {bits}")
    if delay is not None and settings.csit in ("none", "perfect"):
        raise SemlinkError(f'csit_delay is for csit="delayed" or "quantised", not {settings.csit!r}')
    late = settings.csit == "delayed" or delay is not None or getattr(settings.channel, "age", 0.0) > 0
    if late and getattr(settings.channel, "coherence", "") == "slot":
        raise SemlinkError(
            "gains that are drawn anew in every slot leave nothing of what was known before: "
            'use coherence="image", or a channel with motion such as tdl'
        )
