"""Train the U-Net that finds regions of interest, and leave its weights, learning curve and card.

    python experiments/train_segmenter.py --minutes 45 --out results/my-segmenter
    python experiments/train_segmenter.py --evaluate codecs/weights/unet-camvid.safetensors --out results/my-segmenter

Stop it at any time; the same command continues. Trains on camvid-train, watches camvid-val; `--evaluate` alone looks at
camvid, the test set. Use the result with `segmentation:weights=results/my-segmenter/weights.safetensors`.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semlink.simulator.files import write_json
from semlink.simulator.study.card import hardware, write_card
from semlink.simulator.study.cli import start

if TYPE_CHECKING:  # --help needs no torch
    from torch import Generator, Tensor


@dataclass(frozen=True)
class SegmenterFlags:
    """Train or evaluate the U-Net; training is resumable."""

    out: Path = Path("results/train-segmenter")
    """Folder for checkpoint.pt, weights.safetensors, curve.csv and card.json, or for evaluation.json."""
    evaluate: Path | None = None
    """Measure these weights on the test set instead of training."""
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


def main(flags: SegmenterFlags) -> int:
    import torch

    if flags.threads:
        torch.set_num_threads(flags.threads)
    flags.out.mkdir(parents=True, exist_ok=True)
    return evaluate(flags.evaluate, flags.out) if flags.evaluate else train(flags)


def train(flags: SegmenterFlags) -> int:
    validation = frames("camvid-val")
    training = make_run(flags, *frames("camvid-train"), *validation)
    training.spend()
    levels = measure(training.average, *validation)
    training.save(columns(levels))
    facts = {
        "steps": training.step,
        "hardware": f"{hardware(flags.threads)}, CPU, float32",
        "data": "CamVid (Brostow et al. 2009), 367 training frames of 256x192, 11 classes; research use",
        "validation": levels,
    }
    write_card(flags, __file__, facts, dropped=("evaluate", "validate_every"))
    print(f"validation mIoU {100 * levels['miou']:.1f} %; weights, curve and card are in {flags.out}")
    return 0


def evaluate(path: Path, out: Path) -> int:
    """Print and write the set mIoU, each class's IoU and the time per frame on the test set."""
    from semlink.codecs._regions.unet import load

    network = load(path.resolve())
    started = time.perf_counter()
    levels = measure(network, *frames("camvid"))
    seconds = (time.perf_counter() - started) / levels["frames"]
    write_json(out / "evaluation.json", {**levels, "ms_per_frame": round(1000 * seconds, 1)})
    for name, value in levels["iou"].items():
        print(f"{name:<12} {'absent' if value is None else f'{100 * value:5.1f} %'}")
    print(f"mIoU over the {levels['frames']} test frames {100 * levels['miou']:.1f} %, {1000 * seconds:.0f} ms a frame")
    return 0


def frames(name: str) -> tuple[Tensor, Tensor]:
    """All pictures of a labelled set as uint8 `[n, 3, H, W]` and their class maps, uint8 `[n, H, W]`."""
    import torch

    from semlink.simulator import data

    pictures, labels = data.load(name), data.labels(name)
    return (
        torch.stack([(picture * 255).round().to(torch.uint8) for picture in pictures]),
        torch.stack([labels[i] for i in range(len(labels))]),
    )


def measure(network: Any, pictures: Tensor, labels: Tensor) -> dict[str, Any]:
    """Set mIoU, IoU by class name (None: absent), share of pixels that are right, over the frames."""
    import torch

    from semlink.codecs._regions.unet import CLASSES, segment
    from semlink.simulator.metrics.segmentation import confusion, iou, mean_iou

    counts = torch.zeros(len(CLASSES), len(CLASSES), dtype=torch.long)
    for picture, truth in zip(pictures, labels, strict=True):
        predicted = segment(network, picture[None].float() / 255)
        counts += confusion(predicted, truth[None], len(CLASSES), ignore=len(CLASSES))[0]
    by_class = [None if math.isnan(value) else round(value, 4) for value in iou(counts).tolist()]
    return {
        "miou": round(float(mean_iou(counts)), 4),
        "pixels_right": round(float(counts.diagonal().sum() / counts.sum()), 4),
        "iou": dict(zip(CLASSES, by_class, strict=True)),
        "frames": len(pictures),
    }


def make_run(flags: SegmenterFlags, pictures: Tensor, labels: Tensor, *validation: Tensor) -> Any:
    """The training run; built here, because --help must not load torch."""
    import torch

    from semlink.codecs._regions.unet import CLASSES, UNet
    from semlink.simulator.training.run import Budget, Run

    class Training(Run):
        weights = class_weights(labels, len(CLASSES))

        def batch_loss(self, generator: Generator) -> Tensor:
            batch = augmented_batch(pictures, labels, flags.batch, generator)
            return segmentation_loss(self.network(batch[0]), batch[1], self.weights, flags.overlap)

        def levels(self, quick: bool) -> dict[str, float]:
            return columns(measure(self.average, *validation))

    torch.manual_seed(flags.seed)
    budget = Budget(
        minutes=flags.minutes,
        steps=flags.steps,
        batch=flags.batch,
        lr=flags.lr,
        seed=flags.seed,
        ema=flags.ema,
        checkpoint_every=flags.validate_every,
    )
    return Training(UNet(), budget, flags.out)


