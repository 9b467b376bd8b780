"""What coding for a region of interest brings at equal channel uses, and by which means.

    python experiments/roi.py --data camvid --out results/roi
    python experiments/roi.py --data imagenet-256 --roi "box:x0=0.25,x1=0.75,y0=0.25,y1=0.75" --snr 1 10 --arms \\
        --codecs roi_jscc:importance=none roi_jscc roi_dual --out results/roi_box_4

The second is the comparison of ROI-JSCC (Choi et al. 2025) for a central box of 1/4 of the picture (0.375 and 0.625:
1/16). All codecs meet the same pictures, fades and noise, so all differences are paired.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from semlink.simulator.errors import SemlinkError
from semlink.simulator.metrics import of_set
from semlink.simulator.records.sweep import Sweep
from semlink.simulator.study import cli
from semlink.simulator.words import Setting, Word, parse, short, with_settings

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure
    from torch import Tensor

    from semlink.simulator.analysis.comparison import Entry, Result
    from semlink.simulator.metrics.regions import Judge, Segmenter, Truth
    from semlink.simulator.protocols import Variable
    from semlink.simulator.records.rows import Rows
    from semlink.simulator.sweep.trial import Parts

PSNRS = ("psnr_roi", "psnr", "psnr_roni", "theta_psnr")
SHOWN = ("psnr_roi", "psnr", "miou_truth_of_set", "miou_sent_of_set")
POWER: dict[str, Setting] = {"csit": "perfect", "power": "semantic_waterfilling"}
PROTECTION: dict[str, Setting] = {"csit": "perfect", "placement": "importance"}
UNIFORM = "uniform"


@dataclass(frozen=True)
class RoiFlags(cli.Flags):
    """What does coding for a region of interest bring at equal channel uses, and by which means?

    Quality of the region, of the rest and of the whole picture, and what a segmenter still sees in it: mIoU against
    the annotation (miou_truth, of labelled sets) and against its view of the original (miou_sent), as a mean over
    pictures and, _of_set, of all pixels of the set. Leaves in --out: rows.h5 (every picture), summary.csv, roi.csv
    (means, and paired differences to the uniform twin and to digital, with 95 % intervals), run.json, and figures as
    PNG and PDF. The same command continues a run.
    """

    roi: str = "segmentation"
    """Importance map whose region all metrics mean, and which ROI codecs get that name no importance of their own:
    segmentation:classes=car/pedestrian, box:x0=0.25,x1=0.75, saliency, ..."""
    theta: float = 0.8
    """Weight of the region's error in theta_psnr."""
    arms: tuple[str, ...] = ("tdl:delay_spread=3e-7,model=C",)
    """Channels on which bandwidth, power and protection by importance are told apart; none: leave that out. The CSI is
    lmmse unless given, and the transmitter knows it where power or placement need it."""


@dataclass(frozen=True)
class Arm:
    """A means of giving the region more: a codec and what the link does."""

    name: str
    codec: str
    link: Mapping[str, Setting]

    def channel(self, channel: str) -> str:
        """The channel word that makes the link."""
        word = parse(channel)
        settings = {"csi": "lmmse", **dict(word.settings), **self.link}
        return str(Word(word.name, tuple(sorted(settings.items())), word.added))


def with_roi(codec: str, roi: str) -> str:
    """The codec's word, with the region's importance where it takes one and names none."""
    word = parse(codec)
    if not takes(codec, "importance") or "importance" in dict(word.settings):
        return str(word)
    return with_settings(codec, importance=str(parse(roi)).replace(",", ";"))


def takes(codec: str, setting: str) -> bool:
    """Whether a codec has such a setting."""
    from semlink import codecs

    return setting in inspect.signature(codecs.registry.get(parse(codec).name)).parameters


def is_uniform(codec: str) -> bool:
    """Whether it is a codec for regions that is told to treat all alike."""
    return dict(parse(codec).settings).get("importance", "") is None


