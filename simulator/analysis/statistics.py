"""Means with 95 % intervals over images and channel draws, and paired differences between codecs.

Every image has its own fade, so images are independent draws of picture and channel: intervals are Student's t on
per-image values. `psnr_of_mean_mse` is -10 log10(mean MSE), its interval by the delta method: half width
t 10 / ln 10 * s / (m sqrt(n)) with mean m and standard deviation s of the per-image MSE.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path

import numpy as np

from semlink.simulator.analysis.shared import on_places, shared_places
from semlink.simulator.errors import SemlinkError
from semlink.simulator.files import write_table
from semlink.simulator.records.rows import UNDECODED, Measurement, Rows
from semlink.simulator.words import labels

LOSSES = ("block_errors", UNDECODED)
NOT_SUMMARISED = ("mse", "uses_main", "uses_total", "rho_main", "rho_total", "blocks", *LOSSES)


@dataclass(frozen=True)
class Interval:
    """A mean, the ends of its 95 % confidence interval (NaN for fewer than two values) and the number of values.

    lost: how many of them are of pictures that lost bits on the way.
    """

    mean: float
    low: float
    high: float
    n: int
    lost: int = 0

    def each(self, change: Callable[[float], float]) -> Interval:
        """Mean and ends, each changed: an interval of something that grows with the values."""
        return Interval(change(self.mean), change(self.low), change(self.high), self.n, self.lost)

    def within(self, least: float, most: float) -> Interval:
        """With ends that are no further than what there can be, the mean aside."""
        return replace(self, low=max(self.low, min(least, self.mean)), high=min(self.high, max(most, self.mean)))


@dataclass(frozen=True)
class Line:
    """One line of the summary, with the columns of summary.csv.

    Not among them: rho, the asked rate, lost, how many of the n pictures lost bits on the way, and measured, how many
    pictures have the metric, of which n are compared.
    """

    codec: str
    channel: str
    csi: str
    snr_db: float
    rho_main: float
    rho_total: float
    metric: str
    mean: float
    ci95_low: float
    ci95_high: float
    n: int
    rho: float
    lost: int = 0
    measured: int = 0


COLUMNS = tuple(field.name for field in fields(Line) if field.name not in ("rho", "lost", "measured"))
NOTHING = Interval(math.nan, math.nan, math.nan, 0)


def mean_interval(values: np.ndarray) -> Interval:
    """Mean of `[n]` values and Student's 95 % interval. All NaN, n = 0, when there is none or one is not finite."""
    values = np.asarray(values, dtype=float)
    if values.size == 0 or not np.isfinite(values).all():
        return NOTHING
    mean = float(values.mean())
    half = t95(values.size) * float(values.std(ddof=1)) / math.sqrt(values.size) if values.size > 1 else math.nan
    return Interval(mean, mean - half, mean + half, values.size)


def psnr_of_mean_mse(mse: np.ndarray) -> Interval:
    """-10 log10 of the mean of `[n]` MSEs (peak 1), in dB, interval by the delta method; nothing when the mean is 0."""
    of_mse = mean_interval(mse)
    if of_mse.n == 0 or of_mse.mean <= 0:
        return NOTHING
    mean = -10 * math.log10(of_mse.mean)
    half = 10 / math.log(10) * (of_mse.high - of_mse.mean) / of_mse.mean
    return Interval(mean, mean - half, mean + half, of_mse.n)


def paired_difference(first: Measurement, second: Measurement, metric: str) -> Interval:
    """Mean of first - second over the images that both have, with the 95 % interval of the paired differences.

    Raises SemlinkError when they share no image.
    """
    ours, theirs = (dict(zip(m.positions, m.values[metric], strict=True)) for m in (first, second))
    common = sorted(ours.keys() & theirs.keys())
    if not common:
        raise SemlinkError(
            f"{first.condition} and {second.condition} were measured on different images; nothing to pair"
        )
    return mean_interval(np.array([ours[place] - theirs[place] for place in common]))


def lost(measurement: Measurement) -> tuple[int, ...]:
    """Places in the data set of the pictures of which a code block did not arrive, or what arrived was none."""
    return tuple(np.asarray(measurement.positions)[gone(measurement.values, len(measurement.positions))].tolist())


def gone(values: Mapping[str, Sequence[float] | np.ndarray], images: int) -> np.ndarray:
    """Which of so many pictures count as lost, bool `[images]`, by what was measured of them."""
    found = np.zeros(images, bool)
    for name in LOSSES:
        found |= np.asarray(values.get(name, found)) > 0
    return found


def summarise(rows: Rows) -> tuple[Line, ...]:
    """One line per condition and metric; a failed condition has a line for every metric, with NaN and n = 0.

    What the last sweep was asked for is summarised over the pictures that all of it was measured on, by metric; where
    each condition was measured until it was precise, each over its own.
    """
    found = {name for m in rows.measurements for name in m.values}
    metrics = sorted((found - set(NOT_SUMMARISED)) | set(rows.asked_metrics()))
    asked = frozenset() if rows.stops() else rows.asked()
    places = {name: shared_places((m for m in rows.measurements if m.condition in asked), name) for name in found}
    return tuple(line for m in rows.measurements for line in _lines(m, metrics, places if m.condition in asked else {}))


