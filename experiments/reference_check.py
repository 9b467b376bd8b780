"""A sample of every reference set measured anew, against the committed rows and against a sample of another checkout.

    python experiments/reference_check.py --out results/check
    python experiments/reference_check.py --tree ../other-checkout --out results/check-before
    python experiments/reference_check.py --out results/check --against results/check-before

The first compares with results/reference (within 0.01 dB: machines round differently), the third also with another
sample of this machine, bit for bit or to rounding (the libraries' sums of floats may differ from run to run). Two
conditions of every set, the pictures that its rows begin with; --out continues.
"""

from __future__ import annotations

import math
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from semlink.simulator.errors import SemlinkError
from semlink.simulator.study.cli import start

if TYPE_CHECKING:  # --help needs no NumPy
    import numpy as np

    from semlink.simulator.records.rows import Measurement
    from semlink.simulator.records.store import Condition

ROOT = Path(__file__).parent.parent
IN_DB = ("psnr", "weighted_mse")  # compared on a scale of decibels; what a segmenter finds is another on other CPUs
ROUNDING = 1e-5  # of the largest value: what libraries' sums may differ by from run to run of the same code
BOX = '"box:x0={low},x1={high},y0={low},y1={high}"'
DIFFUSION = "diffusion --rho 1/24 --metrics psnr lpips_alex --steps"
ROI = "roi --rho 1/12 --channels awgn --arms"
FIRST = {  # sets measured whole, in the order of their files: the first so many, since a --limit would take others
    "photographs_fading": ("imagenet-256", 8),
    "photos48": ("photos48", 4),
    "photos48_rho24": ("photos48", 4),
    "diffusion_fid": ("tiny-imagenet-64", 8),
    "roi": ("camvid-drives", 4),
    "roi_rates": ("camvid-drives", 4),
}
SAMPLES = {  # {first} and {maps}: folders of those pictures and of their class maps
    "cifar10": "snr_sweep --data cifar10 --limit 32 --codecs adjscc semlink --channels awgn --snr 7 --rho 1/6",
    "cifar10_fading": "snr_sweep --data cifar10 --limit 32 --codecs adjscc semlink --channels tdl --snr 10 --rho 1/6",
    "cifar10_mosaic": "snr_sweep --data cifar10-mosaic --limit 2 --codecs digital digital_capacity --channels awgn "
    "--snr 10 --rho 1/6",
    "photographs_fading": "snr_sweep --data {first} --codecs semlink digital --channels tdl --snr 10 --rho 1/12",
    "photos48": "snr_sweep --data {first} --codecs semlink digital --channels awgn --snr 5 --rho 1/12",
    "photos48_rho24": "snr_sweep --data {first} --codecs semlink digital --channels awgn --snr 5 --rho 1/24",
    "kodak": "snr_sweep --data kodak --limit 3 --codecs deepjscc semlink --channels awgn --snr 5 --rho 1/12",
    "kodak_rates": "snr_sweep --data kodak --limit 3 --codecs semlink digital --channels awgn --snr 10 --rho 1/24",
    "diffusion": f"{DIFFUSION} --data tiny-imagenet-64 --limit 8 --codecs ddnm sgd_jscc --snr 5",
    "diffusion_fading": f"{DIFFUSION} --data tiny-imagenet-64 --limit 8 --channels tdl --snr 10 --codecs adjscc "
    "sgd_jscc",
    "diffusion_fid": f"{DIFFUSION} --data {{first}} --codecs adjscc sgd_jscc:steps=0 --snr 0",
    "diffusion_guides": f"{DIFFUSION} --data imagenet-256 --limit 4 --codecs sgd_jscc sgd_jscc:level=blind --snr 0",
    "diffusion_posterior": f"{DIFFUSION} --data tiny-imagenet-64 --limit 8 --codecs cddm posterior --snr 0",
    "mimo": "mimo --data cifar10 --limit 32 --codecs adjscc --rho 1/12 --snr 10 --metrics psnr "
    "--arrangements 1x1 2x2:power=mmse,precoding=svd",
    "power": "power --channels cdl:delay_spread=3e-7,model=C --rules mmse --csit delayed:slots=2 --snr 10 --limit 128",
    "robustness": "robustness --data cifar10 --limit 32 --codecs adjscc --rho 1/6 --snr 10 --minutes 0 --metrics psnr "
    "--channels umi tdl+clipping:ratio_db=3",
    "roi": f"{ROI} --data {{first}} --labels {{maps}} --codecs roi_jscc:domain=street roi_dual --snr 4",
    "roi_rates": f"{ROI} --data {{first}} --labels {{maps}} --codecs roi_jscc:domain=street,importance=none digital "
    "--snr 10",
    "spic": "spic --data camvid-drives --limit 62 --codecs spic digital --channels awgn --snr 10 --rho 1/48",
    "spic_fading": "spic --data camvid-drives --limit 24 --codecs spic digital --channels tdl --snr 10 --rho 1/24",
    "spic_lost": "spic --data camvid-drives --limit 8 --codecs spic:map_mcs=qpsk-0.25,coarse_mcs=16qam-0.50 "
    "digital:mcs=16qam-0.50 --channels awgn --snr 8 --rho 1/48",
    "video": "video --data video/bedroom+bunny_open --size 128 --frames 32 --channels awgn --snr 10 --rho 1/48 "
    "--codecs wvsc h265 --metrics psnr psnr_p5 motion_energy intact frozen",
    "video_rates": "video --data video/bedroom+bunny_open --size 128 --frames 32 --channels awgn --snr 10 --rho 1/96 "
    "--codecs wvsc h265 --metrics psnr psnr_p5 motion_energy intact frozen",
    "video_intra": "video --data video/bedroom+bunny_open --size 128 --frames 32 --channels awgn --snr 10 --rho 1/48 "
    "--codecs wvsc:intra=true --metrics psnr psnr_p5 motion_energy intact frozen",
    "video_low": "video --data video/bedroom+bunny_open --size 128 --frames 32 --channels awgn --snr 12 --rho 1/265 "
    "--codecs cmd h265 --metrics psnr psnr_p5 motion_energy intact frozen",
    "realtime": "realtime --data video/bedroom+bunny_open --size 128 --frames 40 --rho 0.018 --controllers regret2",
    "roi_box_4": f"{ROI} --data imagenet-256 --limit 4 --codecs roi_jscc roi_dual:select=threshold --snr 10 "
    f"--roi {BOX.format(low=0.25, high=0.75)}",
    "roi_box_16": f"{ROI} --data imagenet-256 --limit 4 --codecs roi_jscc roi_dual --snr 1 "
    f"--roi {BOX.format(low=0.375, high=0.625)}",
}


