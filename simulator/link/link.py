"""The link: streams -> slots -> power -> OFDM -> channel -> estimate -> equalise -> streams (architecture.md)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from semlink.channels.base.fade import Fade
from semlink.simulator import power as rules
from semlink.simulator.errors import SemlinkError
from semlink.simulator.link.air import Air, Slots, check_snr, noise_key
from semlink.simulator.link.allocation import allocate
from semlink.simulator.link.host import back, on_host
from semlink.simulator.link.long_term import LongTerm
from semlink.simulator.link.receiving import receive
from semlink.simulator.link.remembered import remembered
from semlink.simulator.link.report import make_report
from semlink.simulator.link.sending import Prepared, batch_size, prepare
from semlink.simulator.link.settings import LinkSettings
from semlink.simulator.link.statistics import link_statistics
from semlink.simulator.quiet import silence_frameworks
from semlink.simulator.reprs import table
from semlink.simulator.rng import public_seed
from semlink.simulator.values import LinkResult, LinkStatistics, Reception, Transmission, TxInfo


@dataclass(frozen=True)
class Sent:
    """One transmission after the air: how it was prepared, its symbols `[images, total]`, what arrived, mean powers."""

    prepared: Prepared
    symbols: Tensor
    reception: Reception
    powers: np.ndarray


class Link(LinkSettings):
    """A link of these settings (`LinkSettings` tells them) that sends; what it works out is kept outside the settings.

    So `dataclasses.replace(link, csi="perfect")` is a fresh link, and a pickled one holds its settings alone.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        silence_frameworks()  # before a channel loads TensorFlow

    def _repr_html_(self) -> str:
        return table("Link", ((own.name, getattr(self, own.name)) for own in fields(self)))

    def __call__(
        self, transmission: Transmission, snr_db: float | Sequence[float], seed: int = 0, first_image: int = 0
    ) -> Reception:
        """What the receiver gets; see `run`, which reports measurements too."""
        return self._send(transmission, snr_db, seed, first_image).reception

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
        fade, start_slot: continue a fade that you drew (it holds images first_image, ... of this batch); noise goes on
        with it, so that however a clip is cut into calls, a slot meets the same. Gradients flow through analog streams.
        SemlinkError for payloads that are not finite or not of unit power, an absurd SNR and slots before the first.
        """
        sent = self._send(transmission, snr_db, seed, first_image, fade, start_slot)
        report = make_report(sent.prepared, sent.reception, sent.symbols, sent.powers, self)
        return LinkResult(sent.reception, report)

    def _send(
        self,
        transmission: Transmission,
        snr_db: float | Sequence[float],
        seed: int,
        first_image: int,
        fade: Fade | None = None,
        start_slot: int = 0,
    ) -> Sent:
        snr = check_snr(snr_db, batch_size(transmission))
        if start_slot < 0:
            raise SemlinkError(f"start_slot={start_slot}: slots are counted from 0 on")
        transmission, home = on_host(transmission)
        prepared = prepare(self, transmission)
        slots = Slots.of(prepared.layout.slots, first_image, start_slot)
        air = Air(self.long_term, slots, snr, seed, noise_key(snr_db), fade)
        gains, precoder = air.feedback()
        rule, n0 = rules.create(self.power), torch.from_numpy(air.n0)
        allocation = allocate(prepared.sent, prepared.layout, rule, self.placement, gains, n0)
        prepared = replace(prepared, allocation=allocation)
        symbols = prepared.symbols()
        x_hat, a, powers = air.carry(allocation.placed(symbols), allocation.power, precoder)
        streams = tuple(back(stream, home) for stream in receive(prepared, x_hat, a))
        return Sent(prepared, symbols, Reception(streams, prepared.sent.session, public_seed(seed)), powers)

    def tx_info(self, snr_db: float, uses: int | None = None, seed: int = 0, statistics: bool = False) -> TxInfo:
        """What the transmitter knows before it encodes; `statistics` (needs `uses`) adds long-term link statistics."""
        known = self.statistics(snr_db, uses) if statistics and uses else None
        return TxInfo(snr_db=snr_db, uses=uses, statistics=known, public_seed=public_seed(seed))

    def statistics(self, snr_db: float, uses: int) -> LinkStatistics:
        """Long-term statistics for payloads of `uses` symbols, measured on fades that no test meets, kept on disk."""
        if (snr_db, uses) not in self._known:
            measure = partial(link_statistics, self.long_term, snr_db, uses)
            self._known[snr_db, uses] = remembered(self.long_term.settings, snr_db, uses, measure)
        return self._known[snr_db, uses]

    @cached_property
    def long_term(self) -> LongTerm:
        """What the receiver knows in the long term, worked out once."""
        return LongTerm(LinkSettings(*(getattr(self, f.name) for f in fields(self))))

    @cached_property
    def _known(self) -> dict[tuple[float, int], LinkStatistics]:
        return {}

    def __getstate__(self) -> dict[str, Any]:
        return {f.name: getattr(self, f.name) for f in fields(self)}
