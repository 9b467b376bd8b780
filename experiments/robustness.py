"""The channel that a codec was trained on against the channel that it meets: a matrix of picture quality.

    python experiments/robustness.py --codecs adjscc --rho 1/6 --train-channels awgn rayleigh tdl:speed=10 \\
        --channels awgn rayleigh tdl cdl umi --snr 10 --data cifar10 --limit 500 --minutes 6 --out results/robustness

For every training channel the codec's network is fine-tuned on that channel alone, from the same weights, with the
same budget, pictures and seed. Stop it at any time; the same command continues.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated

import tyro

from semlink.simulator.analysis import matrix
from semlink.simulator.analysis.matrix import Variant
from semlink.simulator.errors import SemlinkError
from semlink.simulator.records.rows import Rows
from semlink.simulator.records.sweep import Sweep
from semlink.simulator.study import checks, cli
from semlink.simulator.study.study import Answer, Study, run
from semlink.simulator.study.variants import Tunings, check_crop, fine_tune, training, tunings, variants
from semlink.simulator.values import SNR_LIMITS_DB


@dataclass(frozen=True)
class RobustnessFlags(cli.Flags):
    """What does it cost a codec to meet another channel than the one it was trained on?

    Fine-tunes each codec's network on each training channel and meets every channel of --channels with all of them and
    with the codecs as they are. Leaves in --out: weights/ (a safetensors file a training channel, used again when it
    is there), rows.h5 (every image), summary.csv, matrix.csv (means, paired differences to the network trained on the
    channel and to the best one, with 95 % intervals), run.json, and heat maps of all three as PNG and PDF.
    """

    codecs: Annotated[tuple[str, ...], tyro.conf.arg(aliases=("--codec",))] = ("adjscc",)
    """Codecs whose networks are fine-tuned, and shown as they are; one without a network is only shown, and so is one
    with weights=FILE."""
    train_channels: tuple[str, ...] = ("awgn", "rayleigh", "tdl")
    """Channels to fine-tune on, one network each."""
    train_data: tuple[str, ...] = ("cifar10-train",)
    """Training pictures: names or folders; 2 % of them (at most 500) are held out."""
    train_snr: tuple[float, float] = (-3.0, 16.0)
    """Range in dB from which each training picture's SNR is drawn; give the same number twice for one SNR."""
    minutes: float = 6.0
    """Time budget of a training channel; 0 trains nothing and uses the weights that --out holds."""
    steps: int = 0
    """Budget in steps instead, the same on a busy machine and reproducible; 0 uses the minutes."""
    batch: int = 64
    """Crops per step."""
    crop: int = 32
    """Side of the training crops in px; up to 40 px the network for small pictures is trained."""
    lr: float = 6e-4
    """Peak learning rate of Muon; Adam for vectors gets a third."""
    metrics: tuple[str, ...] = ("psnr", "lpips_alex")
    """Quality metrics to measure and draw."""

    def check_names(self) -> None:
        """SemlinkError for metrics and channels to train on that nobody knows."""
        checks.check_metrics(self.metrics)
        checks.check_channels(self.train_channels)
        checks.check_pictures(*self.train_data)


def check(flags: RobustnessFlags) -> None:
    """SemlinkError for what can be seen to be wrong before anything is trained."""
    flags.check_names()
    low, high = flags.train_snr
    if not SNR_LIMITS_DB[0] <= low <= high <= SNR_LIMITS_DB[1]:
        raise SemlinkError(f"--train-snr {low:g} {high:g}: give the lower SNR in dB first, then the higher one")
    if len(flags.rho) != 1:
        raise SemlinkError("--rho needs exactly one rate: a network has only one")
    for name, least in (("minutes", 0), ("steps", 0), ("batch", 1), ("crop", 1)):
        if not getattr(flags, name) >= least:
            raise SemlinkError(f"--{name} {getattr(flags, name):g}: give at least {least}")
    if not 0 < flags.lr < math.inf:
        raise SemlinkError(f"--lr {flags.lr:g}: give a positive learning rate, such as 6e-4")
    if not flags.metrics:
        raise SemlinkError("--metrics needs at least one value")


def wanted(flags: RobustnessFlags) -> Tunings:
    """What is to be fine-tuned, by weight file."""
    from semlink.simulator.training.codec import Recipe

    minutes = 0.0 if flags.steps else flags.minutes
    recipe = Recipe(minutes, flags.steps, flags.batch, flags.lr, flags.seed, crop=flags.crop, snr_db=flags.train_snr)
    return tunings(flags.out, flags.codecs, flags.rho[0], flags.train_channels, flags.train_data, recipe)


def train(flags: RobustnessFlags) -> None:
    """Train what is missing; says what has no weights when there is nothing to spend on it."""
    asked = wanted(flags)
    if flags.minutes or flags.steps:
        for codec in {tuning.codec for tuning in asked.values()}:
            check_crop(codec, flags.rho[0], flags.crop, flags.data, flags.limit)
        fine_tune(asked, flags.out, cli.where(flags))
        return
    for path in (path for path in asked if not path.exists()):
        print(f"left out, not trained and no time given to train it: {path}")


def answer(chosen: tuple[Variant, ...], asked: Sweep, rows: Rows) -> Answer:
    """matrix.csv, and tables and heat maps of each SNR."""
    from semlink.simulator.figures.matrix import heatmaps

    cells = matrix.fill(chosen, asked, rows)
    by_snr = {snr: [cell for cell in cells if cell.snr_db == snr] for snr in asked.snr_db}
    drawn = ((f"{stem}_{snr:g}dB", map_) for snr, own in by_snr.items() for stem, map_ in heatmaps(own, rows))
    texts = [text for own in by_snr.values() for text in matrix.cell_tables(own, rows)]
    return Answer(texts, {"matrix.csv": matrix.cell_columns(cells)}, drawn)


def main(flags: RobustnessFlags) -> int:
    """Fine-tune, measure, compare, draw and say where everything is."""
    check(flags)
    train(flags)
    chosen = variants(flags.codecs, wanted(flags))
    asked = replace(cli.sweep_of(flags, flags.metrics), codecs=tuple(v.codec for v in chosen))
    more = {"training": {v.codec: training(v.codec) for v in chosen if v.trained_on}}
    return run(Study((asked,), partial(answer, chosen, asked), more=more), flags.out, cli.where(flags))


if __name__ == "__main__":
    cli.start(
        main,
        RobustnessFlags(
            out=Path("results/robustness"),
            data="cifar10",
            limit=500,
            channels=("awgn", "rayleigh", "rician", "tdl", "cdl", "umi"),
            snr=(10.0,),
            rho=(1 / 6,),
        ),
    )
