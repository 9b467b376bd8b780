"""Time a sweep of many small pictures against the same calls without files and rows.

Rounds are paired: every variant runs once a round, and ratios are those of one round. CPU seconds of the process count,
so that a machine with other work to do gives the same ratios; clock seconds are beside them.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from semlink.simulator.records.sweep import Sweep
from semlink.simulator.study.cli import start
from semlink.simulator.study.crops import SIDE, crops

if TYPE_CHECKING:
    from semlink.simulator.sweep.trial import Parts


@dataclass(frozen=True)
class BenchSweepFlags:
    """Time a sweep against the calls that it makes; writes bench_sweep.json and prints a table."""

    out: Path = Path("results/bench")
    """Folder for bench_sweep.json."""
    codec: str = "deepjscc"
    """The codec."""
    channel: str = "awgn"
    """The channel."""
    pictures: int = 640
    """Crops of the sample photographs, 32 px."""
    snrs: int = 5
    """SNRs of the sweep."""
    rounds: int = 5
    """Paired rounds."""


def question(flags: BenchSweepFlags, snrs: int) -> Sweep:
    """A sweep over so many SNRs."""
    snr = tuple(5.0 * i for i in range(snrs))
    return Sweep((flags.codec,), (flags.channel,), snr, (1 / 6,), ("psnr",), "crops", flags.pictures)


def calls_alone(asked: Sweep, parts: Parts) -> None:
    """All calls of a sweep, of which nothing is kept."""
    from semlink.simulator.sweep import plan, trial

    bench = trial.Bench(asked, parts)
    found = plan.blocks(bench.data.ids, bench.data.sizes(), parts.block)
    for task in plan.plan(asked, found, (), plan.identity_of(asked, parts.codec, parts.link, parts.block)):
        for _ in trial.execute(task, bench):
            pass


def sweep(asked: Sweep, parts: Parts) -> None:
    """The sweep itself, into a folder that is forgotten."""
    from semlink.simulator.sweep import runner

    with tempfile.TemporaryDirectory() as folder:
        runner.run(asked, folder, 1, parts)


def timed(call: Callable[[], None]) -> tuple[float, float]:
    """CPU and clock seconds of a call."""
    cpu, clock = time.process_time(), time.perf_counter()
    call()
    return time.process_time() - cpu, time.perf_counter() - clock


def measure(flags: BenchSweepFlags) -> dict[str, dict[str, float]]:
    """Points per CPU second, and CPU seconds over those of the calls alone in the same round."""
    from semlink.simulator.sweep.trial import Parts

    parts, asked = Parts(dataset=crops), question(flags, flags.snrs)
    few = replace(asked, limit=SIDE)
    calls = {
        "calls alone": partial(calls_alone, asked, parts),
        "sweep": partial(sweep, asked, parts),
        "sweep of one SNR": partial(sweep, question(flags, 1), parts),
    }
    sweep(few, parts)  # loads and compiles everything
    times = np.array([[timed(call) for call in calls.values()] for _ in range(flags.rounds)])
    ratios = times[:, :, 0] / times[:, :1, 0]
    points = [flags.pictures * (1 if name.endswith("one SNR") else flags.snrs) for name in calls]
    return {
        name: {
            "points per CPU second": points[i] / float(np.median(times[:, i, 0])),
            "clock seconds": float(np.median(times[:, i, 1])),
            "ratio": float(np.median(ratios[:, i])),
            "least": float(ratios[:, i].min()),
            "most": float(ratios[:, i].max()),
        }
        for i, name in enumerate(calls)
    }


def main(flags: BenchSweepFlags) -> int:
    """Measure and write."""
    found = measure(flags)
    for name, row in found.items():
        print(f"{name:18}" + "".join(f"  {key} {value:.4g}" for key, value in row.items()))
    flags.out.mkdir(parents=True, exist_ok=True)
    (flags.out / "bench_sweep.json").write_text(json.dumps(found, indent=1) + "\n")
    print(f"written: {flags.out / 'bench_sweep.json'}")
    return 0


if __name__ == "__main__":
    start(main, BenchSweepFlags())
