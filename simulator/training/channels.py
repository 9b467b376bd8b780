"""The link's contract in plain torch, for pre-training where TensorFlow is absent: x_hat = a x + sqrt(a (1 - a)) n.

`a` follows laws that bracket real links: constant (AWGN), one Rayleigh gain per image, one per symbol.
Fine-tune and evaluate through `Link`; this is no channel model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Generator, Tensor

from semlink.simulator.link.link import Link
from semlink.simulator.plugins import make_link
from semlink.simulator.values import ReceivedStream, Reception, Stream, Transmission
from semlink.simulator.words import parse

Channel = Callable[[Transmission, Tensor, Generator], Reception]  # what was sent, SNR in dB `[batch]`


@dataclass(frozen=True)
class Surrogate:
    """Shares of images that meet one Rayleigh gain per image and one per symbol; the rest meets AWGN.

    lost: share of images whose bits streams are lost, so that a network learns to do without them.
    """

    per_image: float = 0.15
    per_symbol: float = 0.15
    lost: float = 0.05

    def __call__(self, transmission: Transmission, snr_db: Tensor, generator: Generator) -> Reception:
        """snr_db float32 `[batch]`; it touches analog streams alone."""
        streams = tuple(self._receive(s, snr_db, generator) for s in transmission.streams)
        return Reception(streams, transmission.session)

    def _receive(self, stream: Stream, snr_db: Tensor, generator: Generator) -> ReceivedStream:
        if stream.kind == "bits":
            return self._receive_bits(stream, generator)
        x = cast(Tensor, stream.payload)
        snr = self._gains(x, generator) * 10 ** (snr_db[:, None].to(x.device) / 10)
        a = snr / (1 + snr)
        noise = torch.randn(*x.shape, 2, generator=generator, device=x.device)
        x_hat = a * x + (a * (1 - a) / 2).sqrt() * torch.view_as_complex(noise)
        return ReceivedStream(stream.name, "analog", x_hat=x_hat, a=a)

    def _receive_bits(self, stream: Stream, generator: Generator) -> ReceivedStream:
        draws = torch.rand(len(stream.payload), generator=generator, device=generator.device).tolist()
        ok = tuple(draw >= self.lost for draw in draws)
        payload = tuple(bytes(p) if good else None for p, good in zip(stream.payload, ok, strict=True))
        return ReceivedStream(stream.name, "bits", payload=payload, ok=ok, blocks_ok=tuple((good,) for good in ok))

    def _gains(self, x: Tensor, generator: Generator) -> Tensor:
        batch = len(x)
        kind = torch.rand(batch, 1, generator=generator, device=x.device)
        image = torch.empty(batch, 1, device=x.device).exponential_(generator=generator)
        symbol = torch.empty(x.shape, device=x.device).exponential_(generator=generator)
        fading = torch.where(kind < self.per_image, image, symbol)
        return torch.where(kind < self.per_image + self.per_symbol, fading, torch.ones_like(fading))


@dataclass(frozen=True)
class ThroughLink:
    """Gradients reach the encoder through power, OFDM, channel, estimation and equalisation."""

    links: tuple[Link, ...]

    def __call__(self, transmission: Transmission, snr_db: Tensor, generator: Generator) -> Reception:
        """Send the batch over one of the links, drawn like seed and noise from `generator`."""
        draw = torch.randint(1 << 31, (2,), generator=generator, device=generator.device).tolist()
        return self.links[draw[0] % len(self.links)](transmission, snr_db.tolist(), seed=draw[1])


def make_channel(words: tuple[str, ...]) -> Channel:
    """The training channel of words: the surrogate (AWGN alone is `surrogate-awgn`), or real links."""
    if words in (("surrogate",), ("surrogate-awgn",)):
        return Surrogate() if words == ("surrogate",) else Surrogate(0.0, 0.0)
    return ThroughLink(tuple(make_link(parse(word)) for word in words))
