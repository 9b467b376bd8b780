"""What coding for a region of interest brings at equal channel uses, and by which means.

    python experiments/roi.py --data camvid-drives --out results/roi
    python experiments/roi.py --data my_frames/ --labels my_maps/ --classes my_classes.txt --out results/mine
    python experiments/roi.py --data imagenet-256 --roi "box:x0=0.25,x1=0.75,y0=0.25,y1=0.75" --snr 1 10 --arms \\
        --codecs roi_jscc:importance=none roi_jscc roi_dual --out results/roi_box_4

The third is the comparison of ROI-JSCC (Choi et al. 2025) for a central box of 1/4 of the picture (0.375 and 0.625:
1/16). All codecs meet the same pictures, fades and noise, so all differences are paired.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from semlink.simulator.analysis import comparison, statistics
from semlink.simulator.analysis.comparison import Entry, Result
from semlink.simulator.metrics import of_set
from semlink.simulator.plugins import make_link
from semlink.simulator.records.rows import Rows
from semlink.simulator.records.sweep import Sweep
from semlink.simulator.study import checks, cli, regions
from semlink.simulator.study.arms import UNIFORM, means_apart
from semlink.simulator.study.regions import is_uniform, with_roi
from semlink.simulator.study.study import Answer, Study, run
from semlink.simulator.words import labels, parse, short

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = (
    "psnr_roi",
    "psnr",
    "miou_truth_of_set",
    "miou_region_of_set",
    "miou_sent_of_set",
)  # in tables and figures; roi.csv has all


@dataclass(frozen=True)
class RoiFlags(cli.Flags):
    """What does coding for a region of interest bring at equal channel uses, and by which means?

    Quality of the region, of the rest and of the whole picture, and what a segmenter still sees in it: mIoU against
    the annotation (miou_truth, of labelled pictures; miou_region over the classes of the region alone) and against its
    view of the original (miou_sent), as a mean over pictures and, _of_set, of all pixels of the set; the segmenter that
    scores is not the one that steers and tunes. Leaves in --out: rows.h5 (every picture), summary.csv, roi.csv (means,
    and paired differences to the uniform twin and to digital, with 95 % intervals), run.json, and figures as PNG and
    PDF. The same command continues a run.
    """

    roi: str = "segmentation"
    """Importance map whose region all metrics mean, and which ROI codecs get that name no importance of their own:
    segmentation:classes=car/pedestrian, box:x0=0.25,x1=0.75, saliency, ..."""
    theta: float = 0.8
    """Weight of the region's error in theta_psnr."""
    judge: str = ""
    """Segmenter that scores, such as segmentation:model=FOLDER; empty: segmentation:network=pyramid, which knows the
    eleven classes of CamVid and has no part in any codec."""
    labels: Path | None = None
    """Folder of class maps of your own pictures: PNG of one channel, a class number a pixel, each with its picture's
    name. Sets that are labelled by name need none."""
    classes: Path | None = None
    """Names of their classes by number, as the segmenter calls them: a JSON list, {"classes": [...], "ignore_index":
    255}, or lines of text; unlabelled counts for nothing. None: classes.json or classes.txt in or beside --labels."""
    arms: tuple[str, ...] = ("tdl:delay_spread=3e-7,model=C",)
    """Channels on which bandwidth, power and protection by importance are told apart; none: leave that out. The CSI is
    lmmse unless given, and the transmitter knows it where power or placement need it."""

    def check_names(self) -> None:
        """SemlinkError for importance maps that nobody knows."""
        checks.check_importance([word for word in (self.roi, self.judge) if word])
        checks.check_channels(self.arms)


def words(flags: RoiFlags) -> tuple[str, ...]:
    """The codecs, each once."""
    return tuple(dict.fromkeys(with_roi(codec, flags.roi) for codec in flags.codecs))


def roles(flags: RoiFlags) -> dict[str, str]:
    """The codecs that the others are compared with, and what they stand for."""
    uniform = [word for word in words(flags) if is_uniform(word)]
    digital = [word for word in words(flags) if parse(word).name == "digital"]
    others = labels((*uniform[1:], *digital))
    return dict.fromkeys(uniform[:1], UNIFORM) | ({digital[0]: "digital"} if len(digital) == 1 else {}) | others


def judging(flags: RoiFlags) -> regions.Judging:
    """By what all is judged."""
    labels, classes = (None if path is None else str(path) for path in (flags.labels, flags.classes))
    return regions.Judging(flags.roi, flags.data, flags.theta, flags.limit, flags.judge, labels, classes)


