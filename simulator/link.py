"""The link: streams -> slots -> power -> OFDM -> channel -> estimate -> equalise -> streams (architecture.md)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from semlink.channels._fade import Channel, Fade
from semlink.channels._grid import Grid
from semlink.simulator import layout
from semlink.simulator.adaptation import link_statistics
from semlink.simulator.bridge import differentiable, to_tensorflow
from semlink.simulator.engine.ofdm import CSI, EQUALIZERS, SLOTS, Csi, compiled_link, receiver_statistics, unit_power
from semlink.simulator.errors import SemlinkError
from semlink.simulator.fades import Fades, Noise
from semlink.simulator.receiving import receive
from semlink.simulator.report import make_report
from semlink.simulator.rng import public_seed
from semlink.simulator.sending import coded, counts, symbols
from semlink.simulator.values import SNR_LIMITS_DB, LinkResult, LinkStatistics, Reception, Transmission, TxInfo

POWER = ("uniform",)


@dataclass(frozen=True)
class Link:
    """An OFDM link over `channel`.

    csi: "perfect", "ls" (linear interpolation), "ls-nearest", "lmmse", or None for the channel's default (perfect on
    awgn, ls on fading). equalizer: "lmmse", "zf" or "mf". power: "uniform". grid: numerology and pilots.
    SemlinkError for an unknown name.
    """

    channel: Channel
    csi: str | None = None
    equalizer: str = "lmmse"
    power: str = "uniform"
    grid: Grid = Grid()
    _known: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "csi", self.csi or self.channel.csi)
        for value, known in ((self.csi, CSI), (self.equalizer, EQUALIZERS), (self.power, POWER)):
            if value not in known:
                raise SemlinkError(f"{value!r} is none of {', '.join(known)}")
        if getattr(self.channel, "coherence", "") == "symbol" and self.csi != "perfect":
            raise SemlinkError('gains that change with every symbol cannot be estimated from pilots: use csi="perfect"')

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
        reception, measured = self._send(transmission, snr_db, seed, first_image, fade, start_slot)
        return LinkResult(reception, make_report(transmission, reception, *measured, self.grid))

    def _send(
        self,
        transmission: Transmission,
        snr_db: float | Sequence[float],
        seed: int,
        first_image: int,
        fade: Fade | None = None,
        start_slot: int = 0,
    ) -> tuple[Reception, tuple[layout.Layout, Tensor, np.ndarray]]:
        """The reception, and what a report is made of: the layout, the symbols on the slots, mean powers per image."""
        snr = check_snr(snr_db, batch_size(transmission))
        bits = coded(transmission)
        plan = layout.Layout(counts(transmission, bits), self.grid.data_symbols)
        buffer = layout.place([symbols(s, i, bits, plan) for i, s in enumerate(transmission.streams)], plan)
        fades, noise = Fades(self.channel, seed, fade), Noise(self.channel, seed, noise_key(snr_db), self.grid)
        x_hat, a, powers = self._over_the_air(buffer, plan.slots, snr, fades, noise, first_image, start_slot)
        received = receive(transmission, bits, plan, x_hat, a)
        return Reception(received, transmission.session, public_seed(seed)), (plan, buffer, powers)

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
        """`a` of every symbol of `images` images of `uses` symbols: float32 `[images, uses]`."""
        slots = self.grid.slots(uses)
        buffer = layout.filler(slots * self.grid.data_symbols).repeat(images, 1)
        fades, noise = Fades(self.channel, seed), Noise(self.channel, seed, noise_key(snr_db), self.grid)
        snr = check_snr(snr_db, images)
        _, a, _ = self._over_the_air(buffer, np.full(images, slots), snr, fades, noise, 0, 0)
        return a[:, :uses].numpy()

    @property
    def estimation(self) -> Csi:
        """`csi`, which is one of the known modes."""
        return cast(Csi, self.csi)

    def _over_the_air(
        self,
        buffer: Tensor,
        slots: np.ndarray,
        snr: np.ndarray,
        fades: Fades,
        noise: Noise,
        first_image: int,
        start_slot: int,
    ) -> tuple[Tensor, Tensor, np.ndarray]:
        """x_hat and a `[images, total]` (0 beyond an image's slots), mean powers sent / faded / noise `[images, 3]`."""
        shape = (len(slots), buffer.shape[1] // self.grid.data_symbols)
        on_air = np.arange(shape[1]) < slots[:, None]
        image, slot = np.nonzero(on_air)
        flat = buffer.reshape(*shape, -1)
        flat = flat.flatten(0, 1) if on_air.all() else flat[torch.from_numpy(on_air)]
        n0 = (10 ** (-snr / 10)).astype(np.float32)
        parts = []
        for start in range(0, len(flat), SLOTS):
            i, t = image[start : start + SLOTS], slot[start : start + SLOTS]
            h = fades.at(first_image + i, start_slot + t, self.grid)
            parts.append(self._one_call(flat[start : start + SLOTS], h, noise.take(first_image + i), n0[i]))
        x_hat, a, *powers = (p[0] if len(p) == 1 else torch.cat(p) for p in zip(*parts, strict=True))
        measured = np.stack([np.bincount(image, p.detach().double().numpy()) for p in powers], -1) / slots[:, None]
        return _spread(x_hat, on_air), _spread(a, on_air), measured

    def _one_call(self, x: Tensor, h: np.ndarray, noise: np.ndarray, n0: np.ndarray) -> tuple[Tensor, ...]:
        """One call of the compiled graph, padded to its fixed number of slots."""
        specular = self.csi != "perfect" and self.channel.specular_power > 0
        gradients = torch.is_grad_enabled() and x.requires_grad
        graph = compiled_link(self.grid, self.estimation, self.equalizer, specular, gradients)
        count = len(x)
        drawn = [to_tensorflow(torch.from_numpy(_padded(v))) for v in (h, noise, n0)]
        if count < SLOTS:
            x = torch.cat([x, x.new_zeros(SLOTS - count, x.shape[1])])
        through = differentiable(lambda sent: graph(sent, unit_power(self.grid), *drawn, *self._receiver_statistics()))
        return tuple(y[:count] for y in through(x.contiguous()))

    def _receiver_statistics(self) -> tuple[Any, ...]:
        if "receiver" not in self._known:
            self._known["receiver"] = receiver_statistics(self.channel, self.grid, self.estimation)
        return self._known["receiver"]


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


def _spread(flat: Tensor, on_air: np.ndarray) -> Tensor:
    """Slots on the air `[n, data]` to `[images, total]`, zeros where an image has fewer slots."""
    if on_air.all():
        return flat.reshape(len(on_air), -1)
    whole = flat.new_zeros(*on_air.shape, flat.shape[1])
    return whole.index_put((torch.from_numpy(on_air),), flat).flatten(1)


def _padded(values: np.ndarray) -> np.ndarray:
    if len(values) == SLOTS:
        return values
    return np.concatenate([values, np.ones((SLOTS - len(values), *values.shape[1:]), values.dtype)])
