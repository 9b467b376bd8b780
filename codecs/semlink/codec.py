"""The default codec: an image coder's base for what surely arrives, analog symbols for what the channel still allows.

With link statistics each picture has the layout that suits it (`hybrid.layouts`): all channel uses for a base (HEVC
intra, LDPC, QAM), all for the analog planes of one network (`planes`), or a base and its residual on analog symbols by
importance, which degrade and improve with the channel (hybrid digital-analog coding: Skoglund, Phamdo and Alajaji, IEEE
Trans. Inform. Theory 2002 and 2006). Where a base may be lost, an analog thumbnail is there to be shown instead.
Without link statistics it sends the analog planes alone: any rate, any prefix of the symbols decodes.

Streams: `layout`, a byte in a robust scheme that tells the picture's layout, where there is more than one; `thumbnail`;
`base`; and `detail`, the residual or the planes, whose symbols travel mixed (`mixing`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal, cast

import torch
from torch import Tensor

from semlink.codecs._learned.prefix import PrefixCodec
from semlink.codecs._learned.received import sound
from semlink.codecs._learned.shipped import WEIGHTS, local
from semlink.codecs.semlink.hybrid import thumbnail
from semlink.codecs.semlink.hybrid.choosing import chosen
from semlink.codecs.semlink.hybrid.codec import HybridCoder
from semlink.codecs.semlink.hybrid.layouts import Layout, Menu, fades_of, layouts_of, menu
from semlink.codecs.semlink.hybrid.quality import AIMS, QUALITY
from semlink.codecs.semlink.hybrid.thumbs import THUMBS
from semlink.codecs.semlink.mixing import TOLD, mixed_planes, mixed_symbols, unmixed_planes, unmixed_symbols
from semlink.codecs.semlink.planes import CELL, PLANES, SIZES, PlaneNetwork
from semlink.simulator.bits.success import BLER
from semlink.simulator.errors import SemlinkError
from semlink.simulator.values import ReceivedStream, Reception, Session, Stream, Transmission, TxInfo

BASES = ("auto", "none")
HYBRID = WEIGHTS / "semlink-hybrid.safetensors"
GREY = 0.5
UNKNOWN = -1  # layout of a picture whose header is lost
LEAST_BASE = 3  # bytes


class Semlink(PrefixCodec):
    """rho = m / 192 for m in 1..64, so up to 1/3.

    base: "auto" shares the uses between a base and analog symbols as link statistics advise; "none" (or None) sends
    analog planes alone. aim: what layouts are chosen for, "psnr" or "lpips". weights: of the analog planes. hybrid: of
    experiments/train_hybrid.py. size: of a network of planes to be trained, `compact` (2 CPU cores) or `base` (a GPU);
    weight files know their own.
    """

    name = "semlink"
    encodes_on = "link"
    cell = CELL
    most = PLANES

    def __init__(
        self,
        rho: float = 1 / 12,
        weights: str | Path | None = None,
        size: Literal["compact", "base"] = "compact",
        base: Literal["auto", "none"] | None = "auto",
        hybrid: str | Path | None = None,
        aim: Literal["psnr", "lpips"] = "psnr",
    ) -> None:
        base = base or "none"  # what the word `none` on a command line is read as
        for what, value, known in (("size", size, tuple(SIZES)), ("base", base, BASES), ("aim", aim, AIMS)):
            if value not in known:
                raise SemlinkError(f"semlink has no {what} {value!r}; known: {', '.join(known)}")
        super().__init__(rho, weights, partial(PlaneNetwork, **SIZES[size]._asdict()))
        self.base, self.aim = base, aim
        self._hybrid_weights = Path(hybrid or HYBRID)
        self._loaded: dict[str, HybridCoder] = {}

    def files(self) -> tuple[Path, ...]:
        """What its pictures depend on: also the hybrid coder's weights and tables where it may choose it."""
        more = () if self.base == "none" else (self._hybrid_weights, QUALITY, THUMBS, BLER)
        return (*super().files(), *local(*more))

    @property
    def hybrid(self) -> HybridCoder:
        """The hybrid coder, loaded on first use."""
        if not self._loaded:
            self._loaded["hybrid"] = HybridCoder(self._hybrid_weights)
        return self._loaded["hybrid"]

    def menu(self, tx: TxInfo | None, height: int, width: int) -> Menu | None:
        """The layouts that pictures may have; None: analog planes alone, without link statistics."""
        if self.base == "none" or tx is None or tx.statistics is None:
            return None
        return menu(tx.statistics, height, width, self.aim)

    def encode(self, images: Tensor, tx: TxInfo | None = None) -> Transmission:
        """Pictures `[batch, 3, H, W]` in [0, 1] to the streams of the module's text, or to one, `latent`."""
        found = self.menu(tx, *images.shape[-2:])
        if found is None or tx is None or tx.statistics is None:
            sent = super().encode(images, tx)
            return sent if tx is None or tx.statistics is None else mixed_planes(sent)
        numbers = chosen(self, images, found, fades_of(tx.statistics))
        return self._transmission(images, found, numbers, tx)

    def decode(self, reception: Reception) -> Tensor:
        """Pictures `[batch, 3, H, W]`; clipped to [0, 1] unless the network of planes is in training."""
        return self.decode_marked(reception)[0]

    def decode_marked(self, reception: Reception) -> tuple[Tensor, tuple[bool, ...]]:
        """Also of which pictures a header or a base arrived that is none."""
        reception = sound(reception)
        if "layouts" in reception.session.constants:
            return self._shared(reception)
        planes = unmixed_planes(reception) if TOLD in reception.session.constants else reception
        pictures = super().decode(planes)
        return pictures, (False,) * len(pictures)

    def trial(self, image: Tensor, layout: Layout, snr_db: float) -> Tensor:
        """The picture `[3, H, W]` that comes of one over AWGN when its base arrives."""
        images, channel = image[None], partial(noisy, snr_db=snr_db)
        if layout.base:
            return self.hybrid.trial(images, max(LEAST_BASE, layout.budget), layout.analog, snr_db, channel)[0]
        size = (image.shape[1], image.shape[2])
        payloads, symbols = self._send(images, layout, snr_db, TxInfo(snr_db=snr_db))
        return self._receive(payloads, *channel(symbols), layout, snr_db, size)[0][0]

    def _transmission(self, images: Tensor, found: Menu, numbers: Sequence[int], tx: TxInfo) -> Transmission:
        parts = _Parts([b""] * len(images), torch.zeros(len(images), most_analog(found.layouts), dtype=torch.complex64))
        for number in sorted(set(numbers)):
            rows, layout = [i for i, own in enumerate(numbers) if own == number], found.layouts[number]
            payloads, symbols = self._send(images[rows], layout, found.snr_db, tx)
            for row, payload in zip(rows, payloads, strict=True):
                parts.payloads[row] = payload
            parts.symbols[rows, : layout.analog] = symbols
        streams = streams_of(parts, found, numbers)
        if found.thumbnail:
            streams.insert(found.header is not None, thumbnail.encode(self.at(thumbnail.PLANES / 192), images))
        return Transmission(tuple(streams), Session(images.shape[-2], images.shape[-1], found.constants()))

    def _shared(self, reception: Reception) -> tuple[Tensor, tuple[bool, ...]]:
        session, streams = reception.session, {stream.name: stream for stream in reception.streams}
        layouts, size = layouts_of(str(session.constants["layouts"])), (session.height, session.width)
        numbers = numbers_of(streams.get("layout"), len(layouts), reception)
        pictures, lost = torch.empty(len(numbers), 3, *size), [i for i, n in enumerate(numbers) if n == UNKNOWN]
        came = {i for i in lost if cast(Sequence[bytes | None], streams["layout"].payload)[i] is not None}
        for number in sorted({*numbers} - {UNKNOWN}):
            rows, layout = [i for i, own in enumerate(numbers) if own == number], layouts[number]
            payloads = [cast(Sequence[bytes | None], streams["base"].payload)[i] for i in rows] if layout.base else []
            heard = symbols_of(streams.get("detail"), rows, layout.analog)
            found, arrived = self._receive(payloads, *heard, layout, float(session.constants["design_db"]), size)
            pictures[rows] = found
            gone = [place for place, there in enumerate(arrived.tolist()) if not there]
            lost += [rows[place] for place in gone]
            came |= {rows[place] for place in gone if payloads[place] is not None}
        if lost:
            pictures[lost] = self._instead(streams.get("thumbnail"), lost, size)
        return pictures, tuple(i in came for i in range(len(numbers)))

    def _send(self, images: Tensor, layout: Layout, snr_db: float, tx: TxInfo) -> tuple[list[bytes], Tensor]:
        """Payloads of the base and symbols `[batch, layout.analog]`."""
        if layout.base:
            return self.hybrid.encode(images, max(LEAST_BASE, layout.budget), layout.analog, snr_db)
        sent = PrefixCodec.encode(self._planes(layout.analog, *images.shape[-2:]), images, tx).streams[0]
        symbols = cast(Tensor, sent.payload)[:, : layout.analog]
        power = symbols.abs().square().mean(1, keepdim=True).clamp_min(1e-12)
        return [b""] * len(images), mixed_symbols(symbols / power.sqrt())

    def _receive(
        self,
        payloads: Sequence[bytes | None],
        x_hat: Tensor,
        a: Tensor,
        layout: Layout,
        snr_db: float,
        size: tuple[int, int],
    ) -> tuple[Tensor, Tensor]:
        """Pictures `[batch, 3, H, W]`, and which of them are there."""
        if layout.base:
            return self.hybrid.decode(payloads, x_hat, a, snr_db, size)
        stream = ReceivedStream("latent", "analog", *unmixed_symbols(x_hat, a))
        planes = self._planes(layout.analog, *size)
        return PrefixCodec.decode(planes, Reception((stream,), Session(*size))), torch.ones(len(a), dtype=torch.bool)

    def _planes(self, symbols: int, height: int, width: int) -> Semlink:
        """The codec at the lowest rate that has so many symbols; cells beyond the picture's edge send fewer."""
        return self.at(min(PLANES, -(-symbols * CELL**2 // (height * width))) / (3 * CELL**2))

    def _instead(self, stream: ReceivedStream | None, rows: list[int], size: tuple[int, int]) -> Tensor:
        """What is shown where nothing better came."""
        if stream is None:
            return torch.full((len(rows), 3, *size), GREY)
        x_hat, a = symbols_of(stream, rows, thumbnail.uses_of(*size))
        return thumbnail.decode(self.at(thumbnail.PLANES / 192), x_hat, a, *size)


@dataclass(frozen=True)
class _Parts:
    """payloads: of the bases. symbols: complex64 `[batch, most]`, zeros where a picture has fewer."""

    payloads: list[bytes]
    symbols: Tensor


def streams_of(parts: _Parts, found: Menu, numbers: Sequence[int]) -> list[Stream]:
    """`layout`, `base` and `detail`, those that the menu has."""
    own = [found.layouts[number] for number in numbers]
    base = Stream("base", "bits", parts.payloads)
    detail = Stream("detail", "analog", parts.symbols)
    if found.header is None:
        both = [replace(base, mcs=own[0].mcs.name, uses=own[0].base), detail]
        return [stream for stream, used in zip(both, (own[0].base, own[0].analog), strict=True) if used]
    mcs, uses = found.header
    head = Stream("layout", "bits", [bytes([number]) for number in numbers], mcs=mcs.name, uses=uses)
    schemes, bases = tuple(layout.mcs.name for layout in own), tuple(layout.base for layout in own)
    base = replace(base, mcs=schemes, uses=bases, told_by=head.name)
    return [head, base, replace(detail, uses=tuple(layout.analog for layout in own), told_by=head.name)]


def numbers_of(header: ReceivedStream | None, known: int, reception: Reception) -> list[int]:
    """Number of each picture's layout, UNKNOWN where its header is lost."""
    if header is None:
        stream = reception.streams[0]
        return [0] * len(cast(Sequence[bytes | None], stream.payload) if stream.x_hat is None else stream.x_hat)
    told = cast(Sequence[bytes | None], header.payload)
    return [payload[0] if payload and len(payload) == 1 and payload[0] < known else UNKNOWN for payload in told]


def symbols_of(stream: ReceivedStream | None, rows: Sequence[int], count: int) -> tuple[Tensor, Tensor]:
    """x_hat and a `[rows, count]` of some pictures, 0 for what did not come."""
    if stream is None or not count:
        return torch.zeros(len(rows), 0, dtype=torch.complex64), torch.zeros(len(rows), 0)
    x_hat, a = cast(Tensor, stream.x_hat)[rows, :count], cast(Tensor, stream.a)[rows, :count]
    missing = count - a.shape[1]
    return torch.nn.functional.pad(x_hat, (0, missing)), torch.nn.functional.pad(a, (0, missing))


def most_analog(layouts: Sequence[Layout]) -> int:
    """Analog symbols of the layout that has the most."""
    return max(layout.analog for layout in layouts)


def noisy(symbols: Tensor, snr_db: float) -> tuple[Tensor, Tensor]:
    """x_hat and a of symbols over AWGN, the same noise every time."""
    a = 1 / (1 + 10 ** (-snr_db / 10))
    noise = torch.randn(symbols.shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    return a * symbols + (a * (1 - a)) ** 0.5 * noise, torch.full(symbols.shape, a)