def images_of(lines: Sequence[Line]) -> str:
    """How many images the means are over, in words; also how many there are where some were left out."""
    counts = sorted({line.n for line in lines if line.n})
    said = " to ".join(str(n) for n in dict.fromkeys((counts[0], counts[-1]))) if counts else "no"
    return f"{said} images{left_out(lines)}"


def left_out(lines: Sequence[Line]) -> str:
    """A remark on measured images that not all compared conditions share; empty where there are none."""
    most = max((line.measured for line in lines if line.measured > line.n > 0), default=0)
    return f" that all were measured on (of up to {most})" if most else ""


def write_csv(lines: Iterable[Line], path: Path) -> None:
    """The lines as CSV with the columns `COLUMNS`, all or nothing."""
    write_table(path, COLUMNS, (astuple(line)[: len(COLUMNS)] for line in lines))


def check_known(metrics: Iterable[str], lines: Sequence[Line]) -> None:
    """SemlinkError when a metric is in none of the lines; lists those that are."""
    known = sorted({line.metric for line in lines})
    for metric in metrics:
        if metric not in known:
            raise SemlinkError(f"no {metric!r} in these rows; they hold {', '.join(known)}")


def table(lines: Sequence[Line], metric: str, units: str = "", difference: bool = False) -> str:
    """One metric as aligned text: a row per codec, rate and channel, a column per SNR, mean +- half of the interval.

    difference: the lines are paired differences, so they have signs.
    """
    chosen = [line for line in lines if line.metric == metric]
    snrs = sorted({line.snr_db for line in chosen})
    channels, codecs = labels(line.channel for line in chosen), labels(line.codec for line in chosen)
    rows: dict[tuple[str, ...], dict[float, str]] = {}
    for line in chosen:
        name = (channels[line.channel], line.csi or "-", codecs[line.codec], f"{line.rho:.4g}")
        rows.setdefault(name, {})[line.snr_db] = _cell(line, "+" if difference else "", units == "dB")
    head = ("channel", "csi", "codec", "rho", *(f"{snr:g} dB" for snr in snrs))
    body = [(*name, *(cells.get(snr, "") for snr in snrs)) for name, cells in sorted(rows.items())]
    title = f"{metric}{f' ({units})' if units not in ('', '1') else ''} against SNR"
    what = "mean difference +- 95 %, paired," if difference else "mean +- 95 %"
    return "\n".join([f"{title}: {what} over {images_of(chosen)}", *_aligned([head, *body])])


def _lines(measurement: Measurement, metrics: Sequence[str], places: Mapping[str, frozenset[int]]) -> list[Line]:
    c, values = measurement.condition, measurement.values
    shared = {name: on_places(measurement, places.get(name, frozenset())).values[name] for name in values}
    failed = dict.fromkeys((*metrics, "psnr_of_mean_mse"), NOTHING)
    whole, intervals = (failed if measurement.error else _intervals(v, metrics) for v in (values, shared))
    main, total = (float(values[name].mean()) if name in values else math.nan for name in ("rho_main", "rho_total"))
    under = c.codec, c.channel, measurement.csi, c.snr_db, main, total
    gone = {name: len(lost(on_places(measurement, places.get(name, frozenset())))) for name in intervals}
    return [
        Line(*under, name, i.mean, i.low, i.high, i.n, c.rho, gone[name], whole[name].n)
        for name, i in intervals.items()
    ]


def _intervals(values: Mapping[str, np.ndarray], metrics: Sequence[str]) -> dict[str, Interval]:
    """NaN stands for an image that was measured without this metric, in an earlier run; it does not count."""
    intervals = {name: mean_interval(values[name][~np.isnan(values[name])]) for name in metrics if name in values}
    if "mse" in values:
        intervals["psnr_of_mean_mse"] = psnr_of_mean_mse(values["mse"])
    if "blocks" in values and values["blocks"].all():
        intervals["block_error_rate"] = mean_interval(values["block_errors"] / values["blocks"])
    return intervals


def t95(n: int) -> float:
    """How many standard errors half of Student's 95 % interval of n values is."""
    from scipy.special import stdtrit

    return float(stdtrit(n - 1, 0.975))


def _cell(line: Line, sign: str, decibels: bool) -> str:
    if not line.n:
        return "failed"
    half = line.ci95_high - line.mean
    digits = 2 if abs(line.mean) >= 1 or sign and decibels else 4
    return f"{line.mean:{sign}.{digits}f}" + (f" +-{half:.{digits}f}" if math.isfinite(half) else "")


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    left = 4  # columns of names; the numbers that follow are set to the right
    return [
        "  ".join(_pad(cell, width, i < left) for i, (cell, width) in enumerate(zip(row, widths, strict=True))).rstrip()
        for row in rows
    ]


def _pad(cell: str, width: int, left: bool) -> str:
    return cell.ljust(width) if left else cell.rjust(width)
