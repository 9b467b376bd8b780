"""Regions of interest: words of codecs that know them, and metrics of them and of what a segmenter still sees.

Made from words, so that worker processes can make them, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from semlink.simulator.errors import SemlinkError
from semlink.simulator.metrics import of_set
from semlink.simulator.plugins import capabilities, describe_metric, package
from semlink.simulator.words import Word, parse, with_settings

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from semlink.simulator.metrics.regions import Judge, Segmenter, Truth
    from semlink.simulator.protocols import Variable
    from semlink.simulator.sweep.trial import Parts

PSNRS = ("psnr_roi", "psnr", "psnr_roni", "theta_psnr")


def importance(word: Word) -> Any:
    """The importance map of a word. SemlinkError for settings that it refuses."""
    return package("codecs.importance").create(word.name, **dict(word.settings))


def with_roi(codec: str, roi: str) -> str:
    """The codec's word, with the region's importance where it takes one and names none."""
    word = parse(codec)
    if "importance" not in capabilities(codec) or "importance" in dict(word.settings):
        return str(word)
    return with_settings(codec, importance=str(parse(roi)).replace(",", ";"))


def is_uniform(codec: str) -> bool:
    """Whether it is a codec for regions that is told to treat all alike."""
    return dict(parse(codec).settings).get("importance", "") is None


def metrics(roi: str, data: str) -> tuple[str, ...]:
    """What can be measured: mIoU needs a segmenter of the pictures' classes, and annotations for the truth."""
    from semlink.simulator.data import LABELLED

    word = parse(roi)
    ours = "model" not in dict(word.settings)
    truth = ("miou_truth",) if ours and data in LABELLED else ()
    sent = ("miou_sent",) if ours and (truth or word.name == "segmentation") else ()
    return (*PSNRS, *truth, *sent)


def parts(roi: str, theta: float, data: str, limit: int | None) -> Parts:
    """Pictures, codecs and links as ever, and metrics that know the region."""
    from semlink.simulator.sweep.trial import Parts

    return Parts(measure=partial(measure, roi, theta, data, limit), describe=describe)


def measure(
    roi: str, theta: float, data: str, limit: int | None, names: Sequence[str], original: Tensor, received: Tensor
) -> Mapping[str, Tensor]:
    """Metrics of received pictures, float64 `[batch]` each."""
    sees = any(name.startswith("miou") for name in names)
    return judge(roi, theta, data, limit, sees).measure(names, original, received)


def describe(name: str) -> Variable:
    """Unit, label and direction of a metric or pixel count."""
    return of_set.describe(name) or describe_metric(name)


@lru_cache(maxsize=1)
def judge(roi: str, theta: float, data: str, limit: int | None, sees: bool) -> Judge:
    """What measures; one a process, because it remembers the originals. theta: weight of the region's error."""
    from semlink.simulator.metrics.regions import Judge

    word = parse(roi)
    segmenter = our_segmenter(word) if sees else None
    return Judge(importance(word).maps, theta, segmenter, ground_truth(data, limit, segmenter) if segmenter else None)


def our_segmenter(roi: Word) -> Segmenter:
    """The network that the region comes from, or the shipped one."""
    from semlink.simulator.metrics.regions import Segmenter

    made = importance(roi if roi.name == "segmentation" else Word("segmentation"))
    return Segmenter(made.labels, made.names)


def ground_truth(data: str, limit: int | None, segmenter: Segmenter) -> Truth | None:
    """The annotated maps of a labelled set. SemlinkError when the segmenter knows other classes."""
    from semlink.simulator import data as sources
    from semlink.simulator.metrics.regions import Truth, digest

    if data not in sources.LABELLED:
        return None
    pictures, labels = sources.load(data, limit), sources.labels(data, limit)
    if labels.classes != segmenter.names:
        raise SemlinkError(f"{data} is annotated with other classes than the segmenter of --roi knows")
    return Truth({digest(pictures[i]): labels[i] for i in range(len(pictures))}, labels.ignore)


def region(roi: str, picture: np.ndarray) -> np.ndarray:
    """Where a picture float32 `[3, H, W]` is of interest, bool `[H, W]`."""
    import torch

    return (importance(parse(roi)).maps(torch.from_numpy(picture)[None])[0] >= 0.5).numpy()
