"""Measure what `semlink`'s layouts give on training pictures; writes codecs/tables/semlink-quality.json.

The codec shares channel uses between base and analog symbols by it. `python experiments/measure_hybrid.py` takes about
10 minutes on two cores.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from semlink.simulator.study.cli import start

if TYPE_CHECKING:  # --help needs no torch
    from torch import Tensor

    from semlink.codecs.semlink.hybrid.codec import HybridCoder

RATES = tuple(1 / d for d in (768, 192, 96, 48, 24, 12, 6, 3))
ALONE = tuple(m / 192 for m in (1, 2, 4, 8, 16, 32, 64))
SNR_DB = (-6.0, -2.0, 2.0, 6.0, 10.0, 14.0, 18.0, 22.0)


@dataclass(frozen=True)
class Settings:
    """Quality of hybrid layouts on training pictures."""

    data: str = "imagenet-256-train"
    """A training set of photographs, never a test set."""
    limit: int = 16
    """Pictures of it."""
    bpp: tuple[float, ...] = (0.02, 0.04, 0.08, 0.15, 0.3, 0.6, 1.2, 2.4)
    """Budgets of their bases in bits per pixel."""
    small_data: str = "cifar10-train"
    """A training set of thumbnails."""
    small_limit: int = 200
    """Pictures of it."""
    small_bpp: tuple[float, ...] = (0.025, 0.05, 0.08, 0.12, 0.2, 0.3, 0.45, 0.7, 1.1, 1.7, 2.6)
    """Budgets of their bases."""
    weights: Path | None = None
    """Hybrid weights; default: the shipped ones."""
    out: Path = Path(__file__).parent.parent / "codecs" / "tables" / "semlink-quality.json"
    """The table to write."""


def main(settings: Settings) -> int:
    from semlink import codecs
    from semlink.simulator import data as sources
    from semlink.simulator.training.pictures import refuse_tests

    codec = codecs.create("semlink", hybrid=settings.weights)
    sets = {
        "natural": (settings.data, settings.limit, settings.bpp),
        "small": (settings.small_data, settings.small_limit, settings.small_bpp),
    }
    refuse_tests([data for data, _, _ in sets.values()])
    quality, data = {}, {}
    for kind, (name, limit, budgets) in sets.items():
        chosen = sources.load(name)
        pictures = chosen.batch(range(0, len(chosen), len(chosen) // limit)[:limit])
        quality[kind] = {
            "bpp": budgets,
            "rate": RATES[:],
            "snr": SNR_DB,
            "hybrid": hybrid_levels(codec.hybrid, pictures, budgets, kind),
            "alone_rate": ALONE,
            "alone": levels_alone(codec, pictures),
            "grey": round(mean_psnr(pictures * 0 + 0.5, pictures), 3),
        }
        data[kind] = {"data": name, "pictures": limit}
    settings.out.write_text(json.dumps({"quality": quality, "data": data}) + "\n")
    print(f"quality of layouts in {settings.out}")
    return 0


def hybrid_levels(coder: HybridCoder, pictures: Tensor, budgets: Sequence[float], kind: str) -> list[Any]:
    """Mean PSNR at every budget, rate of the analog symbols and SNR over AWGN."""
    import torch

    from semlink.codecs.semlink.hybrid.base import code_base, is_small
    from semlink.codecs.semlink.hybrid.coding import allocation_of, expect, receive

    pixels = pictures[0, 0].numel()
    levels: list[list[list[float]]] = []
    small = torch.full((len(pictures),), float(is_small(*pictures.shape[-2:])))
    with torch.no_grad():
        for budget in tqdm(budgets, kind, unit="budget"):
            bases = [code_base(p, max(3, int(budget * pixels / 8)), coder.source) for p in pictures]
            bpp = torch.tensor([b.bpp for b in bases])
            expected = expect(coder.network, torch.stack([b.picture for b in bases]).float() / 255, bpp, small)
            residual = expected.residual(pictures).flatten(1)
            levels.append([[] for _ in RATES])
            for row, rate in zip(levels[-1], RATES, strict=True):
                for snr in SNR_DB:
                    snr_db = torch.full((len(pictures),), snr)
                    allocation = allocation_of(expected, 2 * max(1, round(3 * pixels * rate)), snr_db)
                    x_hat, a = noisy(allocation.symbols(residual), snr)
                    scale = allocation.scale(residual)
                    received = receive(coder.network, expected, allocation, x_hat, a, scale)
                    row.append(round(mean_psnr(received, pictures), 3))
    return levels


def levels_alone(codec: Any, pictures: Tensor) -> list[list[float]]:
    """Mean PSNR of analog symbols alone at every rate and SNR."""
    import torch

    from semlink.simulator.values import ReceivedStream, Reception, TxInfo

    levels: list[list[float]] = []
    with torch.no_grad():
        for rate in ALONE:
            own = codec.at(rate)
            levels.append([])
            for snr in SNR_DB:
                sent = own.encode(pictures, TxInfo(snr_db=snr))
                x_hat, a = noisy(sent.streams[0].payload, snr)
                stream = ReceivedStream(sent.streams[0].name, "analog", x_hat=x_hat, a=a)
                levels[-1].append(round(mean_psnr(own.decode(Reception((stream,), sent.session)), pictures), 3))
    return levels


def noisy(x: Tensor, snr_db: float) -> tuple[Any, Any]:
    """x_hat and a over AWGN."""
    import torch

    from semlink.simulator.training.channels import Surrogate
    from semlink.simulator.values import Stream, Transmission

    sent = Transmission((Stream("x", "analog", x),))
    stream = Surrogate(0.0, 0.0)(sent, torch.full((len(x),), snr_db), torch.Generator().manual_seed(0)).streams[0]
    return stream.x_hat, stream.a


def mean_psnr(received: Tensor, pictures: Tensor) -> float:
    """Mean PSNR over pictures in dB."""
    return float(-10 * (received.clamp(0, 1) - pictures).square().mean((1, 2, 3)).clamp_min(1e-6).log10().mean())


if __name__ == "__main__":
    start(main, Settings())
