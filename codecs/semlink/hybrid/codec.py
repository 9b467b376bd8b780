"""Hybrid coding as two streams: `base`, an image coder's bits, and `residual`, analog symbols by importance.

A base that does not arrive leaves a grey picture: the residual says nothing without it. Of the residual any prefix
decodes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from semlink.codecs._learned.codec import fit_weights, pad_to_cells, read_weights
from semlink.codecs._sources.coders import SourceCoder, coder
from semlink.codecs.semlink.hybrid import transform
from semlink.codecs.semlink.hybrid.allocation import Allocation
from semlink.codecs.semlink.hybrid.base import Base, code_base, header_of, is_small, read_base, read_header
from semlink.codecs.semlink.hybrid.coding import Expectation, allocation_of, expect, receive
from semlink.codecs.semlink.hybrid.layouts import HybridLayout
from semlink.codecs.semlink.hybrid.networks import HybridNetwork
from semlink.simulator.bits.framing import room
from semlink.simulator.errors import SemlinkError
from semlink.simulator.values import Reception, Session, Stream, Transmission

GREY = 0.5
LOST = b""
PIXELS_AT_ONCE = 1 << 18


class HybridCoder:
    """Encoder and decoder for a given layout.

    weights: a safetensors file of experiments/train_hybrid.py. source: image coder of the base.
    """

    def __init__(self, weights: Path, source: str = "hevc") -> None:
        self.source: SourceCoder = coder(source)
        state, settings = read_weights(weights)
        if "refine" not in settings:
            raise SemlinkError(f"{weights}: no network of hybrid coding; train one with experiments/train_hybrid.py")
        self.network = HybridNetwork(**settings)
        fit_weights(self.network, state, weights)
        self.network.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
        self.network.spread.double()

    @torch.no_grad()
    def encode(self, images: Tensor, uses: int, layout: HybridLayout) -> Transmission:
        """Pictures `[batch, 3, H, W]` in [0, 1] to base and residual of `uses` channel uses in all."""
        constants = {"analog": uses - layout.uses, "snr_db": layout.snr_db}
        session = Session(images.shape[-2], images.shape[-1], constants)
        budget = room(layout.uses, layout.mcs) - 1
        parts = [self._encode(part, budget, session) for part in images.split(at_once(session))]
        base = Stream("base", "bits", [data for p, _ in parts for data in p], mcs=layout.mcs.name, uses=layout.uses)
        return Transmission((base, Stream("residual", "analog", torch.cat([x for _, x in parts]))), session)

    @torch.no_grad()
    def decode(self, reception: Reception) -> Tensor:
        """Pictures `[batch, 3, H, W]` in [0, 1]; grey where the base is lost or no picture."""
        base, residual, session = reception.stream("base"), reception.stream("residual"), reception.session
        x_hat, a = cast(Tensor, residual.x_hat), cast(Tensor, residual.a)
        payloads, size = cast(Sequence[bytes | None], base.payload), at_once(session)
        parts = [slice(start, start + size) for start in range(0, len(payloads), size)]
        return torch.cat([self._decode(payloads[part], x_hat[part], a[part], session) for part in parts])

    def _encode(self, images: Tensor, budget: int, session: Session) -> tuple[list[bytes], Tensor]:
        bases = [code_base(image, budget, self.source) for image in images]
        expected, allocation = self._expect(bases, session)
        residual = expected.residual(pad_to_cells(images, transform.CELL)).flatten(1)
        scales = allocation.scale(residual).tolist()
        payloads = [bytes([header_of(s, b.drawn)]) + b.data for s, b in zip(scales, bases, strict=True)]
        return payloads, allocation.symbols(residual)

    def _decode(self, payloads: Sequence[bytes | None], x_hat: Tensor, a: Tensor, session: Session) -> Tensor:
        bases = [self._base(payload, session) for payload in payloads]
        expected, allocation = self._expect(bases, session)
        scale = torch.tensor([read_header(payload[0] if payload else 0)[0] for payload in payloads])
        received = receive(self.network, expected, allocation, x_hat, a, scale)
        arrived = torch.tensor([base.data != LOST for base in bases])
        pictures = received[..., : session.height, : session.width].clamp(0, 1)
        return torch.where(arrived[:, None, None, None], pictures, GREY)

    def _base(self, payload: bytes | None, session: Session) -> Base:
        """The base in a payload, or `LOST`."""
        try:
            if payload:
                return read_base(payload[1:], session.height, session.width, self.source, read_header(payload[0])[1])
        except SemlinkError:
            pass  # wrong bytes that the CRC let through
        return Base(LOST, torch.zeros(3, session.height, session.width, dtype=torch.uint8))

    def _expect(self, bases: Sequence[Base], session: Session) -> tuple[Expectation, Allocation]:
        """What both ends make of bases, the same to the last place of the order."""
        base = pad_to_cells(torch.stack([b.picture for b in bases]).double() / 255, transform.CELL)
        bpp = torch.tensor([b.bpp for b in bases])
        small = torch.full_like(bpp, float(is_small(session.height, session.width)))
        expected = expect(self.network, base, bpp, small)
        snr_db = torch.full_like(bpp, float(session.constants["snr_db"]))
        return expected, allocation_of(expected, 2 * int(session.constants["analog"]), snr_db)


def at_once(session: Session) -> int:
    """Pictures that are coded together, within bounded memory."""
    return max(1, PIXELS_AT_ONCE // (session.height * session.width))
