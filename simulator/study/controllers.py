"""Controllers of anchors side by side: the words of codecs that they make, tables, and who is best at equal uses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from semlink.channels.base.names import unknown
from semlink.simulator.analysis.equal_uses import Point, points, verdict
from semlink.simulator.analysis.statistics import Interval, mean_interval
from semlink.simulator.analysis.tables import Columns, cell
from semlink.simulator.errors import SemlinkError
from semlink.simulator.records.rows import Rows
from semlink.simulator.words import Setting, with_settings

FIXED, ADAPTIVE = "fixed", "adaptive"
RULE = "regret2"  # that `adaptive` is, with steps by the time that is left
CONTROLLERS = (FIXED, "cut", "threshold", "none", "regret", RULE, ADAPTIVE)
QUALITY = ("psnr", "psnr_p5")  # in which a controller has to be better
TOLD = {  # columns of the tables: name in rows, and the digits of it
    "psnr": 2, "psnr_p5": 2, "psnr_after_cut": 2, "lpips_alex": 3, "tlp": 2, "warping_ratio": 2,
    "steps": 2, "missed": 4, "wall_missed": 4, "met_at_once": 2, "met_soon": 2, "anchors": 3, "peak": 2,
}  # fmt: skip
SPLIT = ("rho_total", "rho_anchors", "rho_packets", "rho_control", "rho_heads", "rho_feedback")


@dataclass(frozen=True)
class Arm:
    """A controller with a codec. word: canonical. label: `fixed 16` or `regret2`, behind the codec's word where there
    are several.
    """

    codec: str
    controller: str
    word: str
    label: str


def arms(
    codecs: Sequence[str], controllers: Sequence[str], gops: Sequence[int], time: Mapping[str, Setting], profile: str
) -> tuple[Arm, ...]:
    """All of them. time: settings of the clock, of all. profile: deadline of `adaptive`.

    SemlinkError for controllers that nobody knows and periods that are none.
    """
    for name in controllers:
        if name not in CONTROLLERS:
            raise SemlinkError(unknown("controller", name, CONTROLLERS))
    if FIXED in controllers and (not gops or min(gops) < 1):
        raise SemlinkError(f"--gops {' '.join(map(str, gops))}: give periods of {FIXED} in frames, from 1 on")
    return tuple(
        Arm(codec, name, _word(codec, name, gop, time, profile), _label(codec if len(codecs) > 1 else "", name, gop))
        for codec in codecs
        for name in dict.fromkeys(controllers)
        for gop in (gops if name == FIXED else (None,))
    )


def _word(codec: str, name: str, gop: int | None, time: Mapping[str, Setting], profile: str) -> str:
    own: dict[str, Setting] = {"controller": RULE, "profile": profile} if name == ADAPTIVE else {"controller": name}
    return with_settings(codec, **own, **({"gop": gop} if gop else {}), **time)


def _label(codec: str, name: str, gop: int | None) -> str:
    return " ".join(part for part in (codec, name, str(gop or "")) if part)


def values_of(rows: Rows, word: str, rho: float, metric: str) -> np.ndarray:
    """Of all clips, channels and SNRs; those without a value are left out."""
    chosen = [m for m in rows.measurements if (m.condition.codec, m.condition.rho) == (word, rho) and not m.error]
    found = np.concatenate([m.values[metric] for m in chosen if metric in m.values] or [np.zeros(0)])
    return found[np.isfinite(found)]


def table(rows: Rows, chosen: Sequence[Arm], rho: float) -> str:
    """Means over clips at a rate, a line for each controller; the channel uses by what they are for, in thousandths."""
    metrics = [name for name in TOLD if any(len(values_of(rows, arm.word, rho, name)) for arm in chosen)]
    split = [name for name in SPLIT if any(len(values_of(rows, arm.word, rho, name)) for arm in chosen)]
    names = [_short(name) for name in (*metrics, *split)]
    wide = max(len(arm.label) for arm in chosen) + 2
    lines = [
        f"rho {rho:g}: means over clips; rates in thousandths",
        f"{'':{wide}}" + "".join(f"{n:>12}" for n in names),
    ]
    for arm in chosen:
        numbers = [_mean(rows, arm, rho, name, 1, TOLD[name]) for name in metrics]
        numbers += [_mean(rows, arm, rho, name, 1000, 2) for name in split]
        lines.append(f"{arm.label:{wide}}" + "".join(f"{number:>12}" for number in numbers))
    return "\n".join(lines)


def _mean(rows: Rows, arm: Arm, rho: float, name: str, times: float, digits: int) -> str:
    found = values_of(rows, arm.word, rho, name)
    return f"{times * found.mean():.{digits}f}" if len(found) else "-"


def _short(name: str) -> str:
    return name.removesuffix("_alex").replace("psnr_after_cut", "after_cut")


def columns(rows: Rows, chosen: Sequence[Arm], rhos: Sequence[float]) -> Columns:
    """controllers.csv: means and intervals over clips, of everything that was measured."""
    lines: list[tuple[object, ...]] = []
    for rho in rhos:
        for arm in chosen:
            for name in (*TOLD, *SPLIT):
                found = mean_interval(values_of(rows, arm.word, rho, name))
                if found.n:
                    lines.append((arm.codec, arm.label, rho, name, found.mean, found.low, found.high, found.n))
    return Columns(("codec", "controller", "rho", "metric", "mean", "ci95_low", "ci95_high", "n"), lines)


@dataclass(frozen=True)
class Comparison:
    """A controller against the fixed periods of the same codec."""

    arm: Arm
    points: Sequence[Point]


def comparisons(rows: Rows, chosen: Sequence[Arm]) -> Iterator[Comparison]:
    """Of those that have points."""
    for arm in chosen:
        fixed = [other.word for other in chosen if other.controller == FIXED and other.codec == arm.codec]
        if arm.controller != FIXED and fixed:
            found = tuple(points(rows, arm.word, fixed, QUALITY))
            if found:
                yield Comparison(arm, found)


def said(found: Sequence[Comparison], chosen: Sequence[Arm]) -> str:
    """How often each is better than the best fixed period at no more channel uses, and by how much, in words."""
    labels = {arm.word: arm.label for arm in chosen}
    lines = ["Against the best fixed period, clip by clip and metric by metric, at no more channel uses"]
    for own in found:
        told = verdict(own.points)
        gains = ", ".join(f"{name} {_gain(told.gain[name])} dB (worst {told.worst[name]:+.2f})" for name in QUALITY)
        line = f"  {own.arm.label}: better in both at {told.better:.0%} of {told.points} points; {gains}"
        lines.append(line + (f"; at {told.dearer} points every fixed period took more" if told.dearer else ""))
        for rho in sorted({point.condition.rho for point in own.points}):
            best = [labels[point.best["psnr"]] for point in own.points if point.condition.rho == rho]
            lines.append(f"    rho {rho:g}: most often the best is {max(sorted(set(best)), key=best.count)}")
    return "\n".join(lines)


def _gain(interval: Interval) -> str:
    return cell(interval, 2, "+")


def point_columns(found: Sequence[Comparison], chosen: Sequence[Arm]) -> Columns:
    """versus_fixed.csv: a line for each controller, clip and condition."""
    labels = {arm.word: arm.label for arm in chosen}
    told = ((own.arm, point) for own in found for point in own.points)
    lines = [
        (
            arm.codec, arm.label, p.condition.rho, p.condition.channel, p.condition.snr_db, p.clip,
            *(part for name in QUALITY for part in (labels[p.best[name]], p.gain[name])), int(p.better), int(p.dearer),
        )
        for arm, p in told
    ]  # fmt: skip
    parts = [part for name in QUALITY for part in (f"best_{name}", f"gain_{name}")]
    return Columns(("codec", "controller", "rho", "channel", "snr_db", "clip", *parts, "better", "dearer"), lines)
