"""Quality of clips against SNR and channel uses for each video codec, on the same clips and fades."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from semlink.simulator.errors import SemlinkError
from semlink.simulator.records.sweep import Sweep
from semlink.simulator.study import checks, cli
from semlink.simulator.study.rates import Rate

if TYPE_CHECKING:
    from semlink.simulator.records.rows import Rows
    from semlink.simulator.study.answer import Answer

METRICS = (
    "psnr", "psnr_p5", "ssim", "lpips_alex", "lpips_alex_p95", "tlp", "warping_ratio", "motion_energy",
    "motion_correlation", "seam_ratio", "psnr_after_cut", "intact", "frozen",
)  # fmt: skip


@dataclass(frozen=True)
class VideoFlags(cli.Flags):
    """How good is a clip that is sent frame by frame over one link whose fade and noise go on?

    A clip is the unit: it is sent whole for each codec, rate, channel and SNR. All channel uses count: of the first
    frame, of headers and of feedback; none may be more than ten frames ahead of its rate. Leaves in --out: rows.h5
    (every clip), summary.csv (means with 95 % intervals over clips), run.json, report.html, figures as PNG and PDF,
    and with --show a clip side by side as MP4, frame by frame as figure and as frames.csv. The same command continues.
    """

    kind: ClassVar[str] = "codecs.video"

    out: Path = Path("results/video")
    """Folder for results. A run continues what the folder already holds."""
    data: str = "video/test"
    """Clips: video/train, video/val, video/test, video/NAME, synthetic, or a file or folder of your own."""
    limit: int | None = None
    """Use only so many clips, spread over the set."""
    codecs: tuple[str, ...] = ("h265", "intra:codec=semlink")
    """Video codecs, each a name or name:setting=value,...; intra:codec=NAME makes one of any picture codec."""
    snr: tuple[float, ...] = (0.0, 5.0, 10.0, 15.0)
    """Es/N0 in dB per complex symbol at the receiver, averaged over fading."""
    rho: tuple[Rate, ...] = (1 / 48,)
    """Channel uses per source dimension (3 H W of every frame): 1/48 or 0.0208."""
    size: str = "128"
    """Size of the frames, a side or HEIGHTxWIDTH: the largest centred crop, scaled."""
    frames: int | None = None
    """Use only the first so many frames of each clip."""
    fps: float | None = None
    """Frames per second, at most: of faster clips some frames are left out."""
    metrics: tuple[str, ...] = METRICS
    """What is measured and drawn."""
    versus: str = ""
    """One of --codecs, such as h265: how much better are the others on the same clips, fades and channel uses?"""
    show: str = ""
    """Name of a clip of the set: shown with all codecs at the first channel and rate and the middle SNR."""

    def check_names(self) -> None:
        """SemlinkError for clips, metrics of clips and a codec to compare with that nobody knows."""
        check(self)


def data_of(flags: VideoFlags) -> str:
    """The clips with their size and number of frames."""
    from semlink.simulator.data.clips import with_size

    return with_size(flags.data, flags.size, flags.frames, flags.fps)


def question(flags: VideoFlags) -> Sweep:
    """Everything that is asked for, as a sweep; without what no clip or no codec has: cuts, seams between groups."""
    from semlink.simulator.data import clips
    from semlink.simulator.plugins import package
    from semlink.simulator.words import parse

    found = clips.load(data_of(flags), flags.limit)
    kinds = package("codecs.video").registry
    without = set() if any(found[i].cuts for i in range(len(found))) else {"psnr_after_cut"}
    asked = [kinds.get(parse(word).name) for word in flags.codecs]
    seamed = any(hasattr(kind, "period") or getattr(kind, "group", 0) != 1 for kind in asked)
    without |= set() if seamed else {"seam_ratio"}
    metrics = [name for name in flags.metrics if name not in without]
    return replace(cli.sweep_of(flags, metrics), data=data_of(flags))


def check(flags: VideoFlags) -> None:
    """SemlinkError for what is wrong with clips, before a framework loads; `cli.check` sees the rest."""
    if not flags.metrics:
        raise SemlinkError("--metrics needs at least one value")
    if flags.frames is not None and flags.frames < 2:
        raise SemlinkError(f"--frames {flags.frames}: give two or more")
    checks.reference_of(flags.codecs, flags.versus)
    checks.check_clips(data_of(flags), flags.limit, flags.metrics, flags.show)


def main(flags: VideoFlags) -> int:
    """Measure, publish, draw and say where everything is."""
    from semlink.simulator.analysis import clips as numbers
    from semlink.simulator.study.clips import Showing, show
    from semlink.simulator.study.overview import overview
    from semlink.simulator.study.study import Study, run
    from semlink.simulator.sweep.clips import parts

    asked = question(flags)
    reference = checks.reference_of(flags.codecs, flags.versus)

    def answer(found: Rows) -> Answer:
        """Its clip first, so that the report has it."""
        if flags.show:
            show(Showing.of(asked, flags.show), flags.out / f"show_{flags.show}")
        return overview(found, flags.out, reference=reference)

    return run(Study((asked,), answer, parts(numbers.describe), flags=flags), flags.out, cli.where(flags))


if __name__ == "__main__":
    cli.start(main, VideoFlags())
