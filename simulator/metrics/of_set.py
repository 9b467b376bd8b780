"""What rows keep for the mIoU of a whole set: pixels of each class in both maps and in either, picture by picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from semlink.simulator.protocols import Variable

SUFFIX = "_of_set"  # ends the name of the mIoU of a set
PARTS = ("hits", "union")
AGAINST = {"miou_truth": "the ground truth", "miou_sent": "the transmitted map"}
REGION = "miou_region"  # miou_truth of a set over the classes of the region alone
KNOWN = {**AGAINST, REGION: "the ground truth, classes of the region"}


def columns(metric: str, classes: tuple[str, ...], hits: np.ndarray, unions: np.ndarray) -> dict[str, np.ndarray]:
    """Names and values `[images]` of what rows need for the set's `metric`, from arrays `[images, classes]`."""
    parts = zip(PARTS, (hits, unions), strict=True)
    return {f"{metric}_{part}_{name}": values[:, i] for part, values in parts for i, name in enumerate(classes)}


def of_classes(values: Mapping[str, np.ndarray], classes: Sequence[str]) -> dict[str, np.ndarray]:
    """`columns` of REGION out of those of miou_truth, for the classes that the region is made of."""
    found = {f"{part}_{name}": values.get(f"miou_truth_{part}_{name}") for part in PARTS for name in classes}
    return {f"{REGION}_{key}": value for key, value in found.items() if value is not None}


def is_part(name: str) -> bool:
    """Whether a variable is one of `columns`: needed to compute, not to be read."""
    return any(name.startswith(f"{metric}_{part}_") for metric in KNOWN for part in PARTS)


def is_part_of(name: str, of_set: str) -> bool:
    """Whether a variable is one of the columns that this mIoU of a set, such as "miou_truth_of_set", needs."""
    return of_set.endswith(SUFFIX) and is_part(name) and name.startswith(of_set.removesuffix(SUFFIX))


def describe(name: str) -> Variable | None:
    """What a variable of `columns`, or the mIoU of the set, is; None for other names."""
    for metric, against in KNOWN.items():
        if name == metric + SUFFIX:
            return Variable("1", f"mIoU of the set against {against}", "higher", least=0, most=1)
        if is_part(name) and name.startswith(metric):
            part, _, of = name.removeprefix(f"{metric}_").partition("_")
            where = "both maps" if part == "hits" else "either map"
            return Variable("1", f"pixels of {of} in {where}, the received picture's and {against}")
    return None
