"""What one large picture costs, in CPU seconds and memory; see `semlink.simulator.study.large`."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

from semlink.simulator.study.cli import start
from semlink.simulator.study.large import measure


@dataclass(frozen=True)
class BenchLargeFlags:
    """CPU seconds and memory of one large picture."""

    codecs: tuple[str, ...] = ("adjscc", "semlink:base=none", "digital", "semlink")
    """Codecs, as words."""
    sizes: tuple[str, ...] = ("768x1024", "1536x2048", "3000x4000")
    """Height x width in px."""
    rho: float = 1 / 12
    """Channel uses per source dimension."""
    channels: tuple[str, ...] = ("tdl",)
    """Channels, as words."""


def main(flags: BenchLargeFlags) -> int:
    for channel, codec, size in product(flags.channels, flags.codecs, flags.sizes):
        height, _, width = size.partition("x")
        cost = measure(codec, (int(height), int(width)), flags.rho, channel)
        stages = ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in cost.stages.items())
        told = f"{cost.cpu_s:.0f} CPU s, {cost.clock_s:.0f} s, {cost.peak_gb:.2f} GB ({stages})"
        print(f"{codec} {size} {channel}: {told}", flush=True)
    return 0


if __name__ == "__main__":
    start(main, BenchLargeFlags())