@dataclass(frozen=True)
class CheckFlags:
    """Measure a sample of every reference set and compare it; exit code 1 where it differs."""

    out: Path = ROOT / "results" / "check"
    """Folder of the samples, one folder a set."""
    sets: tuple[str, ...] = tuple(SAMPLES)
    """Which of the sets."""
    tree: Path = ROOT
    """Checkout whose experiments measure."""
    reference: Path = ROOT / "results" / "reference"
    """Committed rows."""
    tolerance_db: float = 0.01
    """How far the mean of a condition may be off the committed one."""
    against: Path | None = None
    """Folder of another sample of this machine, which must be the same bit for bit or to rounding."""


def main(flags: CheckFlags) -> int:
    """Measure what is missing, compare, say what differs."""
    unknown = set(flags.sets) - SAMPLES.keys()
    if unknown:
        raise SemlinkError(f"unknown set {', '.join(sorted(unknown))}; known: {', '.join(SAMPLES)}")
    wrong = 0
    for name in flags.sets:
        measure(name, flags)
        own, committed = rows_of(flags.out / name), rows_of(flags.reference / name)
        for condition, measurement in own.items():
            off = departure(measurement, committed.get(condition))
            said = "not among the committed rows" if off is None else f"at most {off:.4f} dB off the committed rows"
            wrong += off is not None and off > flags.tolerance_db
            print(f"{name}: {condition}: {len(measurement.images)} pictures, {said}", flush=True)
        if flags.against:
            largest, said = differences(own, rows_of(flags.against / name))
            wrong += largest > ROUNDING
            print(f"{name}: against {flags.against}: {said}", flush=True)
    print("all the same" if not wrong else f"{wrong} differ", flush=True)
    return min(wrong, 1)


