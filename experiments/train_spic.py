"""Train the receiver's network of `spic` on street scenes; leaves weights, learning curve, samples and a card.

    python experiments/train_spic.py --minutes 90 --threads 1 --out results/my-spic

Trains on camvid-drives-train (one drive) and watches camvid-drives-val (another). Stop it at any time; the same command
continues. Use the result with `spic:weights=results/my-spic/weights.safetensors`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from semlink.simulator.errors import SemlinkError
from semlink.simulator.study.card import spent, write_card
from semlink.simulator.study.cli import start


@dataclass(frozen=True)
class SpicFlags:
    """Train the network of spic; resumable."""

    out: Path = Path("results/train-spic")
    """Folder for checkpoint.pt, weights.safetensors, curve.csv, samples.png and card.json."""
    data: str = "camvid-drives-train"
    """Labelled street scenes to train on."""
    validation: str = "camvid-drives-val"
    """Labelled street scenes for the curve."""
    crop: int = 112
    """Side of the training crops in px."""
    widths: tuple[int, ...] = (64, 80, 112)
    """Features per level of the U-Net, multiples of 16; each level has half the resolution of the one before."""
    minutes: float = 90.0
    """Time budget; the learning rate falls to nothing over it."""
    steps: int = 0
    """Budget in steps instead, which makes the run reproducible; 0 uses the minutes."""
    batch: int = 8
    """Crops per step."""
    lr: float = 3e-3
    """Peak learning rate of Muon; Adam for vectors gets a third."""
    ema: float = 0.997
    """Share of the averaged weights that a step keeps."""
    seed: int = 0
    """Seed of initial weights, crops, codings and noise."""
    threads: int = 0
    """Threads of torch; 0: as many as there are cores."""
    tensorboard: bool = False
    """Also write loss, learning rate and quality into --out for TensorBoard."""


def main(flags: SpicFlags) -> int:
    from semlink.codecs._diffusion.sampling import contact_sheet
    from semlink.codecs._diffusion.spade import SpadeUNet
    from semlink.codecs._regions.unet_training import frames
    from semlink.codecs.spic.examples import prepare as prepare_street
    from semlink.codecs.spic.training import SpicRun, samples
    from semlink.simulator.training.pictures import refuse_tests
    from semlink.simulator.training.run import Budget, prepare

    refuse_tests([flags.data])
    if any(width % 16 for width in flags.widths) or not flags.widths:
        raise SemlinkError(f"--widths {' '.join(map(str, flags.widths))}: give multiples of 16")
    prepare(flags.threads, flags.seed)
    street, validation = (prepare_street(frames(name), flags.seed) for name in (flags.data, flags.validation))
    network = SpadeUNet(widths=flags.widths)
    budget = Budget(flags.minutes, flags.steps, flags.batch, flags.lr, flags.seed, flags.ema, checkpoint_every=300)
    run = SpicRun(network, street, validation, flags.crop, budget, flags.out)
    run.follow(flags.tensorboard)
    levels = run.complete()
    contact_sheet(samples(run.average, run.held), 6).save(flags.out / "samples.png")
    figures = {name: round(value, 4) for name, value in levels.items()}
    facts = {**spent(run.step, run.seconds, flags.threads), "validation": figures}
    write_card(flags, __file__, facts)
    print(", ".join(f"{name} {value:.3f}" for name, value in levels.items()))
    print(f"weights, curve, samples and card are in {flags.out}")
    return 0


if __name__ == "__main__":
    start(main, SpicFlags())
