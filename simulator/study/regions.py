"""Regions of interest: words of codecs that know them, and metrics of them and of what a segmenter still sees.

Made from words, so that worker processes can make them, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semlink.simulator.errors import SemlinkError
from semlink.simulator.files import digest, read_json, write_json
from semlink.simulator.metrics import of_set
from semlink.simulator.plugins import JUDGE, capabilities, describe_metric, make_importance
from semlink.simulator.words import parse, with_settings

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from semlink.simulator.data import Labels
    from semlink.simulator.metrics.regions import Judge, Segmenter, Truth
    from semlink.simulator.protocols import Variable
    from semlink.simulator.records.rows import Rows
    from semlink.simulator.sweep.trial import Parts

IGNORED = 255  # pixels that count for no class
NOTE = "judged.json"
PSNRS = ("psnr_roi", "psnr", "psnr_roni", "theta_psnr")


def with_roi(codec: str, roi: str) -> str:
    """The codec's word, with the region's importance where it takes one and names none."""
    word = parse(codec)
    if "importance" not in capabilities(codec) or "importance" in dict(word.settings):
        return str(word)
    return with_settings(codec, importance=str(parse(roi)).replace(",", ";"))


def is_uniform(codec: str) -> bool:
    """Whether it is a codec for regions that is told to treat all alike."""
    return dict(parse(codec).settings).get("importance", "") is None


@dataclass(frozen=True)
class Judging:
    """By what received pictures are judged: the words and places of an experiment's flags, so that it pickles.

    roi: word of the importance map. theta: weight of the region's error. judge: word of the segmenter that scores,
    empty for our own that neither steers nor tunes a codec. labels, classes: folder of the class maps of `data` and
    their class file, where `data` is no labelled set by name. sent: word of the segmenter whose map of the original
    counts as the transmitted one; empty: the judge.
    """

    roi: str
    data: str
    theta: float = 0.8
    limit: int | None = None
    judge: str = ""
    labels: str | None = None
    classes: str | None = None
    sent: str = ""

    @property
    def annotated(self) -> bool:
        """Whether the pictures come with class maps."""
        from semlink.simulator.data import LABELLED

        return self.labels is not None or self.data in LABELLED

    def metrics(self) -> tuple[str, ...]:
        """What can be measured: mIoU needs a segmenter of the pictures' classes, and annotations for the truth."""
        word = parse(self.roi)
        ours = word.name == "segmentation" and "model" not in dict(word.settings)
        truth = ("miou_truth",) if self.annotated else ()
        sent = ("miou_sent",) if self.annotated or self.judge or ours else ()
        return (*PSNRS, *truth, *sent)

    def classes_of_region(self) -> tuple[str, ...]:
        """The classes that the region is made of, where annotations tell how well they are seen; none for a box."""
        return getattr(make_importance(parse(self.roi)), "chosen", ()) if self.annotated else ()

    def segmenter(self) -> Segmenter:
        """The network that scores. SemlinkError for a word that names no segmenter."""
        from semlink.simulator.metrics.regions import Segmenter

        made = make_importance(parse(self.judge or JUDGE))
        if not hasattr(made, "labels"):
            raise SemlinkError(f"--judge {self.judge}: names no classes; give a segmenter such as {JUDGE}")
        return Segmenter(made.labels, made.names)

    def depends(self) -> dict[str, Any]:
        """What the numbers depend on besides the pictures: the words, and digests of the files that they name."""
        words = (self.roi, self.judge or JUDGE, *([self.sent] if self.sent else []))
        makers = [make_importance(parse(word)) for word in words]
        files = [path for made in makers for path in getattr(made, "files", tuple)()]
        files += [Path(path).expanduser() for path in (self.labels, self.classes) if path]
        told = ("roi", "theta", "judge", *(["sent"] if self.sent else []))
        named = {name: getattr(self, name) for name in told}
        return {**named, "files": {path.name: digest(path) for path in files if path.exists()}}


def check(judging: Judging) -> None:
    """SemlinkError for a region or weight that is none, maps that are missing and classes the segmenter knows not."""
    if not 0 <= judging.theta <= 1:
        raise SemlinkError(f"--theta {judging.theta:g}: give a weight within 0 and 1")
    getattr(make_importance(parse(judging.roi)), "chosen", None)  # tells of classes that its network knows not
    if judging.classes and not judging.labels:
        raise SemlinkError(f"--classes {judging.classes}: says what the numbers of --labels mean; give that folder too")
    if any(name.startswith("miou") for name in judging.metrics()):
        known = judging.segmenter().names
        if judging.annotated:
            found = class_maps(judging)
            class_numbers(found.classes, found.ignore, known)


