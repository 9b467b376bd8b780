"""The link: streams -> slots -> power -> OFDM -> channel -> estimate -> equalise -> streams (architecture.md)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Sequence

import numpy as np
import torch
from torch import Tensor

from semlink.channels._fade import Channel, Fade
from semlink.channels._grid import Grid
from semlink.simulator import layout, payloads
from semlink.simulator.adaptation import link_statistics
from semlink.simulator.bridge import differentiable, to_tensorflow
from semlink.simulator.engine.ofdm import CSI, EQUALIZERS, SLOTS, compiled_link, receiver_statistics, unit_power
from semlink.simulator.errors import SemlinkError
from semlink.simulator.fades import Fades, Noise
from semlink.simulator.report import make_report
from semlink.simulator.rng import key, public_seed
from semlink.simulator.values import LinkResult, LinkStatistics, ReceivedStream, Reception, Stream, Transmission, TxInfo

POWER = ("uniform",)
SNR_LIMITS = (-30.0, 60.0)  # dB


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

    def __call__(self, transmission: Transmission, snr_db: float | Sequence[float], seed: int = 0, first_image: int = 0) -> Reception:
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
        flow through analog streams. SemlinkError for payloads that are not finite or not of unit power, and for an absurd SNR.
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
        bits = {i: payloads.blocks_of(s) for i, s in enumerate(transmission.streams) if s.kind == "bits" and not s.ideal}
        plan = self._plan(transmission, bits)
        buffer = layout.place([_symbols(s, i, bits, plan) for i, s in enumerate(transmission.streams)], plan)
        fades, noise = Fades(self.channel, seed, fade), Noise(self.channel, seed, noise_key(snr_db), self.grid)
        x_hat, a, powers = self._over_the_air(buffer, plan.slots, snr, fades, noise, first_image, start_slot)
        received = _receive(transmission, bits, plan, x_hat, a)
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

    def _plan(self, transmission: Transmission, bits: dict[int, Any]) -> layout.Layout:
        counts = [bits[i][1] if i in bits else _fixed_uses(s) for i, s in enumerate(transmission.streams)]
        return layout.Layout(np.stack(counts), self.grid.data_symbols)

    def _over_the_air(
        self, buffer: Tensor, slots: np.ndarray, snr: np.ndarray, fades: Fades, noise: Noise, first_image: int, start_slot: int
    ) -> tuple[Tensor, Tensor, np.ndarray]:
        """x_hat and a `[images, total]` (0 beyond an image's slots), mean powers sent / faded / noise `[images, 3]`."""
        shape = (len(slots), buffer.shape[1] // self.grid.data_symbols)
        on_air = np.arange(shape[1]) < slots[:, None]
        image, slot = np.nonzero(on_air)
        flat = buffer.reshape(*shape, -1)[torch.from_numpy(on_air)]
        n0 = (10 ** (-snr / 10)).astype(np.float32)
        parts = []
        for start in range(0, len(flat), SLOTS):
            i, t = image[start : start + SLOTS], slot[start : start + SLOTS]
            h = fades.at(first_image + i, start_slot + t, self.grid)
            parts.append(self._one_call(flat[start : start + SLOTS], h, noise.take(first_image + i), n0[i]))
        x_hat, a, *powers = (torch.cat(p) for p in zip(*parts, strict=True))
        measured = np.stack([np.bincount(image, p.detach().double().numpy()) for p in powers], -1) / slots[:, None]
        return _spread(x_hat, on_air), _spread(a, on_air), measured

    def _one_call(self, x: Tensor, h: np.ndarray, noise: np.ndarray, n0: np.ndarray) -> tuple[Tensor, ...]:
        """One call of the compiled graph, padded to its fixed number of slots."""
        specular = self.csi != "perfect" and self.channel.specular_power > 0
        gradients = torch.is_grad_enabled() and x.requires_grad
        graph = compiled_link(self.grid, self.csi, self.equalizer, specular, gradients)
        count = len(x)
        drawn = [to_tensorflow(torch.from_numpy(_padded(v))) for v in (h, noise, n0)]
        if count < SLOTS:
            x = torch.cat([x, x.new_zeros(SLOTS - count, x.shape[1])])
        through = differentiable(lambda sent: graph(sent, unit_power(self.grid), *drawn, *self._receiver_statistics()))
        return tuple(y[:count] for y in through(x.contiguous()))

    def _receiver_statistics(self) -> tuple[Any, ...]:
        if "receiver" not in self._known:
            self._known["receiver"] = receiver_statistics(self.channel, self.grid, self.csi)
        return self._known["receiver"]


def batch_size(transmission: Transmission) -> int:
    """Images of a transmission; SemlinkError when its streams disagree or there is none."""
    sizes = {s.name: len(s.payload) for s in transmission.streams}
    if len(set(sizes.values())) != 1 or len(sizes) != len(transmission.streams) or 0 in sizes.values():
        raise SemlinkError(f"a transmission needs uniquely named streams of the same, non-zero number of images, got {sizes}")
    return next(iter(sizes.values()))


def check_snr(snr_db: float | Sequence[float], images: int) -> np.ndarray:
    """SNR in dB as float64 `[images]`; SemlinkError unless finite and within -30 to 60 dB."""
    snr = np.broadcast_to(np.asarray(snr_db, np.float64), (images,))
    if not np.all(np.isfinite(snr)) or snr.min() < SNR_LIMITS[0] or snr.max() > SNR_LIMITS[1]:
        raise SemlinkError(f"snr_db must be finite and within {SNR_LIMITS[0]:g} to {SNR_LIMITS[1]:g} dB, got {snr_db}")
    return snr


def noise_key(snr_db: float | Sequence[float]) -> str:
    """Noise depends on a common SNR; with one SNR per image it does not, so that a batch can be split."""
    return f"{float(snr_db):.6g}" if np.ndim(snr_db) == 0 else "per image"


def _symbols(stream: Stream, index: int, bits: dict[int, Any], plan: layout.Layout) -> Tensor:
    if index in bits:
        blocks, uses = bits[index]
        return torch.from_numpy(payloads.modulate(blocks, uses, stream.uses is not None, layout.filler(int(uses.max())).numpy()))
    if stream.ideal:
        uses = plan.counts[index]
        return layout.filler(int(uses[0])).repeat(len(uses))
    return _checked_analog(stream).flatten()


def _checked_analog(stream: Stream) -> Tensor:
    x = stream.payload
    if not isinstance(x, Tensor) or x.dtype != torch.complex64 or x.ndim != 2:
        raise SemlinkError(f"stream {stream.name!r}: analog payload must be a complex64 tensor [batch, k]")
    power = x.detach().abs().square().mean(1)
    if not bool(torch.isfinite(power).all()):
        raise SemlinkError(f"stream {stream.name!r}: NaN or infinite symbols in image {int((~torch.isfinite(power)).nonzero()[0])}")
    if float((power - 1).abs().max()) > 1e-3:
        raise SemlinkError(f"stream {stream.name!r}: mean power per image must be 1, found {float(power.min()):.4g} to {float(power.max()):.4g}")
    return x


def _fixed_uses(stream: Stream) -> np.ndarray:
    if stream.ideal and stream.uses is None:
        raise SemlinkError(f"stream {stream.name!r}: an ideal stream must say how many uses it takes")
    uses = stream.uses if stream.kind == "bits" else stream.payload.shape[1]
    return np.full(len(stream.payload), uses, np.int64)


def _receive(
    transmission: Transmission, bits: dict[int, Any], plan: layout.Layout, x_hat: Tensor, a: Tensor
) -> tuple[ReceivedStream, ...]:
    """Streams as the receiver sees them. A lost length header hides where the later streams of its image begin."""
    lost = np.zeros(x_hat.shape[0], bool)
    received = []
    for index, stream in enumerate(transmission.streams):
        x, reliability = layout.take(x_hat, plan, index), layout.take(a, plan, index)
        if index in bits:
            result, header_lost = _receive_bits(stream, *bits[index], x, reliability, lost)
            received.append(result)
            lost = lost | header_lost
        elif stream.ideal:
            received.append(_receive_ideal(stream, reliability, lost))
        else:
            received.append(_receive_analog(stream, x.reshape(len(lost), -1), reliability.reshape(len(lost), -1), lost))
    return tuple(received)


def _receive_analog(stream: Stream, x: Tensor, a: Tensor, lost: np.ndarray) -> ReceivedStream:
    if lost.any():
        seen = torch.from_numpy(~lost)[:, None].to(x.device)
        x, a = x * seen, a * seen
    return ReceivedStream(stream.name, "analog", x_hat=x, a=a)


def _receive_bits(
    stream: Stream, blocks: list[payloads.Block], uses: np.ndarray, x: Tensor, a: Tensor, lost: np.ndarray
) -> tuple[ReceivedStream, np.ndarray]:
    parts: list[list[bytes | None]] = [[] for _ in uses]
    fixed = stream.uses is not None
    answers = payloads.demodulate(blocks, uses, fixed, x.detach().numpy(), a.detach().numpy())
    for block, answer in zip(blocks, answers):
        parts[block.image].append(None if lost[block.image] else answer)
    found = tuple(payloads.assemble(p, fixed) for p in parts)
    verdicts = tuple(tuple(part is not None for part in p) for p in parts)
    header_lost = np.array([not fixed and p[0] is None for p in parts])
    ok = tuple(p is not None for p in found)
    return ReceivedStream(stream.name, "bits", payload=found, ok=ok, blocks_ok=verdicts), header_lost


def _receive_ideal(stream: Stream, a: Tensor, lost: np.ndarray) -> ReceivedStream:
    """An ideal code: all bits arrive when the mutual information of the image's own symbols carries them."""
    sinr = (a / (1 - a).clamp_min(1e-9)).reshape(len(lost), -1)
    carried = torch.log2(1 + sinr).double().sum(1).tolist()
    ok = tuple(8 * len(p) <= c + 1e-6 * c and not gone for p, c, gone in zip(stream.payload, carried, lost))
    found = tuple(p if good else None for p, good in zip(stream.payload, ok))
    return ReceivedStream(stream.name, "bits", payload=found, ok=ok, blocks_ok=tuple((good,) for good in ok))


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
