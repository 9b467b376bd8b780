"""Executing a task of a sweep over clips: one video codec on one clip, frame by frame, under some conditions.

A clip is an image of the rows: its values are those of the whole clip. Fade and noise follow from the seed and the
clip's number alone, so codecs meet the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from semlink.simulator.analysis.clips import Original, Seer, Trace, summary
from semlink.simulator.live.account import ANCHORS
from semlink.simulator.live.latency import DEADLINE
from semlink.simulator.live.log import Log
from semlink.simulator.live.session import Air, Passed, Session, Way
from semlink.simulator.plugins import JUDGE, make_clips, make_importance, make_video_codec
from semlink.simulator.protocols import VideoCodec, period_of
from semlink.simulator.records.store import Record
from semlink.simulator.sweep.plan import Task
from semlink.simulator.sweep.trial import Bench, Parts, one_line
from semlink.simulator.words import parse

if TYPE_CHECKING:
    from torch import Tensor


def parts(describe: Any) -> Parts:
    """Where a sweep over clips gets its parts; describe: of metrics."""
    return Parts(dataset=make_clips, codec=cast(Any, make_video_codec), describe=describe, block=1, execute=execute)


def execute(task: Task, bench: Bench) -> Iterator[tuple[Record, Tensor, Tensor | None]]:
    """The filled records of a task, each with the first frame of the clip and as it was shown, unless it failed."""
    clip = cast(Any, bench.data)[task.block.positions[0]]
    original = Original(clip.levels, clip.clip.frames, any(name.startswith("warping") for name in bench.sweep.metrics))
    first = bench.data.batch(task.block.positions)
    for wanted in task.wanted:
        try:
            codec = cast(VideoCodec, bench.codec(wanted.condition))
            air = Air(cast(Any, bench.link(wanted.condition)), wanted.condition.snr_db, bench.sweep.seed, wanted.block)
            trace = Trace(bench.sweep.metrics, seer_of(bench.sweep.metrics))
            found = carried(Session(codec, clip.clip, air), original, trace)
            values = {name: (value,) for name, value in numbers(found, clip.cuts).items()}
            record = replace(wanted, csi=air.link.csi or "", values=values, notes=found.notes)
            yield record, first, found.first
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a plug-in may raise anything, and the sweep goes on
            yield replace(wanted, error=one_line(error)), first, None


def seer_of(metrics: Sequence[str]) -> Seer | None:
    """The segmenter that scores, where mIoU is asked for; it has no part in any codec."""
    if "miou" not in metrics:
        return None
    made = make_importance(parse(JUDGE))
    return Seer(made.labels, len(made.names))


@dataclass
class Carried:
    """A clip after its way. first: `[1, 3, H, W]`, the first frame as it was shown. times, radio: of each group."""

    session: Session
    trace: Trace
    first: Tensor
    times: list[tuple[float, float, float]] = field(default_factory=list)
    radio: list[tuple[float, ...]] = field(default_factory=list)
    notes: dict[str, str] = field(default_factory=dict)
    log: Log = field(default_factory=Log)


def carried(session: Session, original: Original, trace: Trace, keep: Any = None) -> Carried:
    """Send a clip and measure it as it passes. keep: called with each frame of the original and as it was shown."""
    found: Carried | None = None
    moments = iter(original)
    waiting: list[Any] = []

    def frames() -> Iterator[Tensor]:
        for moment in moments:
            waiting.append(moment)
            yield moment.frame

    for passed, own in Way(session, frames()):
        found = found or Carried(session, trace, passed.shown.frames[:1])
        _take(found, passed, own, [waiting.pop(0) for _ in range(own)], keep)
    if found is None:
        raise ValueError("a clip without a frame")
    return found


def _take(found: Carried, passed: Passed, own: int, moments: Sequence[Any], keep: Any) -> None:
    report = passed.report
    found.log.add(passed, own)
    found.times.append((passed.late_s, passed.encode_s / own, passed.decode_s / own))
    found.radio.append(
        (
            report.snr_measured_db[0],
            report.snr_realised_db[0],
            report.papr_db[0],
            report.air_time_s[0],
            report.uses_on_air[0],
            report.blocks[0] if report.blocks else 0,
            report.block_errors[0] if report.block_errors else 0,
        )
    )
    if report.mcs:
        found.notes["mcs"] = ", ".join(f"{name} {scheme}" for name, scheme in report.mcs.items())
    uses = (sum(passed.uses.values()) + passed.feedback) / own
    for place, moment in enumerate(moments):
        shown, concealed = passed.shown.frames[place], passed.shown.concealed[place]
        found.trace.add(moment, shown, concealed, not passed.lost_blocks, uses)
        if keep is not None:
            keep(moment.frame, shown)


RADIO = ("snr_measured_db", "snr_realised_db", "papr_db", "air_time_s", "uses_on_air", "blocks", "block_errors")
TOTALS = ("blocks", "block_errors")


def numbers(found: Carried, cuts: Sequence[int]) -> dict[str, float]:
    """All that rows hold of a clip. Rates, times and resource elements are per frame; blocks are of the whole clip."""
    session, account = found.session, found.session.account
    dimensions, frames = session.clip.dimensions, account.frames
    radio, times = np.array(found.radio), np.array(found.times)
    heard = {n: (c.sum() if n in TOTALS else c.mean()) for n, c in zip(RADIO, radio.T, strict=True)}
    grouped = {name: heard[name] / session.codec.group for name in ("air_time_s", "uses_on_air")}
    feedback = account.total.get("feedback", 0)
    uses = account.uses / frames
    main = (account.uses - feedback) / frames
    told = {
        "uses_main": main,
        "uses_total": uses,
        "rho_main": main / dimensions,
        "rho_total": uses / dimensions,
        "rho_feedback": feedback / frames / dimensions,
        "peak": account.peak,
        "first_share": account.first_share,
        "late_s": times[:, 0].max(),
        "encode_s": times[:, 1].mean(),
        "decode_s": times[:, 2].mean(),
        "concealed": np.mean(found.trace.columns["concealed"]),
        **_live(found, cuts),
    }
    values = {**heard, **grouped, **told, **summary(found.trace, cuts, period_of(session.codec))}
    return {name: float(value) for name, value in values.items() if np.isfinite(value) or name in found.trace.names}


def _live(found: Carried, cuts: Sequence[int]) -> dict[str, float]:
    """Of time, of steps, of anchors, and what the channel uses of a codec with anchors are for."""
    session, log = found.session, found.log
    concealed = [bool(value) for value in found.trace.columns["concealed"]]
    told = log.times(session.clip.fps, concealed, deadline_of(session.codec)) | log.renewals(cuts)
    if any(log.steps):
        told["steps"] = float(np.mean(log.steps))
    split, dimensions = session.account.split(), session.account.frames * session.clip.dimensions
    if ANCHORS in split:
        told |= {f"rho_{kind}": uses / dimensions for kind, uses in split.items()}
    return told


def deadline_of(codec: VideoCodec) -> float:
    """Seconds that a frame may take: its own deadline, or that of conversation of one without."""
    own = float(getattr(codec, "deadline_s", math.inf))
    return own if math.isfinite(own) else DEADLINE