def roles(flags: RoiFlags) -> dict[str, str]:
    """The codecs that the others are compared with, and what they stand for."""
    words = [with_roi(codec, flags.roi) for codec in flags.codecs]
    uniform = list(dict.fromkeys(word for word in words if is_uniform(word)))
    found = {word: short(word) if i else UNIFORM for i, word in enumerate(uniform)}
    return found | {word: "digital" for word in words if parse(word).name == "digital"}


def arms(flags: RoiFlags) -> tuple[Arm, ...]:
    """The means one by one and together, of the first codec for regions that can leave bandwidth alone."""
    words = [with_roi(codec, flags.roi) for codec in flags.codecs]
    base = next((word for word in words if takes(word, "bandwidth") and not is_uniform(word)), None)
    if base is None or not flags.arms:
        return ()
    flat = with_settings(base, bandwidth=False)
    return (
        Arm(UNIFORM, with_settings(base, importance=None), {}),
        Arm("bandwidth", base, {}),
        Arm("power", flat, POWER),
        Arm("protection", flat, PROTECTION),
        Arm("all", base, {**POWER, **PROTECTION}),
    )


def questions(flags: RoiFlags) -> tuple[Sweep, ...]:
    """The codecs side by side, and then the arms."""
    asked = cli.sweep_of(flags, metrics(flags))
    words = dict.fromkeys(with_roi(codec, flags.roi) for codec in flags.codecs)
    found = [replace(asked, codecs=tuple(words))]
    for group in (arms(flags)[:2], arms(flags)[2:4], arms(flags)[4:]):  # that share a link or a codec
        links = dict.fromkeys(arm.channel(channel) for arm in group for channel in flags.arms)
        found.append(replace(asked, codecs=tuple(dict.fromkeys(a.codec for a in group)), channels=tuple(links)))
    return tuple(sweep for sweep in found if sweep.codecs)


def metrics(flags: RoiFlags) -> tuple[str, ...]:
    """What can be measured: mIoU needs a segmenter of the pictures' classes, and annotations for the truth."""
    from semlink.simulator.data import LABELLED

    roi = parse(flags.roi)
    ours = "model" not in dict(roi.settings)
    truth = ("miou_truth",) if ours and flags.data in LABELLED else ()
    sent = ("miou_sent",) if ours and (truth or roi.name == "segmentation") else ()
    return (*PSNRS, *truth, *sent)


def parts(flags: RoiFlags) -> Parts:
    """Pictures, codecs and links as ever, and metrics that know the region."""
    from semlink.simulator.sweep.trial import Parts

    judged = partial(measure, flags.roi, flags.theta, flags.data, flags.limit)
    return Parts(measure=judged, describe=describe)


def measure(
    roi: str, theta: float, data: str, limit: int | None, names: Sequence[str], original: Tensor, received: Tensor
) -> Mapping[str, Tensor]:
    """Metrics of received pictures, float64 `[batch]` each."""
    return judge(roi, theta, data, limit, any(name.startswith("miou") for name in names)).measure(
        names, original, received
    )


def describe(name: str) -> Variable:
    """Unit, label and direction of a metric or pixel count."""
    from semlink.simulator.plugins import describe_metric

    return of_set.describe(name) or describe_metric(name)


@lru_cache(maxsize=1)
def judge(roi: str, theta: float, data: str, limit: int | None, sees: bool) -> Judge:
    """What measures; one a process, because it remembers the originals."""
    from semlink.codecs import importance
    from semlink.simulator.metrics.regions import Judge

    word = parse(roi)
    maps = importance.create(word.name, **dict(word.settings)).maps
    segmenter = our_segmenter(word) if sees else None
    return Judge(maps, theta, segmenter, ground_truth(data, limit, segmenter) if segmenter else None)


def our_segmenter(roi: Word) -> Segmenter:
    """The network that the region comes from, or the shipped one."""
    from semlink.codecs import importance
    from semlink.codecs.importance._segmenters import find
    from semlink.simulator.metrics.regions import Segmenter

    settings = dict(roi.settings) if roi.name == "segmentation" else {}
    made = importance.create("segmentation", **settings)
    return Segmenter(made.labels, find(made.model, made.weights).names)


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


