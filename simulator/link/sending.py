"""Streams to symbols on slots, and what is refused on the way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor

from semlink.simulator import power as rules
from semlink.simulator.errors import SemlinkError
from semlink.simulator.link import code_blocks
from semlink.simulator.link.allocation import Allocation, check_importance
from semlink.simulator.link.importance_stream import accompanied
from semlink.simulator.link.layout import SlotLayout, filler, kept, place
from semlink.simulator.link.settings import LinkSettings
from semlink.simulator.values import Stream, Transmission

Coded = dict[int, tuple[list[code_blocks.CodeBlock], np.ndarray]]  # by stream: its blocks, and its uses per image


@dataclass(frozen=True)
class Prepared:
    """A transmission ready for the air; both ends know its layout and allocation.

    sent: the streams, those that the link adds included. blocks: of the bits streams that are really coded. layout:
    which symbol of an image's slots carries what. allocation: places and power.
    """

    sent: Transmission
    blocks: Coded
    layout: SlotLayout
    allocation: Allocation = Allocation()

    def symbols(self) -> Tensor:
        """All symbols in the order of the streams, with filler: complex64 `[images, total]`, differentiable."""
        streams = enumerate(self.sent.streams)
        return place(
            [_symbols(stream, self.blocks.get(i), self.layout.counts[i]) for i, stream in streams], self.layout
        )


def prepare(settings: LinkSettings, transmission: Transmission) -> Prepared:
    """The transmission over this link, uniform in power and in order.

    SemlinkError when its streams disagree, or a rule needs an importance that no stream has.
    """
    check_importance(transmission)
    check_told(transmission)
    sent = _told(settings, transmission)
    blocks = {i: code_blocks.blocks_of(s) for i, s in enumerate(sent.streams) if s.kind == "bits" and not s.ideal}
    counts = [blocks[i][1] if i in blocks else fixed_uses(stream) for i, stream in enumerate(sent.streams)]
    return Prepared(sent, blocks, SlotLayout(np.stack(counts), settings.places))


def _told(settings: LinkSettings, transmission: Transmission) -> Transmission:
    """The transmission, with importance that the receiver needs as streams of their own."""
    needed = rules.create(settings.power).needs_importance
    if needed and all(s.importance is None for s in transmission.streams):
        raise SemlinkError(f"power={settings.power!r} needs a stream with importance; this codec gives none")
    return accompanied(transmission) if needed or settings.placement == "importance" else transmission


def batch_size(transmission: Transmission) -> int:
    """Images of a transmission; SemlinkError when its streams disagree or there is none."""
    sizes = {s.name: len(s.payload) for s in transmission.streams}
    if len(set(sizes.values())) != 1 or len(sizes) != len(transmission.streams) or 0 in sizes.values():
        raise SemlinkError(
            f"a transmission needs uniquely named streams of the same, non-zero number of images, got {sizes}"
        )
    return next(iter(sizes.values()))


def _symbols(
    stream: Stream, coded: tuple[list[code_blocks.CodeBlock], np.ndarray] | None, counts: np.ndarray
) -> Tensor:
    """Symbols of a stream, flat, image by image; counts: of each image."""
    if coded is not None:
        blocks, uses = coded
        known = filler(int(uses.max())).numpy()
        return torch.from_numpy(code_blocks.modulate(blocks, uses, stream.uses is not None, known))
    if stream.ideal:
        return filler(int(counts[0])).repeat(len(counts))
    return kept(checked_analog(stream), counts)


def checked_analog(stream: Stream) -> Tensor:
    """The payload; SemlinkError for another type or shape, numbers that are not finite, or another power than 1."""
    x = stream.payload
    if not isinstance(x, Tensor) or x.dtype != torch.complex64 or x.ndim != 2:
        raise SemlinkError(f"stream {stream.name!r}: analog payload must be a complex64 tensor [batch, k]")
    counts = torch.from_numpy(fixed_uses(stream))
    power = torch.where(counts == 0, 1.0, _energy(x.detach(), counts).cpu() / counts)
    if not bool(torch.isfinite(power).all()):
        raise SemlinkError(
            f"stream {stream.name!r}: NaN or infinite symbols in image {int((~torch.isfinite(power)).nonzero()[0])}"
        )
    if float((power - 1).abs().max()) > 1e-3:
        raise SemlinkError(
            f"stream {stream.name!r}: mean power per image must be 1, "
            f"found {float(power.min()):.4g} to {float(power.max()):.4g}"
        )
    return x


def _energy(x: Tensor, counts: Tensor) -> Tensor:
    """Of the first `counts[i]` symbols of each image."""
    squares = torch.view_as_real(x.resolve_conj()).flatten(1).square()  # real and imaginary parts by turns
    if not bool((counts == x.shape[1]).all()):
        squares = squares * (torch.arange(2 * x.shape[1]) < 2 * counts[:, None]).to(x.device)
    return squares.sum(1)


def fixed_uses(stream: Stream) -> np.ndarray:
    """Uses of each image of a stream that says how many it takes. SemlinkError for symbols that are not there."""
    if stream.ideal and stream.uses is None:
        raise SemlinkError(f"stream {stream.name!r}: an ideal stream must say how many uses it takes")
    uses = stream.uses if stream.uses is not None else cast(Tensor, stream.payload).shape[1]
    counts = np.broadcast_to(np.asarray(uses, np.int64), (len(stream.payload),)).copy()
    most = cast(Tensor, stream.payload).shape[1] if stream.kind == "analog" else None
    if (counts < 0).any() or (most is not None and (counts > most).any()):
        raise SemlinkError(f"stream {stream.name!r}: uses of {counts.min()} to {counts.max()}, it has {most}")
    return counts


def check_told(transmission: Transmission) -> None:
    """SemlinkError unless what differs from image to image is told by a bits stream before it."""
    before: dict[str, Stream] = {}
    for stream in transmission.streams:
        told = before.get(stream.told_by)
        if stream.told_by and (told is None or told.kind != "bits"):
            raise SemlinkError(f"stream {stream.name!r}: told_by={stream.told_by!r} names no bits stream before it")
        if told is None and (isinstance(stream.uses, tuple) or isinstance(stream.mcs, tuple)):
            raise SemlinkError(f"stream {stream.name!r}: uses or mcs of each image must be told: give told_by")
        if told is not None:
            _check_the_same(stream, told)
        before[stream.name] = stream


def _check_the_same(stream: Stream, told: Stream) -> None:
    """SemlinkError where a payload tells two images the same, and they differ."""
    first: dict[bytes, int] = {}
    own = [value if isinstance(value, tuple) else (value,) * len(told.payload) for value in (stream.uses, stream.mcs)]
    for image, payload in enumerate(told.payload):
        other = first.setdefault(bytes(payload), image)
        if any(value[image] != value[other] for value in own):
            raise SemlinkError(
                f"stream {stream.name!r}: images {other} and {image} differ, and {told.name!r} tells both the same"
            )
