"""Train a learned codec and leave its weights, learning curve and card.

Pre-train on the surrogate channel (no TensorFlow needed), then fine-tune through the real link:

    python experiments/train.py --codec adjscc --rho 1/6 --data cifar10-train --minutes 90 --out results/mine
    python experiments/train.py --codec adjscc --rho 1/6 --data cifar10-train --minutes 5 --lr 3e-4 \\
        --channels awgn tdl --init results/mine/weights.safetensors --out results/mine-tuned

Recipes say all flags in one file, for CPUs and for GPUs; the card of a run is a recipe too:

    python experiments/train.py --recipe experiments/recipes/semlink.json --out results/mine

Stop it at any time; the same command continues. Use the result with `adjscc:weights=results/mine/weights.safetensors`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from semlink.simulator.study.card import spent, write_card
from semlink.simulator.study.cli import start
from semlink.simulator.study.rates import Rate

if TYPE_CHECKING:  # --help needs no torch
    from semlink.simulator.training.codec import Recipe, Trainer


@dataclass(frozen=True)
class TrainFlags:
    """Train a learned codec through a channel; resumable."""

    out: Path = Path("results/train")
    """Folder for checkpoint.pt, weights.safetensors, curve.csv and card.json."""
    recipe: Path | None = None
    """A JSON file of these flags, or the card of a run: what it says holds unless said here."""
    codec: str = "adjscc"
    """A codec with a network, built-in or from an entry point; name:setting=value for its settings."""
    rho: Rate = 1 / 6
    """Channel uses per source dimension."""
    data: tuple[str, ...] = ("cifar10-train",)
    """Training pictures: names or folders; 2 % of them (at most 500) are held out for the curve."""
    small_data: tuple[str, ...] = ()
    """Pictures below the crop, such as cifar10-train, for half of the steps: for a codec of all sizes."""
    channels: tuple[str, ...] = ("surrogate",)
    """`surrogate`, or channels of the real link such as awgn tdl:speed=10."""
    init: Path | None = None
    """Start from these weights; layers of another shape start fresh."""
    minutes: float = 60.0
    """Time budget; the learning rate falls to nothing over it."""
    steps: int = 0
    """Budget in steps instead, which makes the run reproducible; 0 uses the minutes."""
    batch: int = 64
    """Crops per step."""
    crop: int = 32
    """Side of the random training crops in px."""
    lr: float = 1.5e-3
    """Peak learning rate of Muon; Adam for vectors gets a third."""
    snr: tuple[float, float] = (-3.0, 16.0)
    """Range in dB from which each picture's SNR is drawn; give the same number twice for one SNR."""
    rates: tuple[Rate, Rate] | None = None
    """Range of rho from which each step draws one, for a codec of many rates; --rho is then the curve's."""
    cut: float = 0.0
    """Share of pictures of which only the first symbols arrive, which orders the planes by importance."""
    loss: Literal["log_mse", "mse"] = "log_mse"
    """log_mse (mean PSNR over pictures) or mse."""
    seed: int = 0
    """Seed of initial weights, crops, SNRs and noise."""
    threads: int = 0
    """Threads of torch; 0: as many as there are cores."""
    device: str = ""
    """cpu or cuda; empty: cuda when there is one."""
    tensorboard: bool = False
    """Also write loss, learning rate and quality into --out for TensorBoard."""


def main(flags: TrainFlags) -> int:
    from semlink.simulator.training.pictures import load_pictures

    trainer = make_trainer(flags)
    trainer.follow(flags.tensorboard)
    pictures, validation = load_pictures(flags.data, flags.crop)
    small, _ = load_pictures(flags.small_data, 1) if flags.small_data else ([], None)
    levels = trainer.run(pictures, validation, small)
    facts = {
        **spent(trainer.step, trainer.seconds, flags.threads),
        "curve": trainer.curve(),
        "validation_psnr_db_awgn": {f"{snr:g} dB": round(level, 2) for snr, level in levels.items()},
    }
    write_card(flags, __file__, facts)
    said = ", ".join(f"{level:.2f} dB at {snr:g} dB" for snr, level in levels.items())
    print(f"PSNR on held-out training pictures over AWGN: {said}")
    print(f"weights, curve and card are in {flags.out}")
    return 0


def make_trainer(flags: TrainFlags) -> Trainer:
    """The run of the codec's network. SemlinkError for an unknown loss or a codec without a network."""
    from semlink.codecs._learned.weights import read_weights
    from semlink.simulator.plugins import make_trainable
    from semlink.simulator.training.channels import make_channel
    from semlink.simulator.training.codec import Trainer
    from semlink.simulator.training.run import default_device, prepare
    from semlink.simulator.training.transplant import transplant

    recipe = recipe_of(flags)
    prepare(flags.threads, flags.seed)
    codec = make_trainable(flags.codec, flags.rho)
    network = codec.new_network()
    if flags.init:
        transplant(network, read_weights(flags.init)[0], flags.init)
    return Trainer(codec, network, make_channel(flags.channels), recipe, flags.out, flags.device or default_device())


def recipe_of(flags: TrainFlags) -> Recipe:
    """How the codec is trained. SemlinkError for an unknown loss."""
    from semlink.simulator.training.codec import Recipe

    return Recipe(
        minutes=flags.minutes,
        steps=flags.steps,
        batch=flags.batch,
        lr=flags.lr,
        crop=flags.crop,
        snr_db=flags.snr,
        loss=flags.loss,
        rates=flags.rates,
        cut=flags.cut,
        seed=flags.seed,
    )


if __name__ == "__main__":
    start(main, TrainFlags())