def columns(levels: dict[str, Any]) -> dict[str, float]:
    """What `measure` says as columns of the curve; NaN for absent classes."""
    by_class = {name: math.nan if value is None else value for name, value in levels["iou"].items()}
    return {"miou": levels["miou"], "pixels_right": levels["pixels_right"], **by_class}


def class_weights(labels: Tensor, classes: int) -> Tensor:
    """One weight per class, 1 / ln(1.1 + share of the pixels): from 1.3 (all pixels) to 10.5 (none).

    After Paszke et al., "ENet", 2016, section 5.1 (there with 1.02), scaled to the mean 1.
    """
    counts = labels.flatten().long().bincount(minlength=classes)[:classes].double()
    weights = 1 / (1.1 + counts / counts.sum()).log()
    return (weights / weights.mean()).float()


def segmentation_loss(logits: Tensor, labels: Tensor, weights: Tensor, overlap: float) -> Tensor:
    """Weighted cross entropy plus `overlap` times 1 - soft mIoU over the batch; labels beyond the classes count not."""
    import torch.nn.functional as F

    classes = logits.shape[1]
    counted = (labels < classes).unsqueeze(1)
    truth = F.one_hot(labels.clamp_max(classes), classes + 1)[..., :classes].permute(0, 3, 1, 2)
    guess = logits.softmax(1) * counted
    hits, size = (guess * truth).sum((0, 2, 3)), truth.sum((0, 2, 3))
    soft = hits / (guess.sum((0, 2, 3)) + size - hits + 1)
    entropy = F.cross_entropy(logits, labels, weights, ignore_index=classes)
    return entropy + overlap * (1 - soft[size > 0].mean())


def augmented_batch(pictures: Tensor, labels: Tensor, batch: int, generator: Generator) -> tuple[Tensor, Tensor]:
    """Random frames, zoomed, shifted, turned a little, half of them mirrored, with other colours.

    Pictures come as float32 `[batch, 3, H, W]` in [0, 1], labels as int64; places outside the frame are ignored.
    """
    import torch
    import torch.nn.functional as F

    from semlink.codecs._regions.unet import CLASSES

    chosen = torch.randint(len(pictures), (batch,), generator=generator)
    x, y = pictures[chosen].float() / 255, labels[chosen]
    grid = F.affine_grid(random_views(batch, x.shape[2] / x.shape[3], generator), list(x.shape), align_corners=False)
    x = F.grid_sample(x, grid, "bilinear", "reflection", align_corners=False)
    # Shifted by one, so that class 0 differs from what is sampled outside.
    y = F.grid_sample((y + 1.0)[:, None], grid, "nearest", "zeros", align_corners=False)[:, 0].long() - 1
    return random_colours(x, generator), torch.where(y < 0, len(CLASSES), y)


def random_views(batch: int, aspect: float, generator: Generator) -> Tensor:
    """Affine maps `[batch, 2, 3]` for `affine_grid`: window of 0.5 to 1.25 of the frame, turned by up to 6 degrees."""
    import torch

    draws = torch.rand(5, batch, generator=generator)
    scale = 0.5 * 2.5 ** draws[0]
    angle = math.radians(6) * (2 * draws[1] - 1)
    room = (1 - scale).abs()
    right, down = room * (2 * draws[2] - 1), room * (2 * draws[3] - 1)
    mirror = torch.where(draws[4] < 0.5, -1.0, 1.0)
    cosine, sine = scale * angle.cos(), scale * angle.sin()
    rows = (mirror * cosine, -sine * aspect, right, mirror * sine / aspect, cosine, down)
    return torch.stack(rows, dim=1).reshape(batch, 2, 3)


def random_colours(x: Tensor, generator: Generator) -> Tensor:
    """Other brightness, contrast, saturation, gamma and white balance for each picture; values stay in [0, 1]."""
    import torch

    draws = 2 * torch.rand(7, len(x), 1, 1, 1, generator=generator) - 1
    x = x ** torch.exp(0.3 * draws[0])
    grey = x.mean(1, keepdim=True)
    x = grey + (x - grey) * (1 + 0.4 * draws[1])
    x = x * torch.cat([1 + 0.12 * d for d in draws[4:7]], dim=1)
    middle = x.mean((1, 2, 3), keepdim=True)
    return (middle + (x - middle) * (1 + 0.3 * draws[2]) + 0.12 * draws[3]).clamp(0, 1)


if __name__ == "__main__":
    start(main, SegmenterFlags())
