"""The channel that a codec was trained on against the channel that it meets: a matrix of picture quality.

    python experiments/robustness.py --codecs adjscc --rho 1/6 --train-channels awgn rayleigh tdl:speed=10 \\
        --channels awgn rayleigh tdl cdl umi --snr 10 --data cifar10 --limit 500 --minutes 6 --out results/robustness

For every training channel the codec's network is fine-tuned on that channel alone, from the same weights, with the
same budget, pictures and seed. Stop it at any time; the same command continues.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import tyro

from semlink.simulator.analysis.matrix import (
    Cell,
    Variant,
    column_labels,
    compare,
    digits,
    row_labels,
    tables,
    write_csv,
)
from semlink.simulator.errors import SemlinkError
from semlink.simulator.files import lock, slug, write_json
from semlink.simulator.records.store import Store
from semlink.simulator.study import cli
from semlink.simulator.words import Word, parse

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from semlink.simulator.analysis.statistics import Interval
    from semlink.simulator.figures.heatmap import Panel
    from semlink.simulator.protocols import Variable
    from semlink.simulator.records.rows import Rows
    from semlink.simulator.training.tuning import Tuning

STEMS = {"value": "matrix", "minus_matched": "minus_matched", "minus_best": "minus_best"}
TITLES = {
    "value": "",
    "minus_matched": "minus the network trained on the channel, paired; bold: the 95 % interval does not hold 0",
    "minus_best": "minus the best row, paired; bold: the 95 % interval does not hold 0",
}


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


def main(flags: RobustnessFlags) -> int:
    """Fine-tune, measure, compare, draw and say where everything is."""
    from semlink.simulator.figures import curves
    from semlink.simulator.study import closing
    from semlink.simulator.sweep import runner

    check(flags)
    fine_tune(flags)
    chosen = variants(flags)
    asked = replace(cli.sweep_of(flags, flags.metrics), codecs=tuple(v.codec for v in chosen))
    outcome = runner.run(asked, flags.out, flags.workers)
    found = compare(chosen, asked, outcome.rows)
    write_csv(found, flags.out / "matrix.csv")
    say_training(chosen, flags.out / "run.json")
    files = [flags.out / name for name in ("rows.h5", "summary.csv", "matrix.csv", "run.json")]
    for snr in asked.snr_db:
        own = [cell for cell in found if cell.snr_db == snr]
        print(*tables(own, outcome.rows), sep="\n\n", end="\n\n")
        for stem, figure in figures(own, outcome.rows):
            files += curves.save(figure, flags.out / f"{stem}_{snr:g}dB")
    print("\n".join(["written:", *(f"  {path}" for path in files)]))
    return closing.failures(outcome)


def check(flags: RobustnessFlags) -> None:
    """SemlinkError for what can be seen to be wrong before anything is trained."""
    from semlink.simulator import metrics
    from semlink.simulator.values import SNR_LIMITS_DB

    cli.check_channels(flags.train_channels)
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
    for name in flags.metrics:
        metrics.describe(name)  # refuses an unknown one


def tunings(flags: RobustnessFlags) -> dict[Path, Tuning]:
    """What is to be fine-tuned, by weight file."""
    from semlink.simulator.training.codec import Recipe
    from semlink.simulator.training.tuning import Tuning

    minutes = 0.0 if flags.steps else flags.minutes
    recipe = Recipe(minutes, flags.steps, flags.batch, flags.lr, flags.seed, crop=flags.crop, snr_db=flags.train_snr)
    words = [parse(codec) for codec in flags.codecs if is_tunable(parse(codec), flags.rho[0])]
    pairs = [(str(word), str(parse(channel))) for word in words for channel in flags.train_channels]
    return {
        weight_file(flags.out, codec, channel): Tuning(codec, flags.rho[0], channel, flags.train_data, recipe)
        for codec, channel in pairs
    }


def is_tunable(word: Word, rho: float) -> bool:
    """Whether it has a network and comes without weights of the user's."""
    from semlink import codecs

    return "weights" not in dict(word.settings) and hasattr(
        codecs.create(word.name, rho=rho, **dict(word.settings)), "new_network"
    )


def weight_file(out: Path, codec: str, channel: str) -> Path:
    """Where a variant's weights are kept: a path that a codec's word can hold, so without plus and equals signs."""
    return out / "weights" / (slug(f"{codec}_{channel}").replace("+", ".").replace("=", "-") + ".safetensors")


