"""When anchors are renewed, and what frames cost in time: every controller on every clip, against fixed periods."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from semlink.simulator.errors import SemlinkError
from semlink.simulator.records.sweep import Sweep
from semlink.simulator.study import checks, cli, controllers
from semlink.simulator.study.rates import Rate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from matplotlib.figure import Figure

    from semlink.simulator.data.clips import Clips
    from semlink.simulator.records.rows import Rows
    from semlink.simulator.study.answer import Answer
    from semlink.simulator.words import Setting

METRICS = ("psnr", "psnr_p5", "psnr_after_cut", "lpips_alex", "tlp", "warping_ratio", "intact", "frozen")
DRAWN = (*METRICS[:6], "missed", "anchors")


@dataclass(frozen=True)
class RealtimeFlags(cli.Flags):
    """Does a controller that looks at the clip do better than a fixed period, at the same channel uses and in time?

    Every controller on every clip, one link, one budget, one peak rule. `fixed` is tried with all of --gops; the others
    are compared, clip by clip, with the best of these at no more channel uses. `adaptive` is `regret2` that takes as
    many steps as --profile leaves time for. Leaves in --out: rows.h5 (every clip), controllers.csv (means with 95 %
    intervals), versus_fixed.csv (a line a point), run.json, report.html, figures as PNG and PDF, and of --show a
    timeline and, where its licence allows it, an MP4. The same command continues.
    """

    kind: ClassVar[str] = "codecs.video"

    out: Path = Path("results/realtime")
    """Folder for results. A run continues what the folder already holds."""
    data: str = "video/test"
    """Clips: video/train, video/val, video/test, each with its montages, video/NAME, synthetic, or a file or folder."""
    limit: int | None = None
    """Use only so many clips, spread over the set."""
    codecs: tuple[str, ...] = ("cvsc",)
    """Video codecs that take controller=, gop=, profile= and clock=."""
    controllers: tuple[str, ...] = controllers.CONTROLLERS
    """Which renew anchors: fixed, cut, threshold, none, regret, regret2, adaptive."""
    gops: tuple[int, ...] = (4, 8, 16, 32)
    """Periods of `fixed`, in frames."""
    profile: str = "conversational"
    """Deadline of `adaptive`: conversational (150 ms), interactive (50 ms) or a number of milliseconds."""
    clock: Literal["simulated", "wall"] = "simulated"
    """simulated: a network call takes --step-ms and all else of a frame --fixed-ms, so that rows can be repeated. wall:
    the time that passes, so measure on an idle machine with one worker."""
    step_ms: float = 20.0
    """Milliseconds of a network call on the simulated clock."""
    fixed_ms: float = 25.0
    """Milliseconds of all else of a frame on the simulated clock, encoding too."""
    spike: str = ""
    """Calls of some frames cost more on the simulated clock: 20-40x3 is threefold from frame 20 up to 40."""
    snr: tuple[float, ...] = (10.0,)
    """Es/N0 in dB per complex symbol at the receiver, averaged over fading."""
    rho: tuple[Rate, ...] = (0.012, 0.018, 0.025)
    """Channel uses per source dimension (3 H W of every frame)."""
    size: str = "128"
    """Size of the frames, a side or HEIGHTxWIDTH: the largest centred crop, scaled."""
    frames: int | None = None
    """Use only the first so many frames of each clip."""
    fps: float | None = None
    """Frames per second, at most: of faster clips some frames are left out."""
    metrics: tuple[str, ...] = METRICS
    """What is measured."""
    show: str = ""
    """Name of a clip of the set: the best fixed period and the last of --controllers frame by frame."""

    def check_names(self) -> None:
        """SemlinkError for controllers, periods, clips and metrics of clips that nobody knows."""
        arms(self)
        checks.check_clips(data_of(self), self.limit, self.metrics, self.show)


def arms(flags: RealtimeFlags) -> tuple[controllers.Arm, ...]:
    """Every controller with every codec."""
    time: dict[str, Setting] = {"clock": flags.clock}
    if flags.clock == "simulated":
        time |= {"step_ms": flags.step_ms, "fixed_ms": flags.fixed_ms}
        time |= {"spike": flags.spike} if flags.spike else {}
    return controllers.arms(flags.codecs, flags.controllers, flags.gops, time, flags.profile)


def data_of(flags: RealtimeFlags) -> str:
    """The clips with the montages of their part, their size and number of frames."""
    from semlink.simulator.data import clips

    part = flags.data.removeprefix("video/")
    more = clips.montages(part) if flags.data == f"video/{part}" and part in clips.PARTS else ()
    return clips.with_size("+".join([flags.data, *more]), flags.size, flags.frames, flags.fps)


def question(flags: RealtimeFlags) -> Sweep:
    """Everything that is asked for, as a sweep."""
    words = tuple(arm.word for arm in arms(flags))
    return replace(cli.sweep_of(flags, flags.metrics), codecs=words, data=data_of(flags))


def check(flags: RealtimeFlags) -> Clips:
    """The clips. SemlinkError for what is wrong before anything is measured."""
    from semlink.simulator.data import clips

    missing = [name for name in controllers.QUALITY if name not in flags.metrics]
    if missing:
        raise SemlinkError(f"--metrics needs {missing[0]}, by which controllers are compared")
    checks.check_codecs([arm.word for arm in arms(flags)], flags.kind)
    return clips.load(data_of(flags), flags.limit)


def answer(flags: RealtimeFlags, found: Rows) -> Answer:
    """Tables of each rate, the comparison with fixed periods, and figures against rate."""
    from semlink.simulator.study.answer import Answer

    chosen = arms(flags)
    met = tuple(controllers.comparisons(found, chosen))
    texts = [controllers.table(found, chosen, rho) for rho in flags.rho]
    csv = {"controllers.csv": controllers.columns(found, chosen, flags.rho)}
    if met:
        texts.append(controllers.said(met, chosen))
        csv["versus_fixed.csv"] = controllers.point_columns(met, chosen)
    return Answer(texts, csv, figures(found, {arm.word: arm.label for arm in chosen}))


def figures(found: Rows, names: Mapping[str, str]) -> Iterator[tuple[str, Figure]]:
    """Each metric against rate; curves have the names of their words."""
    from semlink.simulator.analysis import statistics
    from semlink.simulator.figures import curves

    lines = [replace(line, codec=names[line.codec]) for line in statistics.summarise(found) if line.codec in names]
    held = {line.metric for line in lines}
    for metric in (name for name in DRAWN if name in held):
        yield f"{metric}_vs_rho", curves.against_rate(lines, metric, found.variable(metric))


def shown(flags: RealtimeFlags, found: Rows) -> tuple[str, ...]:
    """Words that --show shows: the fixed period of the best mean at the first rate, and the last controller."""
    chosen, rho = arms(flags), flags.rho[0]
    fixed = [arm.word for arm in chosen if arm.controller == controllers.FIXED]
    best = sorted(fixed, key=lambda word: -controllers.values_of(found, word, rho, "psnr").mean())[:1]
    return tuple(dict.fromkeys([*best, chosen[-1].word]))


def show(flags: RealtimeFlags, asked: Sweep, found: Rows, clips: Clips) -> None:
    """The timeline of --show, and its film where that may be passed on."""
    from semlink.simulator.data.clips import may_ship
    from semlink.simulator.study import clips as showing

    film = may_ship(clips.sources[clips.ids.index(flags.show)])
    if not film:
        print(f"{flags.show}: no film and no picture, its licence does not allow to pass them on")
    names = {arm.word: arm.label for arm in arms(flags)}
    one = showing.Showing.of(replace(asked, codecs=shown(flags, found)), flags.show)
    showing.show(replace(one, names=names), flags.out / f"show_{flags.show}", film)


def main(flags: RealtimeFlags) -> int:
    """Measure, compare, publish, draw and say where everything is."""
    clips = check(flags)
    from semlink.simulator.analysis import clips as numbers
    from semlink.simulator.study.study import Study, run
    from semlink.simulator.sweep.clips import parts

    asked = question(flags)

    def answered(found: Rows) -> Answer:
        """Its clip first, so that the report has it."""
        if flags.show:
            show(flags, asked, found, clips)
        return answer(flags, found)

    return run(Study((asked,), answered, parts(numbers.describe), flags=flags), flags.out, cli.where(flags))


if __name__ == "__main__":
    cli.start(main, RealtimeFlags())