def compare(flags: RoiFlags, rows: Rows) -> dict[str, list[Result]]:
    """Results by title of what is compared: the codecs over each channel, then the arms over each of theirs."""
    from semlink.simulator.analysis import comparison

    asked = metrics(flags)
    names = (*asked, *(f"{name}{of_set.SUFFIX}" for name in asked if name in of_set.AGAINST))
    rhos, others = tuple(dict.fromkeys(flags.rho)), tuple(roles(flags))
    return {
        title: comparison.compare(rows, entries, (UNIFORM,) if of_arms else others, names, rhos, flags.snr)
        for title, of_arms, entries in panels(flags)
    }


def panels(flags: RoiFlags) -> list[tuple[str, bool, tuple[Entry, ...]]]:
    """What is compared: a title, whether it is the arms, and the entries."""
    from semlink.simulator.analysis.comparison import Entry

    words = tuple(dict.fromkeys(with_roi(codec, flags.roi) for codec in flags.codecs))
    channels = tuple(dict.fromkeys(str(parse(channel)) for channel in flags.channels))
    found = [(short(c), False, tuple(Entry(word, word, c) for word in words)) for c in channels]
    for c in dict.fromkeys(flags.arms) if arms(flags) else ():
        entries = tuple(Entry(arm.name, arm.codec, arm.channel(c)) for arm in arms(flags))
        found.append((f"means of {short(entries[1].codec)} over {short(entries[0].channel)}", True, entries))
    return found


def shown(flags: RoiFlags) -> tuple[str, ...]:
    """Metrics of tables and figures, of those that can be measured; all are in roi.csv."""
    return tuple(name for name in SHOWN if name.removesuffix(of_set.SUFFIX) in metrics(flags))


def tables(flags: RoiFlags, results: Mapping[str, Sequence[Result]]) -> str:
    """All that is worth reading on a screen."""
    from semlink.simulator.analysis import comparison

    found = []
    for title, panel in results.items():
        for metric in shown(flags):
            for rho in dict.fromkeys(flags.rho):
                own = [r for r in panel if (r.line.metric, r.line.rho) == (metric, rho)]
                found.append(comparison.table(own, describe(metric), f"{title}, rho 1/{1 / rho:.3g}"))
    return "\n\n".join(found)


