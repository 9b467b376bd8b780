"""From frames to the numbers of a clip: what is measured of each frame as it passes, and what becomes of it in the end.

Of the original what no codec changes (motion, its own warping error) is worked out once and kept for clips of usual
length. Memory does not grow with the length but by a few numbers a frame.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from semlink.channels.base.names import unknown
from semlink.simulator.errors import SemlinkError
from semlink.simulator.protocols import Variable

if TYPE_CHECKING:
    from torch import Tensor

KEPT = 400  # frames of an original that are kept with their motion; longer ones are read again each time
SMALLEST = 64  # px, for LPIPS
PICTURES = ("psnr", "ssim", "lpips_alex", "lpips_vgg")  # measured frame by frame
UNMOVED = 1e-7  # mean warping error of a source, below which nothing is relative to it

VARIABLES: Mapping[str, Variable] = {
    "psnr": Variable("dB", "PSNR, mean of frames", "higher", least=0),
    "psnr_p5": Variable("dB", "PSNR that 95 % of the frames reach", "higher", least=0),
    "ssim": Variable("1", "SSIM, mean of frames", "higher", least=0, most=1),
    "ssim_p5": Variable("1", "SSIM that 95 % of the frames reach", "higher", least=0, most=1),
    "lpips_alex": Variable("1", "LPIPS (AlexNet), mean of frames", "lower", least=0, most=1),
    "lpips_alex_p95": Variable("1", "LPIPS (AlexNet) that 95 % of the frames keep below", "lower", least=0, most=1),
    "lpips_vgg": Variable("1", "LPIPS (VGG-16), mean of frames", "lower", least=0, most=1),
    "miou": Variable("1", "mIoU against what our segmenter sees in the source", "higher", least=0, most=1),
    "tlp": Variable("1", "tLP", "lower", least=0),
    "warping_ratio": Variable("1", "warping error over the source's own", "lower", least=0),
    "motion_energy": Variable("1", "motion energy over the source's", "", least=0),
    "motion_correlation": Variable("1", "correlation of motion with the source's", "higher", least=-1, most=1),
    "seam_ratio": Variable("1", "error of change between groups over that inside", "lower", least=0),
    "psnr_after_cut": Variable("dB", "PSNR in the ten frames from a cut on", "higher", least=0),
    "intact": Variable("1", "share of frames that arrived whole", "higher", least=0, most=1),
    "frozen": Variable("1", "share of frames that stand still while the source moves", "lower", least=0, most=1),
}
SPLIT = ("anchors", "packets", "control", "heads")
CLOCKS = (("", "simulated"), ("wall_", "measured"))
TIMES: Mapping[str, Variable] = {
    **{
        f"latency_p{n}": Variable("s", f"time from capture to showing that {n} % of the frames keep", "lower", least=0)
        for n in (50, 95, 99)
    },
    "jitter": Variable("s", "gap between frames that 95 % keep, over the source's", "lower"),
    "missed": Variable("1", "share of frames after their deadline", "lower", least=0, most=1),
    "freeze": Variable("s", "longest time without a new frame", "lower", least=0),
    "warm_up": Variable("s", "longest time from capture to showing in the warm-up", "lower", least=0),
}
BESIDE: Mapping[str, Variable] = {
    "peak": Variable("1", "channel uses of the ten dearest frames in a row over the mean", "lower", least=0),
    "first_share": Variable("1", "channel uses of the first frame over the mean", "", least=0),
    "rho_feedback": Variable("1", "channel uses of feedback per source dimension", "lower", least=0),
    "late_s": Variable("s", "longest time by which a frame was sent late", "lower", least=0),
    "concealed": Variable("1", "share of frames in whose place another is shown", "lower", least=0, most=1),
    "steps": Variable("1", "steps a frame of an iterative decoder", least=0),
    "anchors": Variable("1", "anchors a frame", least=0),
    "met_at_once": Variable("1", "share of cuts with an anchor in their own frame", "higher", least=0, most=1),
    "met_soon": Variable("1", "share of cuts with an anchor within two frames", "higher", least=0, most=1),
    **{f"rho_{kind}": Variable("1", f"channel uses of {kind} per source dimension", least=0) for kind in SPLIT},
    **{start + name: replace(own, label=f"{own.label}, {by}") for start, by in CLOCKS for name, own in TIMES.items()},
}


def describe(name: str) -> Variable:
    """Unit, label and direction of a number of a clip. SemlinkError that lists the known ones."""
    known = {**VARIABLES, **BESIDE}
    if name not in known:
        raise SemlinkError(unknown("metric of clips", name, tuple(VARIABLES)))
    return known[name]


def check(names: Sequence[str], height: int, width: int) -> None:
    """SemlinkError for a metric that nobody knows, or that frames of that size are too small for."""
    for name in names:
        describe(name)
        if name.startswith(("lpips", "tlp")) and min(height, width) < SMALLEST:
            raise SemlinkError(f"{name} of frames of {height}x{width} px: give 64 px or more, or leave it out")


@dataclass(frozen=True)
class Moment:
    """A frame of an original `[3, H, W]`. own: its warping error against the frame before; motion: flow and where it
    holds, or None where that is not asked for or there is none before.
    """

    frame: Tensor
    motion: tuple[Tensor, Tensor] | None = None
    own: float = 0.0


class Original:
    """The frames of a clip with their motion, if `moves`; read: makes its uint8 frames `[H, W, 3]`, each time anew."""

    def __init__(self, read: Callable[[], Iterator[np.ndarray]], frames: int, moves: bool) -> None:
        self._read, self._moves = read, moves
        self._kept: list[Any] | None = [] if frames <= KEPT else None

    def __iter__(self) -> Iterator[Moment]:
        if self._kept:
            yield from map(_opened, self._kept)
            return
        before, seen = None, []
        for levels in self._read():
            moment = _moment(_floats(levels), before, self._moves)
            before = moment.frame
            if self._kept is not None:
                seen.append((levels, moment))
            yield moment
        if self._kept is not None:
            self._kept = [_packed(*one) for one in seen]


def _moment(frame: Tensor, before: Tensor | None, moves: bool) -> Moment:
    from semlink.simulator.metrics import video

    if before is None or not moves:
        return Moment(frame)
    motion = video.flow(before, frame)
    return Moment(frame, motion, video.warping_error(before, frame, *motion))


def _packed(levels: np.ndarray, moment: Moment) -> tuple[Any, ...]:
    motion = None if moment.motion is None else (moment.motion[0].half(), moment.motion[1])
    return levels, motion, moment.own


def _opened(packed: tuple[Any, ...]) -> Moment:
    levels, motion, own = packed
    return Moment(_floats(levels), None if motion is None else (motion[0].float(), motion[1]), own)


def _floats(levels: np.ndarray) -> Tensor:
    import torch

    return torch.from_numpy(np.ascontiguousarray(levels.transpose(2, 0, 1))).float() / 255


@dataclass(frozen=True)
class Seer:
    """A segmenter that scores. labels: pictures `[batch, 3, H, W]` to classes int64 `[batch, H, W]`, of so many."""

    labels: Callable[[Tensor], Tensor]
    classes: int


@dataclass
class Trace:
    """What was measured of each frame so far. names: metrics that are asked for. columns: one number a frame; those of
    pairs begin with the second frame. sums: of motion. seer: for "miou"; seen: pixels by its class of the source (row)
    and of what was shown, of all frames.
    """

    names: Sequence[str]
    seer: Seer | None = None
    columns: dict[str, list[float]] = field(default_factory=dict)
    sums: list[np.ndarray] = field(default_factory=list)
    seen: Tensor | None = None
    _before: tuple[Tensor, Tensor] | None = None

    def add(self, moment: Moment, shown: Tensor, concealed: bool, whole: bool, uses: float) -> None:
        """One more frame `[3, H, W]` as it was shown; whole: nothing of it was lost."""
        x, y = moment.frame[None], shown[None]
        told = {"concealed": float(concealed), "intact": float(whole and not concealed), "uses": uses}
        for name, value in {**told, **_of_frame(self.names, x, y)}.items():
            self.columns.setdefault(name, []).append(value)
        if self.seer and "miou" in self.names:
            own = _confused(self.seer, x, y)
            self.seen = own if self.seen is None else self.seen + own
        if self._before is not None:
            self._add_pair(moment, x, y)
        self._before = (x, y)

    def _add_pair(self, moment: Moment, x: Tensor, y: Tensor) -> None:
        import torch

        assert self._before is not None
        xs, ys = (torch.cat(pair) for pair in zip(self._before, (x, y), strict=True))
        found, sums = _of_pair(self.names, xs, ys, moment)
        self.sums.append(sums)
        for name, value in found.items():
            self.columns.setdefault(name, []).append(value)


def _confused(seer: Seer, x: Tensor, y: Tensor) -> Tensor:
    from semlink.simulator.metrics import segmentation

    return segmentation.confusion(seer.labels(y), seer.labels(x), seer.classes)[0]


def _of_frame(names: Sequence[str], x: Tensor, y: Tensor) -> dict[str, float]:
    from semlink.simulator.metrics import measure

    asked = [name for name in PICTURES if any(own.startswith(name) for own in names)]
    found = measure(("mse", *asked), x, y)
    return {name: float(found[name]) for name in ("mse", *asked)}


def _of_pair(names: Sequence[str], xs: Tensor, ys: Tensor, moment: Moment) -> tuple[dict[str, float], np.ndarray]:
    from semlink.simulator.metrics import video

    sums = video.motion(xs, ys)[0].numpy()
    found = {"change": float(video.change_error(xs, ys)[0]), "still": float(video.frozen(ys)[0]), "moves": sums[0]}
    if "tlp" in names:
        found["tlp"] = float(video.tlp(xs, ys)[0])
    if moment.motion is not None:
        found |= {"warped": video.warping_error(ys[0], ys[1], *moment.motion), "own": moment.own}
    return found, sums


def summary(trace: Trace, cuts: Sequence[int], period: int) -> dict[str, float]:
    """The metrics of a whole clip, by name; NaN where there is nothing to measure, such as a cut."""
    from semlink.simulator.metrics import segmentation, video

    columns = {name: np.array(values) for name, values in trace.columns.items()}
    sums = np.array(trace.sums).reshape(-1, 3)
    nothing = np.array([np.nan])
    change, still, moves = (columns.get(name, nothing) for name in ("change", "still", "moves"))
    warped, own = (float(columns.get(name, nothing).mean()) for name in ("warped", "own"))
    psnr = columns.get("psnr", nothing)
    found = {
        "psnr_p5": video.worst(psnr),
        "psnr_after_cut": video.after_cuts(psnr, cuts),
        "ssim_p5": video.worst(columns.get("ssim", nothing)),
        "lpips_alex_p95": video.worst(columns.get("lpips_alex", nothing), "lower"),
        "warping_ratio": warped / own if own > UNMOVED else float("nan"),
        "motion_energy": video.energy_ratio(sums) if len(sums) else float("nan"),
        "motion_correlation": video.correlation(sums) if len(sums) else float("nan"),
        "seam_ratio": video.seam_ratio(change, period, cuts),
        "frozen": float(((still > 0) & (moves > 0)).mean()),
    }
    if trace.seen is not None:
        found["miou"] = float(segmentation.mean_iou_of_present(trace.seen))
    means = [name for name in (*PICTURES, "tlp", "intact") if name in columns]
    found |= {name: float(columns[name].mean()) for name in means}
    return {**{name: found[name] for name in trace.names if name in found}, "mse": float(columns["mse"].mean())}
