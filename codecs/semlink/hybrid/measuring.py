"""Quality of hybrid layouts and of analog symbols alone over AWGN, measured on pictures: what `layouts` chooses by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from tqdm import tqdm

from semlink.codecs.semlink.hybrid.base import code_base, is_small
from semlink.codecs.semlink.hybrid.codec import HybridCoder
from semlink.codecs.semlink.hybrid.coding import Expectation, allocation_of, expect, receive
from semlink.codecs.semlink.hybrid.training import even
from semlink.simulator.metrics.psnr import psnr
from semlink.simulator.training.channels import Surrogate
from semlink.simulator.values import ReceivedStream, Reception, Stream, Transmission, TxInfo

RATES = tuple(1 / d for d in (768, 192, 96, 48, 24, 12, 6, 3))  # of the analog symbols beside a base
ALONE = tuple(m / 192 for m in (1, 2, 4, 8, 16, 32, 64))  # of analog symbols without a base
SNR_DB = (-6.0, -2.0, 2.0, 6.0, 10.0, 14.0, 18.0, 22.0)
MOST_DB = 60.0  # what a picture without loss counts
LEAST_BYTES = 3  # of a base: a colour


class RatedCodec(Protocol):
    """A codec that has many rates, of one analog stream each."""

    def at(self, rho: float) -> Any:
        """The codec at that rate."""


class Heard(NamedTuple):
    """What comes of analog symbols: `[batch, k]` each."""

    x_hat: Tensor
    a: Tensor


def quality(
    coder: HybridCoder, alone: RatedCodec, pictures: Tensor, budgets: Sequence[float], kind: str
) -> dict[str, Any]:
    """An entry of the table, for pictures `[n, 3, H, W]` in [0, 1] of one size: mean PSNR in dB.

    budgets: of the bases in bits per pixel. alone: codec of the analog symbols without a base. kind: for the progress
    bar.
    """
    return {
        "bpp": budgets,
        "rate": RATES,
        "snr": SNR_DB,
        "hybrid": [levels_beside(coder, pictures, budget) for budget in tqdm(budgets, kind, unit="budget")],
        "alone_rate": ALONE,
        "alone": levels_alone(alone, pictures),
        "grey": mean_psnr(pictures * 0 + 0.5, pictures),
    }


@torch.no_grad()
def levels_beside(coder: HybridCoder, pictures: Tensor, budget: float) -> list[list[float]]:
    """Mean PSNR beside bases of a budget at every rate of the analog symbols, and SNR over AWGN."""
    pixels = pictures[0, 0].numel()
    bases = [code_base(p, max(LEAST_BYTES, int(budget * pixels / 8)), coder.source) for p in pictures]
    bpp = torch.tensor([base.bpp for base in bases])
    small = torch.full_like(bpp, float(is_small(*pictures.shape[-2:])))
    expected = expect(coder.network, torch.stack([base.picture for base in bases]).float() / 255, bpp, small)
    counts = [even(rate, 3 * pixels) for rate in RATES]
    return [[level_beside(coder, expected, pictures, count, snr) for snr in SNR_DB] for count in counts]


def level_beside(coder: HybridCoder, expected: Expectation, pictures: Tensor, count: int, snr: float) -> float:
    """Mean PSNR of pictures from what is expected of them and `count` real dimensions of each over AWGN."""
    residual = expected.residual(pictures).flatten(1)
    allocation = allocation_of(expected, count, torch.full((len(pictures),), snr))
    heard = over_awgn(allocation.symbols(residual), snr)
    received = receive(coder.network, expected, allocation, heard.x_hat, heard.a, allocation.scale(residual))
    return mean_psnr(received, pictures)


@torch.no_grad()
def levels_alone(codec: RatedCodec, pictures: Tensor) -> list[list[float]]:
    """Mean PSNR of analog symbols alone at every rate and SNR."""
    return [[level_alone(codec.at(rate), pictures, snr) for snr in SNR_DB] for rate in ALONE]


def level_alone(codec: Any, pictures: Tensor, snr: float) -> float:
    """Mean PSNR of a codec with one analog stream over AWGN."""
    sent = codec.encode(pictures, TxInfo(snr_db=snr))
    stream = sent.streams[0]
    heard = over_awgn(stream.payload, snr)
    received = ReceivedStream(stream.name, "analog", x_hat=heard.x_hat, a=heard.a)
    return mean_psnr(codec.decode(Reception((received,), sent.session)), pictures)


def over_awgn(x: Tensor, snr_db: float) -> Heard:
    """Symbols `[batch, k]` over AWGN, with the same noise every time."""
    sent = Transmission((Stream("x", "analog", x),))
    stream = Surrogate(0.0, 0.0)(sent, torch.full((len(x),), snr_db), torch.Generator().manual_seed(0)).streams[0]
    assert stream.x_hat is not None and stream.a is not None
    return Heard(stream.x_hat, stream.a)


def mean_psnr(received: Tensor, pictures: Tensor) -> float:
    """Mean over pictures in dB, each at most MOST_DB, to three places."""
    return round(float(psnr(pictures, received.clamp(0, 1)).clamp_max(MOST_DB).mean()), 3)