def figures(flags: RoiFlags, rows: Rows, results: Mapping[str, Sequence[Result]]) -> dict[str, Figure]:
    """All figures by the names of their files; those against rho when there are several rates."""
    from semlink.simulator.figures import bars, curves
    from semlink.simulator.files import slug

    lines = [r.line for title, of_arms, _ in panels(flags) if not of_arms for r in results[title]]
    snrs = sorted(set(flags.snr))
    some = [line for line in lines if line.snr_db in (snrs[0], snrs[len(snrs) // 2], snrs[-1])]
    found = {f"{metric}_vs_snr": curves.curves(lines, metric, describe(metric)) for metric in shown(flags)}
    if len(set(flags.rho)) > 1:
        task = [metric for metric in shown(flags) if metric.startswith("miou")]
        found |= {f"{metric}_vs_rho": curves.curves(some, metric, describe(metric), "rho_total") for metric in task}
    for title, of_arms, entries in panels(flags):
        if of_arms:
            variables = {metric: describe(metric) for metric in shown(flags)}
            name = f"arms_{slug(entries[0].channel)}"
            found[name] = bars.gains(results[title], variables, UNIFORM, title)
    pictures = strip(flags, rows)
    return found | ({"pictures": pictures} if pictures else {})


def strip(flags: RoiFlags, rows: Rows) -> Figure | None:
    """The first picture with its region, and as each codec delivers it at the lowest SNR, a row per channel."""
    from semlink.simulator.data import pictures
    from semlink.simulator.figures import bars
    from semlink.simulator.records.store import Condition, picture_path

    if not picture_path(flags.out, None).exists():
        return None
    sent = pictures.read(picture_path(flags.out, None))
    found = {m.condition: m for m in rows.measurements if not m.error}
    lines = []
    for title, entries in ((title, entries) for title, of_arms, entries in panels(flags) if not of_arms):
        at = [Condition(entry.codec, flags.rho[0], entry.channel, min(flags.snr)) for entry in entries]
        tiles = [bars.received(flags.out, found[c]) for c in at if c in found]
        original = bars.Tile(sent, "original, region outlined")
        lines.append((f"{title}, {min(flags.snr):g} dB", [original, *tiles]))
    return bars.strip(lines, region(flags.roi, sent))


def region(roi: str, picture: np.ndarray) -> np.ndarray:
    """Where a picture `[3, H, W]` is of interest, bool `[H, W]`."""
    import torch

    from semlink.codecs import importance

    word = parse(roi)
    return (importance.create(word.name, **dict(word.settings)).maps(torch.from_numpy(picture)[None])[0] >= 0.5).numpy()


def check(flags: RoiFlags) -> None:
    """SemlinkError for what can be seen to be wrong before anything is measured."""
    from semlink.codecs import importance
    from semlink.simulator.plugins import make_link

    word = parse(flags.roi)
    if word.added:
        raise SemlinkError(f"--roi {flags.roi}: separate classes by slashes")
    if not 0 <= flags.theta <= 1:
        raise SemlinkError(f"--theta {flags.theta:g}: give a weight within 0 and 1")
    cli.check_channels(flags.arms)
    importance.create(word.name, **dict(word.settings))
    for arm in arms(flags):
        for channel in flags.arms:
            make_link(parse(arm.channel(channel)))


def publish(flags: RoiFlags, rows: Rows, results: Mapping[str, Sequence[Result]]) -> list[Path]:
    """summary.csv without pixel counts but with the mIoU of the set, roi.csv, and all figures."""
    from semlink.simulator.analysis import comparison, statistics
    from semlink.simulator.figures import curves

    every = [result for panel in results.values() for result in panel]
    whole = dict.fromkeys(r.line for r in every if r.line.metric.endswith(of_set.SUFFIX))
    summary = [line for line in statistics.summarise(rows) if not of_set.is_part(line.metric)]
    statistics.write_csv([*summary, *whole], flags.out / "summary.csv")
    comparison.write_csv(every, {**roles(flags), UNIFORM: UNIFORM}, flags.out / "roi.csv")
    files = [flags.out / name for name in ("rows.h5", "summary.csv", "roi.csv", "run.json")]
    return files + [p for name, f in figures(flags, rows, results).items() for p in curves.save(f, flags.out / name)]


def means(flags: RoiFlags) -> dict[str, dict[str, list[str]]]:
    """Codec and channel words of each arm, by the channel that was asked for."""
    return {channel: {arm.name: [arm.codec, arm.channel(channel)] for arm in arms(flags)} for channel in flags.arms}


def main(flags: RoiFlags) -> int:
    """Measure, compare, draw and say where everything is."""
    import time

    from semlink.simulator.study import closing as publishing
    from semlink.simulator.sweep import runner

    check(flags)
    started = time.monotonic()
    outcomes = [runner.run(question, flags.out, flags.workers, parts(flags)) for question in questions(flags)]
    rows = outcomes[-1].rows
    failures = {str(condition): error for o in outcomes for condition, error in o.failures.items()}
    seconds = round(time.monotonic() - started, 3)
    publishing.whole_run(flags.out, asdict(flags), seconds, failures, {"arms": means(flags)})
    results = compare(flags, rows)
    files = publish(flags, rows, results)
    print(tables(flags, results), end="\n\n")
    print("\n".join(["written:", *(f"  {path}" for path in files)]))
    return max(publishing.failures(outcome) for outcome in outcomes)


if __name__ == "__main__":
    cli.start(
        main,
        RoiFlags(
            out=Path("results/roi"),
            data="camvid",
            codecs=("roi_jscc:domain=street,importance=none", "roi_jscc:domain=street", "roi_dual", "digital"),
            channels=("awgn",),
            snr=(0.0, 5.0, 10.0),
        ),
    )