def questions(flags: RoiFlags) -> tuple[Sweep, ...]:
    """The codecs side by side, and then the arms."""
    found = [replace(cli.sweep_of(flags, judging(flags).metrics()), codecs=words(flags))]
    for group in (slice(0, 2), slice(2, 4), slice(4, 5)):  # that share a link or a codec
        own = [entry for channel in flags.arms for entry in means_apart(words(flags), channel)[group]]
        codecs, links = (tuple(dict.fromkeys(names)) for names in ([e.codec for e in own], [e.channel for e in own]))
        found.append(replace(found[0], codecs=codecs, channels=links))
    return tuple(sweep for sweep in found if sweep.codecs)


def codec_panels(flags: RoiFlags) -> dict[str, list[Entry]]:
    """The codecs over each channel, by title."""
    return comparison.side_by_side(words(flags), flags.channels)


def arm_panels(flags: RoiFlags) -> dict[str, list[Entry]]:
    """The arms over each of their channels, by title."""
    found = [own for channel in dict.fromkeys(flags.arms) if (own := means_apart(words(flags), channel))]
    titles = labels(own[0].channel for own in found)
    return {f"means of {short(own[1].codec)} over {titles[own[0].channel]}": own for own in found}


def paired(flags: RoiFlags, rows: Rows) -> dict[str, list[Result]]:
    """Results by title of what is compared."""
    names, rows = regions.with_sets(judging(flags), rows)
    panels = {title: (own, tuple(roles(flags))) for title, own in codec_panels(flags).items()}
    panels |= {title: (own, (UNIFORM,)) for title, own in arm_panels(flags).items()}
    return {t: comparison.compare(rows, own, minus, names, flags.rho, flags.snr) for t, (own, minus) in panels.items()}


def answer(flags: RoiFlags, rows: Rows) -> Answer:
    """summary.csv without pixel counts but with the mIoU of the set, roi.csv, tables and figures."""
    results = paired(flags, rows)
    every = [result for panel in results.values() for result in panel]
    whole = dict.fromkeys(r.line for r in every if r.line.metric.endswith(of_set.SUFFIX))
    summary = [line for line in statistics.summarise(rows) if not of_set.is_part(line.metric)]
    shown = [name for name in SHOWN if any(r.line.metric == name for r in every)]
    return Answer(
        comparison.paired_tables(results, shown, regions.describe),
        {"roi.csv": comparison.paired_columns(every, {**roles(flags), UNIFORM: UNIFORM})},
        figures(flags, rows, results, shown),
        [*summary, *whole],
    )


def figures(
    flags: RoiFlags, rows: Rows, results: Mapping[str, Sequence[Result]], shown: Sequence[str]
) -> Iterator[tuple[str, Figure]]:
    """All figures with the names of their files; those against rho when there are several rates."""
    from semlink.simulator.figures import bars, curves, strips
    from semlink.simulator.figures.wording import file_names

    variables = {metric: regions.describe(metric) for metric in shown}
    lines = [r.line for title in codec_panels(flags) for r in results[title]]
    for metric, variable in variables.items():
        yield f"{metric}_vs_snr", curves.curves(lines, metric, variable)
        if metric.startswith("miou") and len(set(flags.rho)) > 1:
            yield f"{metric}_vs_rho", curves.against_rate(lines, metric, variable)
    arms_of = arm_panels(flags)
    names = file_names(own[0].channel for own in arms_of.values())
    for title, own in arms_of.items():
        yield f"arms_{names[own[0].channel]}", bars.gains(results[title], variables, UNIFORM, title)
    said, at = {"PSNR": "psnr", "region": "psnr_roi"}, (flags.rho[0], min(flags.snr))
    region = partial(regions.region, flags.roi)
    yield from strips.delivered(flags.out, rows, codec_panels(flags), at, (said, "{:.1f} dB"), region)


def check(flags: RoiFlags) -> None:
    """SemlinkError for what can be seen to be wrong before anything is measured."""
    regions.check(judging(flags))
    for entry in (entry for channel in flags.arms for entry in means_apart(words(flags), channel)):
        make_link(parse(entry.channel))


def means(flags: RoiFlags) -> dict[str, dict[str, list[str]]]:
    """Codec and channel words of each arm, by the channel that was asked for."""
    return {
        channel: {arm.label: [arm.codec, arm.channel] for arm in means_apart(words(flags), channel)}
        for channel in flags.arms
    }


def main(flags: RoiFlags) -> int:
    """Measure, compare, draw and say where everything is."""
    check(flags)
    own = judging(flags)
    regions.claim(own, flags.out)
    study = Study(questions(flags), partial(answer, flags), regions.parts(own), flags, {"arms": means(flags)})
    return run(study, flags.out, cli.where(flags))


if __name__ == "__main__":
    cli.start(
        main,
        RoiFlags(
            out=Path("results/roi"),
            data="camvid-drives",
            codecs=("roi_jscc:domain=street,importance=none", "roi_jscc:domain=street", "roi_dual", "digital"),
            channels=("awgn",),
            snr=(0.0, 5.0, 10.0),
        ),
    )