def measure(name: str, flags: CheckFlags) -> None:
    """Run the set's command with the tree's own packages."""
    script, *arguments = shlex.split(SAMPLES[name].format(**first_pictures(name, flags.out / "first" / name)))
    command = [sys.executable, f"experiments/{script}.py", *arguments, "--out", str((flags.out / name).resolve())]
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "semlink"
        home.mkdir()
        for package in ("simulator", "channels", "codecs"):
            (home / package).symlink_to((flags.tree / package).resolve())
        done = subprocess.run(
            command, cwd=flags.tree, env={**os.environ, "PYTHONPATH": folder}, capture_output=True, text=True
        )
    if done.returncode:
        raise SemlinkError(f"{name}: {shlex.join(command)} failed: {done.stderr.strip()[-600:]}")


def first_pictures(name: str, folder: Path) -> dict[str, str]:
    """Folders of the first pictures of a set that is measured whole, and of their class maps where it has some."""
    from semlink.simulator import data

    if name not in FIRST:
        return {}
    source, count = FIRST[name]
    home = data.root() / data.FOLDERS[source]
    found = {"first": tuple(home / name for name in data.load(source).ids[:count])}
    if source in data.LABELLED:
        found["maps"] = data.labels(source).paths[:count]
    for kind, paths in found.items():
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for i, path in enumerate(paths):
            shutil.copy(path, folder / kind / f"{i:03d}-{path.name}")
    if "maps" in found:
        shutil.copy(found["maps"][0].parent.parent / "classes.json", folder / "maps")
    return {kind: shlex.quote(str((folder / kind).resolve())) for kind in found}


def rows_of(folder: Path) -> dict[Condition, Measurement]:
    """The measurements of a folder by condition: of its block files, exactly as measured, or else of its rows file."""
    from semlink.simulator.records import rows
    from semlink.simulator.records.store import Store

    if (folder / "blocks").is_dir():
        return {m.condition: m for m in rows.merge(Store(folder).records())}
    return {m.condition: m for m in rows.read(folder / "rows.h5").measurements}


def departure(own: Measurement, committed: Measurement | None) -> float | None:
    """The largest difference in dB of a mean over the pictures that both have; None when the other lacks them."""
    if committed is None or not set(own.positions) <= set(committed.positions):
        return None
    places = [committed.positions.index(place) for place in own.positions]
    names = [name for name in IN_DB if name in own.values and name in committed.values]
    return max(
        (abs(decibels(n, own.values[n]) - decibels(n, committed.values[n][places])) for n in names), default=None
    )


def decibels(name: str, values: np.ndarray) -> float:
    """The mean on a scale of decibels."""
    import numpy as np

    return float(values.mean() if "psnr" in name else 10 * np.log10(values.mean()))


def differences(own: Mapping[Condition, Measurement], other: Mapping[Condition, Measurement]) -> tuple[float, str]:
    """The largest difference relative to a metric's largest value, times left out, and what to say of it."""
    from semlink.simulator.records.rows import repeats

    if own.keys() != other.keys():
        return math.inf, "other conditions"
    found = {}
    for condition in own:
        ours, theirs = own[condition], other[condition]
        if (ours.positions, ours.notes) != (theirs.positions, theirs.notes):
            return math.inf, f"{condition}: other pictures or notes"
        for name in filter(repeats, ours.values.keys() | theirs.values.keys()):
            least = 1.0 if name.endswith("_db") else 0.0  # 0 dB is no small value
            found[f"{name} of {condition}"] = difference(ours.values.get(name), theirs.values.get(name), least)
    where, largest = max(found.items(), key=lambda item: item[1])
    return largest, f"at most {largest:.1g} relative ({where})" if largest else "bit for bit"


def difference(own: np.ndarray | None, other: np.ndarray | None, least: float) -> float:
    """The largest difference relative to the largest value, or to `least`: infinite where one lacks a value."""
    import numpy as np

    if own is None or other is None or own.shape != other.shape or not np.array_equal(np.isnan(own), np.isnan(other)):
        return math.inf
    if np.array_equal(own, other, equal_nan=True):
        return 0.0
    return float(np.nanmax(np.abs(own - other)) / max(np.nanmax(np.abs(other)), least))


if __name__ == "__main__":
    start(main, CheckFlags())