def fine_tune(flags: RobustnessFlags) -> None:
    """Train what is missing; says what has no weights when there is nothing to spend on it."""
    from semlink.simulator.executors import local
    from semlink.simulator.training.tuning import tuner

    wanted = tunings(flags)
    if not flags.minutes and not flags.steps:
        for path in (path for path in wanted if not path.exists()):
            print(f"left out, not trained and no time given to train it: {path}")
        return
    for codec in {tuning.codec for tuning in wanted.values()}:
        check_crop(flags, codec)
    Store(flags.out)
    held = lock(flags.out)
    for path in local.run(tuner, [(tuning, path) for path, tuning in wanted.items()], flags.workers):
        print(f"weights: {path}")
    del held


def check_crop(flags: RobustnessFlags, word: str) -> None:
    """SemlinkError when the crops would train another network than the one that the pictures of --data meet."""
    from semlink.simulator import data
    from semlink.simulator.plugins import make_trainable

    codec = make_trainable(word, flags.rho[0])
    trained = codec.network(flags.crop, flags.crop)
    for height, width in sorted(set(data.load(flags.data, limit=flags.limit).sizes())):
        if codec.network(height, width) is not trained:
            raise SemlinkError(
                f"--crop {flags.crop} does not train the network that pictures of {width}x{height} px meet; "
                f"give a crop and --train-data of their kind, e.g. --crop {min(96, height, width)}"
            )


def variants(flags: RobustnessFlags) -> tuple[Variant, ...]:
    """The rows of the matrix: codecs as they are, then the networks that were tuned, each once."""
    tuned = [with_weights(t.codec, path) for path, t in tunings(flags).items() if path.exists()]
    return tuple(variant(word) for word in dict.fromkeys((*(str(parse(c)) for c in flags.codecs), *tuned)))


def with_weights(codec: str, path: Path) -> str:
    """A codec's word with weights from a file."""
    return str(parse(f"{codec}{',' if ':' in codec else ':'}weights={path}"))


def variant(codec: str) -> Variant:
    """A codec's word with what its weight file, if it names one, says of its training."""
    from semlink.simulator.training.tuning import read_tuning

    weights = dict(parse(codec).settings).get("weights")
    said = read_tuning(Path(weights)) if isinstance(weights, str) else {}
    return Variant(codec, said.get("channel", ""), said.get("csi", ""))


def figures(cells: Sequence[Cell], rows: Rows) -> Iterator[tuple[str, Figure]]:
    """Heat maps of one SNR with their names: the values, and both differences over the channels that have one."""
    from semlink.simulator.figures import heatmap

    names = row_labels(cells)
    for what, stem in STEMS.items():
        shown = {c for c in cells if what == "value" or getattr(c, what).n}
        columns = [channel for channel in column_labels(cells) if any(c.channel == channel for c in shown)]
        if not columns:
            continue
        own = [c for c in cells if c.channel in columns]
        labels = column_labels(own)
        marked = {(i, j) for i, v in enumerate(names) for j, channel in enumerate(columns) if v.trained_on == channel}
        metrics = dict.fromkeys(cell.metric for cell in cells)
        panels = [panel([c for c in own if c.metric == name], what, rows.variable(name)) for name in metrics]
        across = f"tested on, at {cells[0].snr_db:g} dB SNR (receiver's CSI in brackets; framed: trained on it)"
        wrapped = [labels[channel].replace(":", "\n").replace(",", "\n").replace("+", "\n+") for channel in columns]
        figure = heatmap.draw(panels, list(names.values()), wrapped, across, "fine-tuned on", marked, TITLES[what])
        yield stem, figure


def panel(cells: Sequence[Cell], what: str, variable: Variable) -> Panel:
    """One metric as a heat map."""
    from semlink.simulator.figures import heatmap

    intervals: list[Interval] = [getattr(cell, what) for cell in cells]
    shape = (len({cell.variant for cell in cells}), -1)
    units = f" ({variable.units})" if variable.units not in ("", "1") else ""
    return heatmap.Panel(
        f"{variable.label}{units}, {variable.better} is better",
        np.array([i.mean for i in intervals]).reshape(shape),
        np.array([i.high - i.mean for i in intervals]).reshape(shape),
        variable.better,
        digits(variable, what),
        difference=what != "value",
    )


def say_training(chosen: Sequence[Variant], path: Path) -> None:
    """Add to run.json how the weights of each variant came about."""
    from semlink.simulator.training.tuning import read_tuning

    files = {v.codec: str(dict(parse(v.codec).settings)["weights"]) for v in chosen if v.trained_on}
    training = {codec: read_tuning(Path(file)) for codec, file in files.items()}
    write_json(path, {**json.loads(path.read_text()), "training": training})


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
