"""Train the network that estimates the noise level of `sgd_jscc`'s latent without channel knowledge.

    python experiments/train_level.py --minutes 5 --out results/my-level
    python experiments/train_level.py --codec sgd_jscc:weights=results/mine/weights.safetensors --out results/my-level

Stop it at any time; the same command continues. Use the result with
`sgd_jscc:level=blind,estimator=results/my-level/weights.safetensors`; it knows the autoencoder that it was trained on
and no other.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from semlink.simulator.errors import SemlinkError
from semlink.simulator.study.card import spent, write_card
from semlink.simulator.study.cli import start
from semlink.simulator.study.rates import Rate

if TYPE_CHECKING:  # --help needs no torch
    from semlink.codecs.sgd_jscc.level_training import LevelRun


@dataclass(frozen=True)
class LevelFlags:
    """Train a blind estimator of the noise level; resumable."""

    out: Path = Path("results/train-level")
    """Folder for checkpoint.pt, weights.safetensors, curve.csv and card.json."""
    data: tuple[str, ...] = ("imagenet-256-train", "bsds500-train")
    """Training pictures: names or folders; 2 % of them (at most 500) are held out for the curve."""
    codec: str = "sgd_jscc"
    """The codec whose latent it is about; name:setting=value for its settings."""
    rho: Rate = 1 / 24
    """Rate of that codec."""
    crop: int = 128
    """Side of the random training crops in px; every other step sees crops of half that side."""
    copies: int = 4
    """Noise levels that each crop is seen at."""
    minutes: float = 5.0
    """Time budget; the learning rate falls to nothing over it."""
    steps: int = 0
    """Budget in steps instead, which makes the run reproducible; 0 uses the minutes."""
    batch: int = 12
    """Crops per step."""
    lr: float = 3e-3
    """Peak learning rate of Muon; Adam for vectors gets a third."""
    ema: float = 0.99
    """Share of the averaged weights that a step keeps."""
    seed: int = 0
    """Seed of initial weights, crops and noise."""
    threads: int = 0
    """Threads of torch; 0: as many as there are cores."""
    tensorboard: bool = False
    """Also write loss, learning rate and quality into --out for TensorBoard."""


def main(flags: LevelFlags) -> int:
    run = make_run(flags)
    run.follow(flags.tensorboard)
    found = {name.removeprefix("error_db_at_"): error for name, error in run.complete().items()}
    facts = {
        **spent(run.step, run.seconds, flags.threads),
        "held_out_mean_error_db_by_snr": {snr: round(error, 2) for snr, error in found.items()},
    }
    write_card(flags, __file__, facts)
    said = ", ".join(f"{error:.2f} dB at {snr} dB" for snr, error in found.items())
    print(f"mean |error| of the SNR on held-out pictures: {said}")
    print(f"weights, curve and card are in {flags.out}")
    return 0


def make_run(flags: LevelFlags) -> LevelRun:
    """The training run. SemlinkError for flags that do not fit, and for a codec without a level to estimate."""
    from semlink.codecs.sgd_jscc.level_training import LevelRun
    from semlink.simulator.plugins import make_trainable
    from semlink.simulator.training.pictures import load_pictures
    from semlink.simulator.training.run import Budget, prepare

    if flags.crop % 16 or flags.copies < 1:
        raise SemlinkError(f"--crop {flags.crop}, --copies {flags.copies}: give a multiple of 16, and at least 1")
    prepare(flags.threads, flags.seed)
    codec = make_trainable(flags.codec, flags.rho)
    if not hasattr(codec, "states_of"):
        raise SemlinkError(f"codec {codec.name!r} estimates no level")
    pictures, held_out = load_pictures(flags.data, flags.crop)
    budget = Budget(flags.minutes, flags.steps, flags.batch, flags.lr, flags.seed, flags.ema, checkpoint_every=60)
    return LevelRun(codec, pictures, codec.states_of(held_out), flags.crop, flags.copies, budget, flags.out)


if __name__ == "__main__":
    start(main, LevelFlags())
