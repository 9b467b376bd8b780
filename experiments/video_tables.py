"""Write the tables of docs/results/video.md from the rows of `make video`; measures nothing.

python experiments/video_tables.py
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from semlink.simulator.study import cli
from semlink.simulator.study.markdown import rewrite, table

if TYPE_CHECKING:
    from semlink.simulator.records.rows import Measurement

ROOT = Path(__file__).parent.parent
SETS = ("video", "video_rates", "video_intra", "video_low")
METRICS = {"psnr": 2, "psnr_p5": 2, "lpips_alex": 3, "motion_energy": 2}  # and their digits
OWN, GROUPED, INTRA, BASELINE = "wvsc", "cmd", "wvsc:intra=true", "h265"
WHERE = 48  # 1 / rate at which differences are told clip by clip


@dataclass(frozen=True)
class VideoTables:
    """Write the tables of the page on video from committed rows."""

    results: Path = ROOT / "results" / "reference"
    """Folder of the sets."""
    docs: Path = ROOT / "docs" / "results"
    """Folder of the page."""


@dataclass(frozen=True)
class Cell:
    """Where a measurement belongs. place: rate and channel."""

    codec: str
    place: tuple[float, str]
    snr_db: float


def main(flags: VideoTables) -> int:
    written = contents(flags.results)
    changed = rewrite(flags.docs, written)
    print(f"tables {', '.join(written)} written; changed pages: {', '.join(p.name for p in changed) or 'none'}")
    return 0


def contents(results: Path) -> dict[str, str]:
    """Tables of everything that the folder holds, by the name of their markers."""
    from semlink.simulator.records import rows

    found = {
        name: cells(rows.read(results / name / "rows.h5").measurements)
        for name in SETS
        if (results / name / "rows.h5").exists()
    }
    made = {
        f"{name}_levels": "\n".join(levels(own, metric) for metric in METRICS if has(own, metric))
        for name, own in found.items()
    }
    if "video" in found:
        made["video_overtaken"] = overtaken(found["video"] | found.get("video_rates", {}))
    if "video_intra" in found:
        made["video_clips"] = "\n".join(by_clip(found["video_intra"], OWN, INTRA))
        made["video_cmd_clips"] = "\n".join(by_clip(found.get("video", {}) | found["video_intra"], GROUPED, INTRA))
    return made


def cells(measurements: Sequence[Measurement]) -> dict[Cell, Measurement]:
    """Those without an error, by where they belong."""
    return {
        Cell(m.condition.codec, (m.condition.rho, m.condition.channel), m.condition.snr_db): m
        for m in measurements
        if not m.error
    }


def has(found: dict[Cell, Measurement], metric: str) -> bool:
    """Whether it was measured."""
    return any(metric in m.values for m in found.values())


def levels(found: dict[Cell, Measurement], metric: str) -> str:
    """Means over clips: a row for each rate, channel and codec, a column for each SNR."""
    snrs = sorted({cell.snr_db for cell in found})
    head = (f"`{metric}`", "rate", "channel", *(f"{snr:g} dB" for snr in snrs))
    codecs = list(dict.fromkeys(cell.codec for cell in found))
    lines = [
        (f"`{codec}`", rate_of(place[0]), place[1], *(mean(found.get(Cell(codec, place, s)), metric) for s in snrs))
        for place in sorted({cell.place for cell in found}, key=lambda own: (-own[0], own[1]))
        for codec in codecs
    ]
    return table(head, [line for line in lines if any(line[3:])])


def mean(m: Measurement | None, metric: str) -> str:
    """Of the clips that have a value; of motion energy the median, as a still clip's is anything."""
    if m is None or metric not in m.values or not np.isfinite(m.values[metric]).any():
        return ""
    middle = np.nanmedian if metric == "motion_energy" else np.nanmean
    return f"{middle(m.values[metric]):.{METRICS[metric]}f}"


def by_clip(found: dict[Cell, Measurement], own: str, other: str) -> Iterator[str]:
    """PSNR of a codec minus that of another, clip by clip, at the rate WHERE: a table for each channel."""
    for place in sorted({cell.place for cell in found}, key=str):
        snrs = sorted({c.snr_db for c in found if c.place == place and c.codec == other})
        if round(1 / place[0]) != WHERE or not all(Cell(own, place, snr) in found for snr in snrs):
            continue
        gains = [minus(found[Cell(own, place, snr)], found[Cell(other, place, snr)]) for snr in snrs]
        names = sorted(gains[-1], key=lambda name: -gains[-1][name])
        lines = [(name, *(f"{gain[name]:+.1f}" for gain in gains)) for name in names]
        yield table((f"`{own}` minus `{other}`, dB, {place[1]}", *(f"{s:g} dB" for s in snrs)), lines)


def minus(own: Measurement, other: Measurement) -> dict[str, float]:
    """Differences of PSNR by clip."""
    its = dict(zip(other.images, other.values["psnr"].tolist(), strict=True))
    pairs = zip(own.images, own.values["psnr"].tolist(), strict=True)
    return {name: level - its[name] for name, level in pairs}


def overtaken(found: dict[Cell, Measurement]) -> str:
    """From which SNR on the baseline's mean PSNR is above that of wvsc, for each rate and channel."""
    lines = []
    for rho, channel in sorted({cell.place for cell in found}, key=lambda own: (-own[0], own[1])):
        at = {
            codec: {c.snr_db: np.mean(m.values["psnr"]) for c, m in found.items() if (c.codec, *c.place) == key}
            for codec in (OWN, BASELINE)
            for key in [(codec, rho, channel)]
        }
        snrs = sorted(set(at[OWN]) & set(at[BASELINE]))
        if snrs:
            lines.append((rate_of(rho), channel, crossing(snrs, [at[BASELINE][s] - at[OWN][s] for s in snrs])))
    return table(("rate", "channel", f"`{BASELINE}` is ahead of `{OWN}`"), lines)


def crossing(snrs: Sequence[float], ahead: Sequence[float]) -> str:
    """Where what grows with the SNR becomes positive, by lines between points, in words."""
    if ahead[0] > 0:
        return f"from {snrs[0]:g} dB on, or below"
    for (low, high), (a, b) in zip(zip(snrs, snrs[1:], strict=False), zip(ahead, ahead[1:], strict=False), strict=True):
        if a <= 0 < b:
            return f"from {low + (high - low) * -a / (b - a):.1f} dB on"
    return f"not up to {snrs[-1]:g} dB"


def rate_of(rho: float) -> str:
    """As people write it."""
    return str(Fraction(rho).limit_denominator(999))


if __name__ == "__main__":
    cli.start(main, VideoTables())
