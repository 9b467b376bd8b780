"""Training and evaluation of the U-Net that finds classes of a street, on labelled frames."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from semlink.codecs._regions.classes import CLASSES
from semlink.codecs._regions.training_views import augmented_batch
from semlink.codecs._regions.unet import segment
from semlink.simulator import data
from semlink.simulator.metrics.segmentation import confusion, iou, mean_iou
from semlink.simulator.training.run import Budget, Run


class Frames(NamedTuple):
    """Pictures uint8 `[n, 3, H, W]` and their class maps, uint8 `[n, H, W]`."""

    pictures: Tensor
    labels: Tensor


class SegmenterRun(Run):
    """A training run of `network` on frames; validation: frames for the curve. overlap: weight of the Jaccard loss."""

    def __init__(
        self, network: Any, frames: Frames, validation: Frames, overlap: float, budget: Budget, folder: Path
    ) -> None:
        super().__init__(network, budget, folder)
        self.frames, self.validation, self.overlap = frames, validation, overlap
        self.weights = class_weights(frames.labels, len(CLASSES))

    def batch_loss(self, generator: Generator) -> Tensor:
        """The loss of random frames, seen from elsewhere."""
        pictures, labels = augmented_batch(*self.frames, self.budget.batch, generator)
        return segmentation_loss(self.network(pictures), labels, self.weights, self.overlap)

    def levels(self, quick: bool) -> dict[str, float]:
        """mIoU, share of right pixels and IoU by class on the validation frames."""
        return columns(measure(self.average, self.validation))


def frames(name: str) -> Frames:
    """All pictures of a labelled set as uint8 `[n, 3, H, W]` and their class maps, uint8 `[n, H, W]`."""
    pictures, labels = data.load(name), data.labels(name)
    return Frames(
        torch.stack([(picture * 255).round().to(torch.uint8) for picture in pictures]),
        torch.stack([labels[i] for i in range(len(labels))]),
    )


def measure(network: Any, frames: Frames) -> dict[str, Any]:
    """Set mIoU, IoU by class name (None: absent), share of pixels that are right, over the frames."""
    counts = torch.zeros(len(CLASSES), len(CLASSES), dtype=torch.long)
    for picture, truth in zip(*frames, strict=True):
        predicted = segment(network, picture[None].float() / 255)
        counts += confusion(predicted, truth[None], len(CLASSES), ignore=len(CLASSES))[0]
    by_class = [None if math.isnan(value) else round(value, 4) for value in iou(counts).tolist()]
    return {
        "miou": round(float(mean_iou(counts)), 4),
        "pixels_right": round(float(counts.diagonal().sum() / counts.sum()), 4),
        "iou": dict(zip(CLASSES, by_class, strict=True)),
        "frames": len(frames.pictures),
    }


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
    classes = logits.shape[1]
    counted = (labels < classes).unsqueeze(1)
    truth = F.one_hot(labels.clamp_max(classes), classes + 1)[..., :classes].permute(0, 3, 1, 2)
    guess = logits.softmax(1) * counted
    hits, size = (guess * truth).sum((0, 2, 3)), truth.sum((0, 2, 3))
    soft = hits / (guess.sum((0, 2, 3)) + size - hits + 1)
    entropy = F.cross_entropy(logits, labels, weights, ignore_index=classes)
    return entropy + overlap * (1 - soft[size > 0].mean())
