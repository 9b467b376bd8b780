"""Train the networks of `semlink`'s hybrid mode: what a coded base looked like, and a better picture from its residual.

    python experiments/train_hybrid.py --minutes 80 --out results/my-hybrid

The base of every training picture is coded a few times at random qualities first (minutes), then pairs of crops travel
over the surrogate channel, or over real links (--channels awgn tdl rayleigh). Stop it at any time; the same command
continues. Use the result with `semlink:hybrid=results/my-hybrid/weights.safetensors`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from semlink.simulator.errors import SemlinkError
from semlink.simulator.study.card import spent, write_card
from semlink.simulator.study.cli import start
from semlink.simulator.study.rates import Rate

if TYPE_CHECKING:  # --help needs no torch
    from semlink.codecs.semlink.hybrid.networks import HybridNetwork


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
    size: Literal["compact", "base"] = "compact"
    """Of the networks: `compact` (2 CPU cores) or `base` (a GPU)."""
    device: str = ""
    """cpu or cuda; empty: cuda when there is one."""
    tensorboard: bool = False
    """Also write loss, learning rate and quality into --out for TensorBoard."""


def main(flags: HybridFlags) -> int:
    from semlink.codecs.semlink.hybrid.training import HybridRun, StepSettings
    from semlink.codecs.semlink.hybrid.training_pairs import split_pairs
    from semlink.simulator.training.channels import make_channel
    from semlink.simulator.training.run import Budget, default_device, prepare

    prepare(flags.threads, flags.seed)
    network = make_network(flags)
    folder = flags.pairs or flags.out / "pairs"
    photographs = split_pairs(flags.data, folder, flags.variants, flags.seed)
    thumbnails = split_pairs(flags.small_data, folder, flags.small_variants, flags.seed)
    settings = StepSettings(flags.groups, flags.per_group, flags.crop, flags.snr, flags.rates)
    budget = Budget(flags.minutes, flags.steps, flags.groups, flags.lr, flags.seed)
    channel, device = make_channel(flags.channels), flags.device or default_device()
    run = HybridRun(network, settings, photographs, thumbnails, channel, budget, flags.out, device)
    run.follow(flags.tensorboard)
    levels = run.complete()
    facts = {**spent(run.step, run.seconds, flags.threads), "curve": run.curve(), "held_out": dict(levels)}
    write_card(flags, __file__, facts, dropped=("pairs",))
    print(", ".join(f"{name} {level:.2f}" for name, level in levels.items()))
    print(f"weights, curve and card are in {flags.out}")
    return 0


def make_network(flags: HybridFlags) -> HybridNetwork:
    """The networks to train. SemlinkError for an unknown size."""
    from semlink.codecs._learned.weights import fit_weights, read_weights
    from semlink.codecs.semlink.hybrid.networks import SIZES, HybridNetwork

    if flags.size not in SIZES:
        raise SemlinkError(f"unknown size {flags.size!r}; known: {', '.join(SIZES)}")
    network = HybridNetwork(**SIZES[flags.size]._asdict())
    if flags.init:
        fit_weights(network, read_weights(flags.init)[0], flags.init)
    return network


if __name__ == "__main__":
    start(main, HybridFlags())