def parts(judging: Judging) -> Parts:
    """Pictures, codecs and links as ever, and metrics that know the region."""
    from semlink.simulator.sweep.trial import Parts

    return Parts(measure=partial(measure, judging), describe=describe)


def measure(judging: Judging, names: Sequence[str], original: Tensor, received: Tensor) -> Mapping[str, Tensor]:
    """Metrics of received pictures, float64 `[batch]` each."""
    sees = any(name.startswith("miou") for name in names)
    return judge(judging, sees).measure(names, original, received)


def with_sets(judging: Judging, rows: Rows) -> tuple[tuple[str, ...], Rows]:
    """Names of all that is compared, and the rows with the pixel counts of the region's classes."""
    asked, chosen = judging.metrics(), judging.classes_of_region()
    sets = (*(name for name in asked if name in of_set.AGAINST), *((of_set.REGION,) if chosen else ()))
    known = (replace(m, values={**m.values, **of_set.of_classes(m.values, chosen)}) for m in rows.measurements)
    return (*asked, *(f"{name}{of_set.SUFFIX}" for name in sets)), replace(rows, measurements=tuple(known))


def describe(name: str) -> Variable:
    """Unit, label and direction of a metric or pixel count."""
    return of_set.describe(name) or describe_metric(name)


@lru_cache(maxsize=1)
def judge(judging: Judging, sees: bool) -> Judge:
    """What measures; one a process, because it remembers the originals."""
    from semlink.simulator.metrics.regions import Judge

    segmenter = judging.segmenter() if sees else None
    truth = ground_truth(judging, segmenter) if segmenter and judging.annotated else None
    sent = make_importance(parse(judging.sent)).labels if sees and judging.sent else None
    return Judge(make_importance(parse(judging.roi)).maps, judging.theta, segmenter, truth, sent)


def ground_truth(judging: Judging, segmenter: Segmenter) -> Truth:
    """The class maps of the pictures, with the segmenter's numbers.

    SemlinkError when a map has a class that the segmenter does not know, or another size than its picture.
    """
    from semlink.simulator import data as sources
    from semlink.simulator.metrics.regions import Truth
    from semlink.simulator.metrics.regions import digest as name_of

    pictures, labels = sources.load(judging.data, judging.limit), class_maps(judging)
    numbers = class_numbers(labels.classes, labels.ignore, segmenter.names)
    maps = {}
    for i, size in enumerate(pictures.sizes()):
        found = labels[i]
        if tuple(found.shape) != size:
            shape = f"{found.shape[1]}x{found.shape[0]} px, its picture {size[1]}x{size[0]}"
            raise SemlinkError(f"{labels.paths[i]}: a class map of {shape}; make it that size without smoothing")
        maps[name_of(pictures[i])] = numbers[found.long()]
    return Truth(maps, IGNORED)


def class_maps(judging: Judging) -> Labels:
    """Where the class maps of the pictures are. SemlinkError for what is missing."""
    from semlink.simulator import data as sources

    return sources.labels(judging.data, judging.limit, judging.labels, judging.classes)


def class_numbers(classes: Sequence[str], ignore: int, known: Sequence[str]) -> Tensor:
    """Number that the segmenter has for each number of a class map, uint8 `[256]`; IGNORED for what has no class.

    SemlinkError that names the classes which the segmenter does not know.
    """
    import torch

    from semlink.simulator.data.class_names import UNLABELLED

    strange = [c for i, c in enumerate(classes) if c not in known and c not in UNLABELLED and i != ignore]
    if strange:
        raise SemlinkError(
            f"classes {', '.join(strange)} are none that the segmenter knows ({', '.join(known)}); call them "
            f"unlabelled in the class file, or name a segmenter that knows them with --judge"
        )
    numbers = torch.full((256,), IGNORED, dtype=torch.uint8)
    for number, name in enumerate(classes):
        if name in known and number != ignore:
            numbers[number] = known.index(name)
    return numbers


def claim(judging: Judging, out: Path) -> None:
    """Note in `out` by what its rows are judged. SemlinkError when they were judged otherwise."""
    path, now = out / NOTE, judging.depends()
    then = read_json(path, "not what rows were judged by; choose another --out") if path.is_file() else now
    changed = [f"{name} {then.get(name)}, now {value}" for name, value in now.items() if then.get(name) != value]
    if changed:
        raise SemlinkError(f"{out} holds results judged otherwise ({'; '.join(changed)}); choose another --out")
    out.mkdir(parents=True, exist_ok=True)
    write_json(path, now)


def region(roi: str, picture: np.ndarray) -> np.ndarray:
    """Where a picture float32 `[3, H, W]` is of interest, bool `[H, W]`."""
    import torch

    return (make_importance(parse(roi)).maps(torch.from_numpy(picture)[None])[0] >= 0.5).numpy()
