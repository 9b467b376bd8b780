"""Time the bridge, and the link against plain Sionna at the same settings (eager, tf.function and XLA).

Rounds are paired: every variant runs once a round, and ratios are medians over rounds. One batch is 64 slots of
14 x 72 resource elements, TDL-A at 100 ns and 3 m/s, LS estimation with linear interpolation, LMMSE equalisation.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from semlink.simulator.cli import start


@dataclass(frozen=True)
class BenchFlags:
    """Time the bridge and the link; writes bench.json and prints a table."""

    out: Path = Path("results/bench")
    """Folder for bench.json."""
    rounds: int = 30
    """Paired rounds."""
    channels: tuple[str, ...] = ("awgn", "rayleigh", "rician", "tdl")
    """Channels whose throughput is measured."""


def median_s(function: Callable[[], Any], rounds: int) -> float:
    """Median seconds of a call after one warm-up."""
    function()
    return float(np.median([timed(function) for _ in range(rounds)]))


def timed(function: Callable[[], Any]) -> float:
    """Seconds of one call."""
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def bench_bridge(rounds: int) -> dict[str, dict[str, float]]:
    """Microseconds of a hand-off each way by number of complex64 values."""
    import torch

    from semlink.simulator import bridge

    table = {}
    for size in (1_000, 100_000, 10_000_000):
        x = torch.ones(size, dtype=torch.complex64)
        y = bridge.to_tensorflow(x)
        table[f"{size:,}"] = {
            "torch to TensorFlow": 1e6 * median_s(lambda x=x: bridge.to_tensorflow(x), 50 * rounds),
            "TensorFlow to torch": 1e6 * median_s(lambda y=y: bridge.to_torch(y), 50 * rounds),
        }
    return table


def plain_sionna(jit: bool | None) -> Callable[[Any, Any], Any]:
    """The same link of Sionna's own blocks; jit: None eager, False tf.function, True XLA."""
    import tensorflow as tf
    from sionna.phy.channel import OFDMChannel
    from sionna.phy.channel.tr38901 import TDL
    from sionna.phy.mimo import StreamManagement
    from sionna.phy.ofdm import LMMSEEqualizer, LSChannelEstimator, ResourceGridMapper

    from semlink.simulator import Grid
    from semlink.simulator.engine.ofdm import sionna_grid

    rg = sionna_grid(Grid())
    channel = OFDMChannel(TDL("A", 100e-9, 3.5e9, min_speed=3.0), rg, return_channel=False)
    mapper, estimate = ResourceGridMapper(rg), LSChannelEstimator(rg, interpolation_type="lin")
    equalize = LMMSEEqualizer(rg, StreamManagement(np.ones([1, 1]), 1))

    def link(x: Any, no: Any) -> Any:
        y = channel(mapper(x), no)
        h_hat, error = estimate(y, no)
        return equalize(y, h_hat, error, no)

    return link if jit is None else tf.function(link, jit_compile=jit)


def variants() -> dict[str, Callable[[], Any]]:
    """Everything that is compared, as calls without arguments on the same 64 slots."""
    import tensorflow as tf
    import torch

    from semlink import channels
    from semlink.simulator import Grid, Link, Stream, Transmission

    symbols = Grid().data_symbols
    x = np.random.default_rng(0).standard_normal((64, symbols, 2)).view(np.complex128)[..., 0]
    x = (x / np.sqrt((np.abs(x) ** 2).mean(1, keepdims=True))).astype(np.complex64)
    no, tx = tf.constant(0.1), tf.constant(x[:, None, None])
    link, sent = Link(channels.create("tdl")), Transmission((Stream("x", "analog", torch.from_numpy(x)),))
    plain = {name: plain_sionna(jit) for name, jit in (("eager", None), ("tf.function", False), ("XLA", True))}
    calls: dict[str, Callable[[], Any]] = {f"Sionna {n}": (lambda f=f: f(tx, no)[0].numpy()) for n, f in plain.items()}
    calls["semlink Link"] = lambda: link(sent, 10.0)
    return calls


def bench_link(rounds: int) -> dict[str, dict[str, float]]:
    """Milliseconds per batch and the median paired ratio to Sionna's XLA graph."""
    calls = variants()
    for call in calls.values():
        call(), call()
    times = {name: np.array(t) for name, t in zip(calls, zip(*[[timed(c) for c in calls.values()] for _ in range(rounds)], strict=True), strict=True)}
    base = times["Sionna XLA"]
    return {n: {"ms": 1e3 * float(np.median(t)), "ratio to Sionna XLA": float(np.median(t / base))} for n, t in times.items()}


def bench_channels(words: tuple[str, ...], rounds: int) -> dict[str, dict[str, float]]:
    """Symbols per second of each channel through the same compiled graph, drawing included."""
    import torch

    from semlink.simulator import Grid, Stream, Transmission
    from semlink.simulator.trial import make_link
    from semlink.simulator.words import parse

    x = torch.ones(256, Grid().data_symbols, dtype=torch.complex64)
    sent = Transmission((Stream("x", "analog", x),))
    table = {}
    for word in words:
        link = make_link(parse(word))
        seconds = median_s(lambda link=link: link(sent, 10.0), max(3, rounds // 5))
        table[word] = {"million symbols per second": x.numel() / seconds / 1e6}
    return table


def show(title: str, table: dict[str, dict[str, float]]) -> None:
    """Print one table."""
    columns = list(next(iter(table.values())))
    print(f"\n{title}")
    print(" " * 16 + "".join(f"{c:>28}" for c in columns))
    for name, row in table.items():
        print(f"{name:16}" + "".join(f"{row[c]:28.3g}" for c in columns))


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
