"""Train the networks of `semlink`'s hybrid mode: what a coded base looked like, and a better picture from its residual.

    python experiments/train_hybrid.py --minutes 80 --out results/my-hybrid

The base of every training picture is coded a few times at random qualities first (minutes), then pairs of crops travel
over the surrogate channel, or over real links (--channels awgn tdl rayleigh). Stop it at any time; the same command
continues. Use the result with `semlink:hybrid=results/my-hybrid/weights.safetensors`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semlink.simulator.errors import SemlinkError
from semlink.simulator.study.card import spent, write_card
from semlink.simulator.study.cli import Rate, start

if TYPE_CHECKING:  # --help needs no torch
    from torch import Generator, Tensor

    from semlink.codecs.semlink.hybrid.networks import HybridNetwork
    from semlink.codecs.semlink.hybrid.pairs import Pair

HELD_OUT = 50  # every so-manieth picture is held out
NLL, EXPECTED = 0.05, 0.3  # weights of the spread's likelihood and of the expected picture's error in the loss
FLOOR = 1e-5  # of errors in the loss: flattens it above 50 dB
VALIDATION = ((1.0, 1 / 24), (10.0, 1 / 24), (10.0, 1 / 6))  # SNR in dB and rate of the analog symbols


@dataclass(frozen=True)
class HybridFlags:
    """Train the networks of hybrid coding; resumable."""

    out: Path = Path("results/train-hybrid")
    """Folder for checkpoint.pt, weights.safetensors, curve.csv and card.json."""
    recipe: Path | None = None
    """A JSON file of these flags, or the card of a run: what it says holds unless said here."""
    pairs: Path | None = None
    """Folder of the coded bases; default: `pairs` within --out."""
    data: tuple[str, ...] = ("imagenet-256-train", "bsds500-train")
    """Training pictures: names or folders."""
    variants: int = 4
    """Qualities at which each of them is coded."""
    small_data: tuple[str, ...] = ("cifar10-train",)
    """Thumbnails, for half of the steps."""
    small_variants: int = 2
    """Qualities at which each thumbnail is coded."""
    channels: tuple[str, ...] = ("surrogate",)
    """`surrogate`, or channels of the real link such as awgn tdl:speed=10."""
    init: Path | None = None
    """Start from these weights."""
    minutes: float = 80.0
    """Time budget; the learning rate falls to nothing over it."""
    steps: int = 0
    """Budget in steps instead, which makes the run reproducible; 0 uses the minutes."""
    groups: int = 8
    """Pictures per step, of each of which `per_group` crops share the symbols; of thumbnails 16 times as many."""
    per_group: int = 4
    """Crops per picture."""
    crop: int = 64
    """Side of the crops in px, a multiple of 8."""
    lr: float = 3e-3
    """Peak learning rate of Muon; Adam for vectors gets a third."""
    snr: tuple[float, float] = (-3.0, 20.0)
    """Range in dB from which each picture's SNR is drawn."""
    rates: tuple[Rate, Rate] = (1 / 192, 1 / 3)
    """Range of analog channel uses per source dimension from which each step draws, uniform in the logarithm."""
    seed: int = 0
    """Seed of initial weights, qualities, crops, SNRs and noise."""
    threads: int = 0
    """Threads of torch; 0: as many as there are cores."""
    size: str = "compact"
    """Of the networks: `compact` (2 CPU cores) or `base` (a GPU)."""
    device: str = ""
    """cpu or cuda; empty: cuda when there is one."""


def main(flags: HybridFlags) -> int:
    import torch

    from semlink.codecs.semlink.hybrid.networks import SIZES, HybridNetwork

    if flags.threads:
        torch.set_num_threads(flags.threads)
    torch.manual_seed(flags.seed)
    if flags.size not in SIZES:
        raise SemlinkError(f"unknown size {flags.size!r}; known: {', '.join(SIZES)}")
    network = HybridNetwork(**SIZES[flags.size]._asdict())
    if flags.init:
        from semlink.codecs._learned.codec import fit_weights, read_weights

        fit_weights(network, read_weights(flags.init)[0], flags.init)
    sets = {name: pairs_of(flags, name, flags.variants) for name in flags.data}
    small = {name: pairs_of(flags, name, flags.small_variants) for name in flags.small_data}
    run = make_run(flags, network, [*sets.values()], [*small.values()])
    run.spend()
    levels = run.levels(quick=False)
    run.save(levels)
    facts = {**spent(run.step, run.seconds, flags.threads), "curve": run.curve(), "held_out": dict(levels)}
    write_card(flags, __file__, facts, dropped=("pairs",))
    print(", ".join(f"{name} {level:.2f}" for name, level in levels.items()))
    print(f"weights, curve and card are in {flags.out}")
    return 0


def pairs_of(flags: HybridFlags, name: str, variants: int) -> list[list[Pair]]:
    """The pairs of a set, one list a variant."""
    import os

    import torch

    from semlink.codecs.semlink.hybrid.pairs import coded_pairs
    from semlink.simulator import data as sources
    from semlink.simulator.training.pictures import refuse_tests

    refuse_tests([name])
    folder = flags.pairs or flags.out / "pairs"
    folder.mkdir(parents=True, exist_ok=True)
    pictures = [(p * 255).round().to(torch.uint8) for p in sources.load(name)]
    word = name.replace("/", "_")
    paths = [folder / f"{word}-{v}.npz" for v in range(variants)]
    return [coded_pairs(pictures, path, flags.seed + i, os.cpu_count() or 1) for i, path in enumerate(paths)]


