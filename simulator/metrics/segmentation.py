"""Intersection over union of class maps: IoU_c = TP_c / (TP_c + FP_c + FN_c), mIoU = its mean over classes.

Maps hold class numbers 0 .. classes - 1 as integers `[batch, H, W]`; pixels that the labels mark with `ignore` count
nowhere. A class in neither map (TP + FP + FN = 0) is left out of a mean; one that is only predicted has IoU 0.
Reference: Everingham et al., "The Pascal Visual Object Classes Challenge: A Retrospective", IJCV 111, 2015.
"""

from __future__ import annotations

import torch
from torch import Tensor

from semlink.simulator.errors import SemlinkError


def miou(predicted: Tensor, labels: Tensor, classes: int, ignore: int | None = None) -> Tensor:
    """mIoU of each image, float64 `[batch]`; NaN (nothing to measure) where all of an image is ignored.

    Raises SemlinkError for shapes that differ, numbers that are no class, or maps that are no integers.
    """
    return mean_iou(confusion(predicted, labels, classes, ignore))


def confusion(predicted: Tensor, labels: Tensor, classes: int, ignore: int | None = None) -> Tensor:
    """Pixels by true (row) and predicted (column) class, int64 `[batch, classes, classes]`.

    Sum it over the images of a set to have the set's mIoU, which is what data sets' tables hold. Errors as `miou`.
    """
    _check(predicted, labels)
    truth, guess = labels.flatten(1).long(), predicted.flatten(1).long()
    counted = torch.ones_like(truth, dtype=torch.bool) if ignore is None else truth != ignore
    for name, values in (("labels", truth[counted]), ("predicted map", guess[counted])):
        if values.numel() and not 0 <= int(values.min()) <= int(values.max()) < classes:
            raise SemlinkError(f"{name}: classes {int(values.min())} to {int(values.max())} are not 0 to {classes - 1}")
    images = torch.arange(len(truth), device=truth.device)[:, None].expand_as(truth)
    cells = (images * classes + truth) * classes + guess
    return torch.bincount(cells[counted], minlength=len(truth) * classes**2).reshape(-1, classes, classes)


def overlaps(counts: Tensor) -> tuple[Tensor, Tensor]:
    """Pixels of each class in both maps, and in either one, int64 `[..., classes]`, of a confusion."""
    hits = counts.diagonal(dim1=-2, dim2=-1)
    return hits, counts.sum(-1) + counts.sum(-2) - hits


def iou(counts: Tensor) -> Tensor:
    """IoU of each class, float64 `[..., classes]`, of a confusion `[..., classes, classes]`; NaN for absent classes."""
    hits, either = overlaps(counts)
    return hits.double() / either


def mean_iou(counts: Tensor) -> Tensor:
    """Mean IoU over the classes that occur, float64 `[...]`; NaN when none does."""
    return iou(counts).nanmean(-1)


def mean_iou_of_present(counts: Tensor) -> Tensor:
    """Mean IoU over the classes that the labels hold, float64 `[...]`; NaN when they hold none.

    For single images: there a few pixels of a class that is not in the picture would count as much as a whole class,
    while here they only count against the classes that they are taken from.
    """
    present = counts.sum(-1) > 0
    return iou(counts).where(present, torch.nan).nanmean(-1)


def _check(predicted: Tensor, labels: Tensor) -> None:
    if predicted.shape != labels.shape or labels.ndim != 3 or 0 in labels.shape:
        raise SemlinkError(
            f"predicted {list(predicted.shape)} and labels {list(labels.shape)} must both be [batch, H, W], not empty"
        )
    for name, values in (("predicted map", predicted), ("labels", labels)):
        if values.is_floating_point() or values.is_complex() or values.dtype == torch.bool:
            raise SemlinkError(f"{name}: {values.dtype} holds no class numbers; give integers")
