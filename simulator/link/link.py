"""The link: streams -> slots -> power -> OFDM -> channel -> estimate -> equalise -> streams (architecture.md)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from semlink.channels.base.fade import Channel, Fade, antennas
from semlink.channels.base.grid import Grid
from semlink.simulator import power as rules
from semlink.simulator.engine.setup import CSI, EQUALIZERS, Csi, Setup
from semlink.simulator.errors import SemlinkError
from semlink.simulator.link import layout
from semlink.simulator.link.air import Air, Slots
from semlink.simulator.link.allocation import PLACEMENT, Allocation, allocate, check_importance
from semlink.simulator.link.feedback import CSIT, PRECODING
from semlink.simulator.link.importance_stream import accompanied, without_lost
from semlink.simulator.link.long_term import Receiver
from semlink.simulator.link.receiving import receive
from semlink.simulator.link.report import make_report
from semlink.simulator.link.sending import coded, counts, symbols
from semlink.simulator.link.statistics import link_statistics
from semlink.simulator.rng import public_seed
from semlink.simulator.values import SNR_LIMITS_DB, LinkResult, LinkStatistics, Reception, Transmission, TxInfo

BITS = 3  # of a quantised report's magnitudes and phases


@dataclass(frozen=True)
class Link:
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
    _known: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "csi", self.csi or self.channel.csi)
        names = ((self.csi, CSI), (self.equalizer, EQUALIZERS), (self.power, rules.names()), (self.csit, CSIT))
        for value, known in (*names, (self.precoding, PRECODING), (self.placement, PLACEMENT)):
            if value not in known:
                raise SemlinkError(f"{value!r} is none of {', '.join(known)}")
        if getattr(self.channel, "coherence", "") == "symbol" and self.csi != "perfect":
            raise SemlinkError('gains that change with every symbol cannot be estimated from pilots: use csi="perfect"')
        check_antennas(self)
        check_knowledge(self)

    def __call__(
        self, transmission: Transmission, snr_db: float | Sequence[float], seed: int = 0, first_image: int = 0
    ) -> Reception:
        """What the receiver gets; see `run`, which reports measurements too."""
        return self._send(transmission, snr_db, seed, first_image)[0]

    def run(
        self,
        transmission: Transmission,
        snr_db: float | Sequence[float],
        seed: int = 0,
        first_image: int = 0,
        fade: Fade | None = None,
        start_slot: int = 0,
    ) -> LinkResult:
        """Send every image of the transmission on whole slots of its own.

        snr_db: Es/N0 in dB, a float or one per image. seed, first_image: fade and noise of image i depend on
        (seed, channel, first_image + i) and, the noise, on the SNR, never on the codec or the batch.
        fade, start_slot: continue a fade that you drew (it holds images first_image, ... of this batch). Gradients
        flow through analog streams. SemlinkError for payloads that are not finite or not of unit power, and for
        an absurd SNR.
        """
        reception, report = self._send(transmission, snr_db, seed, first_image, fade, start_slot)
        return LinkResult(reception, make_report(reception, *report, self.layers, self.grid))

    def _send(
        self,
        transmission: Transmission,
        snr_db: float | Sequence[float],
        seed: int,
        first_image: int,
        fade: Fade | None = None,
        start_slot: int = 0,
    ) -> tuple[Reception, tuple[Transmission, layout.Layout, Tensor, np.ndarray]]:
        """The reception, and what a report is made of: what was sent, its layout, its symbols, powers per image."""
        snr = check_snr(snr_db, batch_size(transmission))
        sent = self._told(transmission)
        bits = coded(sent)
        plan = layout.Layout(counts(sent, bits), self.places)
        buffer = layout.place([symbols(s, i, bits, plan) for i, s in enumerate(sent.streams)], plan)
        slots = Slots.of(plan.slots, first_image, start_slot)
        air = Air(self.receiver, slots, snr, seed, noise_key(snr_db), fade)
        allocation, precoder = self._allocation(sent, plan, air)
        x_hat, a, powers = air.carry(allocation.placed(buffer), allocation.power, precoder)
        received = receive(sent, bits, plan, allocation.taken(x_hat), allocation.taken(a))
        if allocation.joint:
            received = without_lost(sent, received)
        reception = Reception(received, sent.session, public_seed(seed))
        return reception, (sent, plan, buffer, powers)

    def _told(self, transmission: Transmission) -> Transmission:
        """The transmission, with importance that the receiver needs as streams of their own."""
        check_importance(transmission)
        needed = rules.create(self.power).needs_importance
        if needed and all(s.importance is None for s in transmission.streams):
            raise SemlinkError(f"power={self.power!r} needs a stream with importance; this codec gives none")
        return accompanied(transmission) if needed or self.placement == "importance" else transmission

    def _allocation(self, sent: Transmission, plan: layout.Layout, air: Air) -> tuple[Allocation, np.ndarray | None]:
        """Places and power of all symbols, and the precoder of each slot."""
        gains, precoder = (None, None) if self.csit == "none" else air.report()
        rule = rules.create(self.power)
        return allocate(sent, plan, rule, self.placement, gains, torch.from_numpy(air.n0)), precoder

    def tx_info(self, snr_db: float, uses: int | None = None, seed: int = 0, statistics: bool = False) -> TxInfo:
        """What the transmitter knows before it encodes; `statistics` (needs `uses`) adds long-term link statistics."""
        known = self.statistics(snr_db, uses) if statistics and uses else None
        return TxInfo(snr_db=snr_db, uses=uses, statistics=known, public_seed=public_seed(seed))

    def statistics(self, snr_db: float, uses: int) -> LinkStatistics:
        """Long-term statistics for payloads of `uses` symbols, measured on fades that no test meets."""
        if (snr_db, uses) not in self._known:
            self._known[snr_db, uses] = link_statistics(self, snr_db, uses)
        return self._known[snr_db, uses]

    def reliability(self, snr_db: float, uses: int, images: int, seed: int) -> np.ndarray:
        """`a` of every symbol of `images` images of `uses` symbols at uniform power: float32 `[images, uses]`."""
        return self.sound(layout.filler(uses).repeat(images, 1).numpy(), snr_db, seed)[1]

    def sound(self, x: np.ndarray, snr_db: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Send symbols `[images, uses]` of mean power 1 as they are, at uniform power: x_hat and `a`, shaped alike."""
        images, uses = x.shape
        count, snr = max(1, -(-uses // self.places)), check_snr(snr_db, images)
        rest = layout.filler(count * self.places)[uses:].expand(images, -1)
        buffer = torch.cat([torch.from_numpy(x), rest], 1)
        air = Air(self.receiver, Slots.of(np.full(images, count), 0, 0), snr, seed, noise_key(snr_db))
        x_hat, a, _ = air.carry(buffer, None, air.report()[1] if self.precoding == "svd" else None)
        return x_hat[:, :uses].numpy(), a[:, :uses].numpy()

    @property
    def calibrated(self) -> bool:
        """Whether `a` is right in every single fade, not only on average over them."""
        return self.csi == "perfect" and self.receiver.impaired is None

    @property
    def places(self) -> int:
        """Symbols of a slot: data resource elements times layers."""
        return self.grid.data_symbols * self.layers

    @property
    def receiver(self) -> Receiver:
        """The receiver's side, whose long-term statistics are worked out once."""
        if "receiver" not in self._known:
            self._known["receiver"] = Receiver(self)
        return self._known["receiver"]

    @property
    def setup(self) -> Setup:
        """What the compiled graph is made for."""
        rx, tx = antennas(self.channel)
        specular = self.csi != "perfect" and self.channel.specular_power > 0
        return Setup(
            self.grid, cast(Csi, self.csi), self.equalizer, rx, tx, self.layers, self.precoding == "svd", specular
        )


def check_antennas(link: Link) -> None:
    """SemlinkError for more layers than antennas, or antennas that nothing feeds."""
    rx, tx = antennas(link.channel)
    if not isinstance(link.layers, int) or not 1 <= link.layers <= min(rx, tx):
        raise SemlinkError(
            f"layers={link.layers} over {rx} receive and {tx} transmit antennas: give 1 to {min(rx, tx)} layers, "
            "or the channel more antennas (rx_antennas, tx_antennas)"
        )
    if link.precoding == "none" and link.layers != tx:
        raise SemlinkError(
            f"{tx} transmit antennas without precoding carry {tx} layers, not {link.layers}: "
            f'use layers={tx} or precoding="svd"'
        )
    if link.grid.subcarriers % tx:
        raise SemlinkError(f"{link.grid.subcarriers} subcarriers cannot be shared by the pilots of {tx} antennas")


def check_knowledge(link: Link) -> None:
    """SemlinkError when transmitter or receiver would have to know what they cannot."""
    rule = rules.create(link.power)
    needs = [f"power={link.power!r}"] if rule.needs_channel else []
    needs += ['precoding="svd"'] if link.precoding == "svd" else []
    needs += ['placement="importance"'] if link.placement == "importance" else []
    if needs and link.csit == "none":
        raise SemlinkError(f'{needs[0]} needs channel knowledge at the transmitter: give csit="perfect" or "delayed"')
    if needs and link.csi in ("ls", "ls-nearest"):
        raise SemlinkError(
            f"{needs[0]} with csi={link.csi!r}: a report holds more than the LS estimate of one resource element, "
            'so the receiver could not tell the SINR; use csi="lmmse" or "perfect"'
        )
    if rule.needs_channel and link.precoding == "none" and link.layers > 1:
        raise SemlinkError(f'power={link.power!r} over {link.layers} layers needs precoding="svd"')
    check_feedback(link)


def check_feedback(link: Link) -> None:
    """SemlinkError for a delay or a number of bits that cannot be, and for what the channel's gains do not last for."""
    delay, bits = link.csit_delay, link.csit_bits
    if not (isinstance(delay, int | None) and isinstance(bits, int) and (delay is None or delay > 0) and 0 < bits < 17):
        raise SemlinkError(f"csit_delay must be whole slots, 1 or more, and csit_bits 1 to 16, got {delay}, {bits}")
    if delay is not None and link.csit in ("none", "perfect"):
        raise SemlinkError(f'csit_delay is for csit="delayed" or "quantised", not {link.csit!r}')
    late = link.csit == "delayed" or delay is not None or getattr(link.channel, "age", 0.0) > 0
    if late and getattr(link.channel, "coherence", "") == "slot":
        raise SemlinkError(
            "gains that are drawn anew in every slot leave nothing of what was known before: "
            'use coherence="image", or a channel with motion such as tdl'
        )


def batch_size(transmission: Transmission) -> int:
    """Images of a transmission; SemlinkError when its streams disagree or there is none."""
    sizes = {s.name: len(s.payload) for s in transmission.streams}
    if len(set(sizes.values())) != 1 or len(sizes) != len(transmission.streams) or 0 in sizes.values():
        raise SemlinkError(
            f"a transmission needs uniquely named streams of the same, non-zero number of images, got {sizes}"
        )
    return next(iter(sizes.values()))


def check_snr(snr_db: float | Sequence[float], images: int) -> np.ndarray:
    """SNR in dB as float64 `[images]`; SemlinkError unless finite and within -30 to 60 dB."""
    snr = np.broadcast_to(np.asarray(snr_db, np.float64), (images,))
    if not np.all(np.isfinite(snr)) or snr.min() < SNR_LIMITS_DB[0] or snr.max() > SNR_LIMITS_DB[1]:
        raise SemlinkError(
            f"snr_db must be finite and within {SNR_LIMITS_DB[0]:g} to {SNR_LIMITS_DB[1]:g} dB, got {snr_db}"
        )
    return snr


def noise_key(snr_db: float | Sequence[float]) -> str:
    """Noise depends on a common SNR; with one SNR per image it does not, so that a batch can be split."""
    return f"{float(np.asarray(snr_db)):.6g}" if np.ndim(snr_db) == 0 else "per image"