def make_run(
    flags: HybridFlags, network: HybridNetwork, sets: Sequence[Sequence[Sequence[Pair]]], small: Sequence[Any]
) -> Any:
    """The training run; built here, because --help must not load torch."""
    import torch

    from semlink.codecs.semlink.hybrid.pairs import random_pairs
    from semlink.simulator.training.channels import make_channel
    from semlink.simulator.training.run import Budget, Run, default_device, has_fast_bfloat16

    large, large_held = split(sets)
    tiny, tiny_held = split(small)
    channel = make_channel(flags.channels)

    class Training(Run):
        def batch_loss(self, generator: Generator) -> Tensor:
            thumbnails = bool(tiny) and self.step % 2 == 1
            photographs = large, flags.groups, flags.per_group, flags.crop
            chosen = (tiny, flags.groups * 16, 1, 32) if thumbnails else photographs
            pictures, base, bpp = (t.to(self.device) for t in random_pairs(*chosen, generator))
            draws = torch.rand(1 + chosen[1], generator=generator, device=self.device)
            low, high = (math.log(rate) for rate in flags.rates)
            count = even(math.exp(low + (high - low) * draws[0].item()), pictures[0].numel() * chosen[2])
            snr_db = flags.snr[0] + (flags.snr[1] - flags.snr[0]) * draws[1:]
            small_flag = torch.full_like(bpp, float(thumbnails))
            with torch.autocast(self.device, torch.bfloat16, enabled=has_fast_bfloat16(self.device)):
                received, expected, likelihood = passed(
                    self.network, pictures, base, bpp, small_flag, snr_db, count, channel, generator
                )
            final, before = (log_error(p, pictures, len(snr_db)) for p in (received, expected))
            return final + EXPECTED * before + NLL * likelihood

        def levels(self, quick: bool) -> dict[str, float]:
            found: dict[str, float] = {}
            with torch.no_grad():
                for name, held, crop in (("", large_held, 128), ("small_", tiny_held, 32)):
                    pairs = held[:: max(1, len(held) // (24 if quick else 96))]
                    for snr, rate in VALIDATION if pairs else ():
                        key = f"{name}psnr_{snr:g}dB_1/{1 / rate:.0f}"
                        found[key] = level(self.average, pairs, crop, snr, rate, flags.seed, self.device)
            return found

    budget = Budget(flags.minutes, flags.steps, flags.groups, flags.lr, flags.seed)
    return Training(network, budget, flags.out, flags.device or default_device())


def split(sets: Sequence[Sequence[Sequence[Pair]]]) -> tuple[list[Pair], list[Pair]]:
    """Pairs of pictures to train on and of those held out."""
    variants = [variant for chosen in sets for variant in chosen]
    train = [pair for variant in variants for i, pair in enumerate(variant) if i % HELD_OUT]
    return train, [pair for variant in variants for pair in variant[::HELD_OUT]]


def even(rate: float, dimensions: int) -> int:
    """Real dimensions, an even number, of `rate` channel uses per source dimension."""
    return 2 * max(1, round(rate * dimensions))


def passed(
    network: HybridNetwork,
    pictures: Tensor,
    base: Tensor,
    bpp: Tensor,
    small: Tensor,
    snr_db: Tensor,
    count: int,
    channel: Any,
    generator: Generator,
) -> tuple[Tensor, Tensor, Tensor]:
    """Received pictures, expected pictures, and the negative log-likelihood of the residual under the spread."""
    from semlink.codecs.semlink.hybrid.coding import allocation_of, expect, receive
    from semlink.simulator.values import Stream, Transmission

    expected = expect(network, base, bpp, small)
    residual = expected.residual(pictures)
    allocation = allocation_of(expected, count, snr_db)
    flat = residual.reshape(len(snr_db), -1)
    sent = Transmission((Stream("residual", "analog", allocation.symbols(flat)),))
    stream = channel(sent, snr_db, generator).streams[0]
    scale = allocation.scale(flat).detach()
    received = receive(network, expected, allocation, stream.x_hat, stream.a, scale)
    error = residual.detach().square() * (-2 * expected.log_sigma).exp()
    return received, expected.picture, (error / 2 + expected.log_sigma).mean()


def log_error(received: Tensor, pictures: Tensor, groups: int) -> Tensor:
    """Mean over groups of the logarithm of the squared error."""
    return ((received - pictures).square().reshape(groups, -1).mean(1) + FLOOR).log().mean()


def level(
    network: HybridNetwork, pairs: Sequence[Pair], crop: int, snr: float, rate: float, seed: int, device: str
) -> float:
    """Mean PSNR of central crops over AWGN."""
    import torch

    from semlink.codecs.semlink.hybrid.base import SMALL
    from semlink.simulator.training.channels import Surrogate

    cells = [((p.picture.shape[1] - crop) // 16 * 8, (p.picture.shape[2] - crop) // 16 * 8) for p in pairs]
    cut = lambda t, y, x: t[:, y : y + crop, x : x + crop].float() / 255  # noqa: E731
    pictures, base = (
        torch.stack([cut(getattr(p, name), *place) for p, place in zip(pairs, cells, strict=True)]).to(device)
        for name in ("picture", "base")
    )
    bpp = torch.tensor([p.bpp for p in pairs], device=device)
    small, snr_db = torch.full_like(bpp, float(crop <= SMALL)), torch.full_like(bpp, snr)
    awgn, generator = Surrogate(0.0, 0.0, 0.0), torch.Generator(device).manual_seed(seed)
    received, _, _ = passed(
        network, pictures, base, bpp, small, snr_db, even(rate, pictures[0].numel()), awgn, generator
    )
    return float(-10 * (received.clamp(0, 1) - pictures).square().mean((1, 2, 3)).log10().mean())


if __name__ == "__main__":
    start(main, HybridFlags())
