"""Time the bridge, and the link against plain Sionna at the same settings (eager, tf.function and XLA).

Rounds are paired: every variant runs once a round, and ratios are medians over rounds. What a batch is, is said in
`semlink.simulator.study.link_variants`.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

from semlink.simulator.study.cli import start
from semlink.simulator.study.link_variants import BASE, link_variants

SEEDS = 4


@dataclass(frozen=True)
class BenchFlags:
    """Time the bridge and the link; writes bench.json and prints a table."""

    out: Path = Path("results/bench")
    """Folder for bench.json."""
    rounds: int = 30
    """Paired rounds."""
    channels: tuple[str, ...] = (
        "awgn", "rayleigh", "rician", "tdl", "cdl", "umi", "uma", "rma", "ray_traced", "recorded",
        "tdl+clipping:ratio_db=3", "tdl+phase_noise:linewidth_hz=50", "tdl+cochannel:sir_db=10",
        "tdl:delay_spread=1e-6", "rayleigh:rx_antennas=2", "rayleigh:rx_antennas=2,tx_antennas=2,layers=2",
        "rayleigh:rx_antennas=2,tx_antennas=2,layers=2,precoding=svd,csit=perfect,csi=perfect",
        "tdl:csi=lmmse,csit=delayed,power=mmse",
    )  # fmt: skip
    """Channels whose throughput is measured; a bare `recorded` plays a file made of tdl."""


def median_s(function: Callable[[], Any], rounds: int) -> float:
    """Median seconds on the clock of a call after one warm-up."""
    return median_seconds(function, rounds)[0]


def median_seconds(function: Callable[[], Any], rounds: int) -> tuple[float, float]:
    """Median seconds of a call after one warm-up, on the clock and of all cores."""
    function()
    clock, cpu = np.median([timed(function) for _ in range(rounds)], axis=0)
    return float(clock), float(cpu)


def timed(function: Callable[[], Any]) -> tuple[float, float]:
    """Seconds of one call, on the clock and of all cores."""
    started, cpu = time.perf_counter(), time.process_time()
    function()
    return time.perf_counter() - started, time.process_time() - cpu


def bench_bridge(rounds: int) -> dict[str, dict[str, float]]:
    """Microseconds of a hand-off each way by number of complex64 values."""
    import torch

    from semlink.simulator.engine import bridge

    table = {}
    for size in (1_000, 100_000, 10_000_000):
        x = torch.ones(size, dtype=torch.complex64)
        y = bridge.to_tensorflow(x)
        table[f"{size:,}"] = {
            "torch to TensorFlow": 1e6 * median_s(partial(bridge.to_tensorflow, x), 50 * rounds),
            "TensorFlow to torch": 1e6 * median_s(partial(bridge.to_torch, y), 50 * rounds),
        }
    return table


def bench_link(rounds: int) -> dict[str, dict[str, float]]:
    """Milliseconds per batch and the median paired ratio to Sionna's XLA graph."""
    calls = link_variants()
    for call in calls.values():
        call()
        call()
    times = {name: np.empty(rounds) for name in calls}
    for turn in range(rounds):
        for name, call in calls.items():
            times[name][turn] = timed(call)[0]
    base = times[BASE]
    return {
        name: {"ms": 1e3 * float(np.median(t)), "ratio to Sionna XLA": float(np.median(t / base))}
        for name, t in times.items()
    }


def bench_channels(words: tuple[str, ...], rounds: int) -> dict[str, dict[str, float]]:
    """Symbols per second of each channel through the same compiled graph, and the share of time that its fades take."""
    import torch

    from semlink.simulator import Stream, Transmission
    from semlink.simulator.plugins import make_link
    from semlink.simulator.words import parse

    table, few = {}, max(3, rounds // 5)
    with tempfile.TemporaryDirectory() as folder:
        for word in words:
            link = make_link(parse(f"recorded:path={played(Path(folder))}" if word == "recorded" else word))
            sent = Transmission((Stream("x", "analog", torch.ones(256, link.places, dtype=torch.complex64)),))
            seeds = cycle(range(SEEDS))  # another one a call: a link keeps what it drew for the last one
            for _ in range(SEEDS):
                sent_by(link, sent, seeds)  # some users' paths need a graph of their own
            (seconds, cpu), (_, fades) = (
                median_seconds(partial(f, seeds), few)
                for f in (partial(sent_by, link, sent), partial(draw_fades, link))
            )
            table[word] = {
                "million symbols per second": 256 * link.places / seconds / 1e6,
                "per CPU second": 256 * link.places / cpu / 1e6,
                "share of fades": fades / cpu,
            }
    return table


def sent_by(link: Any, transmission: Any, seeds: Iterator[int]) -> None:
    """One transmission with fades of its own."""
    link(transmission, 10.0, next(seeds))


def draw_fades(link: Any, seeds: Iterator[int]) -> None:
    """The fades of 256 images of one slot."""
    from semlink.simulator.link.fades import Fades

    images = np.arange(256)
    fades = Fades(link.channel, next(seeds))
    for part in np.split(images, 4):
        fades.at(part, 0 * part, link.grid)


def played(folder: Path) -> Path:
    """A file of impulse responses: 8 routes of 200 snapshots over tdl."""
    from semlink import channels
    from semlink.channels.base.grid import Grid
    from semlink.channels.recorded import write_cir_file

    grid, tdl = Grid(), channels.create("tdl")
    fade = tdl.draw(np.random.default_rng(0), 8)
    gains = np.stack([fade._paths(np.arange(8), np.full(8, t), grid)[:, 0] for t in range(200)], 1)
    write_cir_file(folder / "tdl.h5", gains[:, :, None, None], fade.delays, grid.slot_time, tdl.carrier_frequency)
    return folder / "tdl.h5"


def show(title: str, table: dict[str, dict[str, float]]) -> None:
    """Print one table."""
    columns = list(next(iter(table.values())))
    print(f"\n{title}")
    width = 2 + max(map(len, table))
    print(" " * width + "".join(f"{c:>28}" for c in columns))
    for name, row in table.items():
        print(f"{name:{width}}" + "".join(f"{row[c]:28.3g}" for c in columns))


def main(flags: BenchFlags) -> int:
    results = {
        "bridge: microseconds per hand-off": bench_bridge(flags.rounds),
        "link: 64 slots of 864 symbols": bench_link(flags.rounds),
        "channels: throughput of the link": bench_channels(flags.channels, flags.rounds),
    }
    for title, table in results.items():
        show(title, table)
    flags.out.mkdir(parents=True, exist_ok=True)
    (flags.out / "bench.json").write_text(json.dumps(results, indent=1) + "\n")
    print(f"\nwritten: {flags.out / 'bench.json'}")
    return 0


if __name__ == "__main__":
    start(main, BenchFlags())
