"""Quality of layouts over AWGN, measured on training pictures: what `layouts` chooses by.

Mean PSNR in dB and mean LPIPS of a base beside analog symbols, of a base alone, of analog planes alone, of the
thumbnail that is left when a base is lost, and of a grey picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from semlink.codecs._learned.shipped import is_small
from semlink.codecs.semlink.hybrid import thumbnail
from semlink.codecs.semlink.hybrid.base import code_base
from semlink.codecs.semlink.hybrid.codec import HybridCoder
from semlink.codecs.semlink.hybrid.coding import Expectation, allocation_of, expect, receive
from semlink.codecs.semlink.hybrid.training import even
from semlink.simulator.metrics.lpips import lpips_alex
from semlink.simulator.metrics.psnr import psnr
from semlink.simulator.training.channels import Surrogate
from semlink.simulator.values import ReceivedStream, Reception, Stream, Transmission, TxInfo

RATES = tuple(1 / d for d in (384, 96, 48, 24, 12, 6))  # of the analog symbols beside a base
ALONE = tuple(m / 192 for m in (1, 2, 4, 8, 16, 32, 64))  # of analog symbols without a base
SNR_DB = (-6.0, 1.0, 8.0, 15.0, 22.0)
MOST_DB = 60.0  # what a picture without loss counts
LEAST_BYTES = 3  # of a base: a colour
METRICS = ("psnr", "lpips")
LPIPS_OF = 40  # pictures, at most


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
    """An entry of the table, for pictures `[n, 3, H, W]` in [0, 1] of one size.

    budgets: of the bases in bits per pixel. alone: codec of the analog symbols without a base. kind: for the progress
    bar.
    """
    beside = [levels_beside(coder, pictures, budget) for budget in tqdm(budgets, kind, unit="budget")]
    found = {
        "hybrid": [hybrid for hybrid, _ in beside],
        "base": [base for _, base in beside],
        "alone": levels_alone(alone, pictures),
        "thumbnail": levels_of_thumbnail(alone.at(thumbnail.PLANES / 192), pictures),
        "grey": levels(pictures * 0 + 0.5, pictures),
    }
    by_metric = {
        name: {what: np.moveaxis(np.array(values), -1, 0)[i].tolist() for what, values in found.items()}
        for i, name in enumerate(METRICS)
    }
    return {"bpp": budgets, "rate": RATES, "snr": SNR_DB, "alone_rate": ALONE, **by_metric}


@torch.no_grad()
def levels_beside(coder: HybridCoder, pictures: Tensor, budget: float) -> tuple[list[list[list[float]]], list[float]]:
    """Beside bases of a budget at every rate of the analog symbols and SNR over AWGN, and of the bases alone."""
    pixels = pictures[0, 0].numel()
    bases = [code_base(p, max(LEAST_BYTES, int(budget * pixels / 8)), coder.source) for p in pictures]
    bpp = torch.tensor([base.bpp for base in bases])
    small = torch.full_like(bpp, float(is_small(*pictures.shape[-2:])))
    expected = expect(coder.network, torch.stack([base.picture for base in bases]).float() / 255, bpp, small)
    counts = [even(rate, 3 * pixels) for rate in RATES]
    hybrid = [[level_beside(coder, expected, pictures, count, snr) for snr in SNR_DB] for count in counts]
    return hybrid, levels(expected.picture, pictures)


def level_beside(coder: HybridCoder, expected: Expectation, pictures: Tensor, count: int, snr: float) -> list[float]:
    """Levels of pictures from what is expected of them and `count` real dimensions of each over AWGN."""
    residual = expected.residual(pictures).flatten(1)
    allocation = allocation_of(expected, count, torch.full((len(pictures),), snr))
    heard = over_awgn(allocation.symbols(residual), snr)
    received = receive(coder.network, expected, allocation, heard.x_hat, heard.a, allocation.scale(residual))
    return levels(received, pictures)


@torch.no_grad()
def levels_alone(codec: RatedCodec, pictures: Tensor) -> list[list[list[float]]]:
    """Of analog symbols alone at every rate and SNR."""
    return [[level_alone(codec.at(rate), pictures, snr) for snr in SNR_DB] for rate in ALONE]


def level_alone(codec: Any, pictures: Tensor, snr: float) -> list[float]:
    """Of a codec with one analog stream over AWGN."""
    sent = codec.encode(pictures, TxInfo(snr_db=snr))
    stream = sent.streams[0]
    heard = over_awgn(stream.payload, snr)
    received = ReceivedStream(stream.name, "analog", x_hat=heard.x_hat, a=heard.a)
    return levels(codec.decode(Reception((received,), sent.session)), pictures)


@torch.no_grad()
def levels_of_thumbnail(planes: Any, pictures: Tensor) -> list[list[float]]:
    """Of thumbnails at every SNR."""
    payload, size = thumbnail.encode(planes, pictures).payload, pictures.shape[-2:]
    assert isinstance(payload, Tensor)
    return [levels(thumbnail.decode(planes, *over_awgn(payload, snr), *size), pictures) for snr in SNR_DB]


def over_awgn(x: Tensor, snr_db: float) -> Heard:
    """Symbols `[batch, k]` over AWGN, with the same noise every time."""
    sent = Transmission((Stream("x", "analog", x),))
    stream = Surrogate(0.0, 0.0)(sent, torch.full((len(x),), snr_db), torch.Generator().manual_seed(0)).streams[0]
    assert stream.x_hat is not None and stream.a is not None
    return Heard(stream.x_hat, stream.a)


def levels(received: Tensor, pictures: Tensor) -> list[float]:
    """Mean over pictures of PSNR in dB, each at most MOST_DB, to three places, and of LPIPS, to four."""
    received = received.clamp(0, 1)
    decibels = float(psnr(pictures, received).clamp_max(MOST_DB).mean())
    perceived = float(lpips_alex(pictures[:LPIPS_OF], received[:LPIPS_OF]).mean())
    return [round(decibels, 3), round(perceived, 4)]
