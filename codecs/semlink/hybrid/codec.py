"""Base and residual of one layout: what is sent of a picture, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from semlink.codecs._learned.codec import pad_to_cells
from semlink.codecs._learned.shipped import is_small
from semlink.codecs._learned.trained import range_of, set_range
from semlink.codecs._learned.weights import read_weights, rebuilt
from semlink.codecs._sources.coders import SourceCoder, coder
from semlink.codecs.semlink.hybrid import transform
from semlink.codecs.semlink.hybrid.allocation import Allocation
from semlink.codecs.semlink.hybrid.base import Base, code_base, header_of, read_base, read_header
from semlink.codecs.semlink.hybrid.coding import Expectation, allocation_of, expect, receive, unit
from semlink.codecs.semlink.hybrid.networks import HybridNetwork
from semlink.simulator.errors import SemlinkError

LOST = b""
Channel = Callable[[Tensor], tuple[Tensor, Tensor]]  # symbols to x_hat and a
PIXELS_AT_ONCE = 1 << 18
PLAIN, RESTORED = 0.5, 1.0  # scales in the header of a base without symbols beside it: as coded, or restored


class HybridCoder:
    """Encoder and decoder of bases with or without analog symbols.

    weights: a safetensors file of experiments/train_hybrid.py. source: image coder of the base.
    """

    def __init__(self, weights: Path, source: str = "hevc") -> None:
        self.source: SourceCoder = coder(source)
        state, settings = read_weights(weights)
        if "refine" not in settings:
            raise SemlinkError(f"{weights}: no network of hybrid coding; train one with experiments/train_hybrid.py")
        self.network = rebuilt(HybridNetwork, settings, state, weights)
        set_range(self.network, range_of(weights))
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
        self.network.spread.double()

    @torch.no_grad()
    def encode(self, images: Tensor, budget: int, analog: int, snr_db: float) -> tuple[list[bytes], Tensor]:
        """Pictures `[batch, 3, H, W]` in [0, 1] to payloads of `budget` bytes and a header byte, and symbols
        `[batch, analog]`."""
        parts = [self._encode(part, budget, analog, snr_db) for part in images.split(at_once(images))]
        return [payload for p, _ in parts for payload in p], torch.cat([x for _, x in parts])

    @torch.no_grad()
    def decode(
        self, payloads: Sequence[bytes | None], x_hat: Tensor, a: Tensor, snr_db: float, size: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        """Pictures `[batch, 3, H, W]` in [0, 1] of `size`, and whether each base is there, bool `[batch]`."""
        bases = [self._base(payload, size) for payload in payloads]
        step = max(1, PIXELS_AT_ONCE // (size[0] * size[1]))
        parts = [slice(start, start + step) for start in range(0, len(payloads), step)]
        pictures = [self._decode(bases[p], payloads[p], x_hat[p], a[p], snr_db) for p in parts]
        whole = pictures[0] if len(pictures) == 1 else torch.cat(pictures)
        return whole, torch.tensor([base.data != LOST for base in bases])

    @torch.no_grad()
    def trial(self, images: Tensor, budget: int, analog: int, snr_db: float, channel: Channel) -> Tensor:
        """The pictures that come of others when all bases arrive, without working out twice what both ends know."""
        bases = [code_base(image, budget, self.source) for image in images]
        known = self._expect(bases, analog, snr_db)
        payloads, symbols = self._coded(images, bases, *known, analog)
        return self._shown(payloads, *channel(symbols), *known)[..., : images.shape[2], : images.shape[3]].clamp_(0, 1)

    def _encode(self, images: Tensor, budget: int, analog: int, snr_db: float) -> tuple[list[bytes], Tensor]:
        bases = [code_base(image, budget, self.source) for image in images]
        return self._coded(images, bases, *self._expect(bases, analog, snr_db), analog)

    def _coded(
        self, images: Tensor, bases: Sequence[Base], expected: Expectation, allocation: Allocation, analog: int
    ) -> tuple[list[bytes], Tensor]:
        if not analog:
            pairs = zip(images, bases, expected.picture, strict=True)
            scales = [RESTORED if closer(image, base, picture) else PLAIN for image, base, picture in pairs]
            symbols = torch.zeros(len(images), 0, dtype=torch.complex64)
        else:
            residual = expected.residual(pad_to_cells(images, transform.CELL)).flatten(1)
            scales, symbols = allocation.scale(residual).tolist(), allocation.symbols(residual)
        payloads = [bytes([header_of(s, b.drawn)]) + b.data for s, b in zip(scales, bases, strict=True)]
        return payloads, symbols

    def _decode(
        self, bases: Sequence[Base], payloads: Sequence[bytes | None], x_hat: Tensor, a: Tensor, snr_db: float
    ) -> Tensor:
        height, width = bases[0].picture.shape[1:]
        known = self._expect(bases, x_hat.shape[1], snr_db)
        return self._shown(payloads, x_hat, a, *known)[..., :height, :width].clamp_(0, 1)

    def _shown(
        self,
        payloads: Sequence[bytes | None],
        x_hat: Tensor,
        a: Tensor,
        expected: Expectation,
        allocation: Allocation,
    ) -> Tensor:
        """Fresh pictures, of padded size."""
        scale = torch.tensor([read_header(payload[0] if payload else 0)[0] for payload in payloads])
        if x_hat.shape[1]:
            return receive(self.network, expected, allocation, x_hat, a, scale)
        restored = (scale > (PLAIN + RESTORED) / 2)[:, None, None, None]
        return torch.where(restored, expected.picture, unit(expected.base))

    def _base(self, payload: bytes | None, size: tuple[int, int]) -> Base:
        """The base in a payload, or `LOST`."""
        try:
            if payload:
                return read_base(payload[1:], *size, self.source, read_header(payload[0])[1])
        except SemlinkError:
            pass  # wrong bytes that the CRC let through
        return Base(LOST, torch.zeros(3, *size, dtype=torch.uint8))

    def _expect(self, bases: Sequence[Base], analog: int, snr_db: float) -> tuple[Expectation, Allocation]:
        """What both ends make of bases, the same to the last place of the order."""
        base = padded(torch.stack([b.picture for b in bases]))
        bpp = torch.tensor([b.bpp for b in bases])
        small = torch.full_like(bpp, float(is_small(*bases[0].picture.shape[1:])))
        expected = expect(self.network, base, bpp, small)
        return expected, allocation_of(expected, 2 * analog, torch.full_like(bpp, snr_db))


def padded(bases: Tensor) -> Tensor:
    """Bytes `[batch, 3, H, W]` with the last row and column repeated until cells divide them."""
    cell = transform.CELL
    rows, columns = (torch.arange(-(-side // cell) * cell).clamp(max=side - 1) for side in bases.shape[2:])
    return bases if bases.shape[2:] == (len(rows), len(columns)) else bases[:, :, rows][..., columns]


def closer(image: Tensor, base: Base, picture: Tensor) -> bool:
    """Whether a restored picture `[3, H', W']` is closer to the original `[3, H, W]` than its base is."""
    restored = picture[:, : image.shape[1], : image.shape[2]].clamp(0, 1)
    errors = [(image - other).square().mean() for other in (restored, base.picture / 255)]
    return bool(errors[0] < errors[1])


def at_once(images: Tensor) -> int:
    """Pictures that are coded together, within bounded memory."""
    return max(1, PIXELS_AT_ONCE // images[0, 0].numel())
