"""What antennas are worth to a codec at equal channel uses: receive diversity, spatial multiplexing, SVD precoding.

    python experiments/mimo.py --codecs adjscc --channels tdl --rho 1/12 --snr 0 5 10 15 --out results/mimo

An arrangement with L layers carries L symbols per channel use, so its codec gets L times the symbols: `rho` counts
channel uses and is the same for all. All arrangements see LMMSE channel estimates unless a channel word says otherwise.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from semlink.simulator import cli
from semlink.simulator.errors import SemlinkError
from semlink.simulator.plan import Sweep
from semlink.simulator.words import Setting, Word, parse

if TYPE_CHECKING:
    from semlink.simulator.statistics import Interval, Line

SVD: dict[str, Setting] = {"precoding": "svd", "csit": "perfect"}


@dataclass(frozen=True)
class Arrangement:
    """rx x tx antennas, layers, and further settings of the link."""

    rx: int
    tx: int
    layers: int
    settings: tuple[tuple[str, Setting], ...] = ()

    def word(self, channel: str) -> str:
        """The channel word with this arrangement; what the word sets itself stays."""
        bare = parse(channel)
        antennas = {"rx_antennas": self.rx, "tx_antennas": self.tx} if self.rx * self.tx > 1 else {}
        layers = {"layers": self.layers} if self.layers > 1 else {}
        settings = {"csi": "lmmse", **antennas, **layers, **dict(self.settings), **dict(bare.settings)}
        return str(Word(bare.name, tuple(sorted(settings.items())), bare.added))


ARRANGEMENTS = {
    "1x1": Arrangement(1, 1, 1),
    "1x2_mrc": Arrangement(2, 1, 1),
    "2x2_open_loop": Arrangement(2, 2, 2),
    "2x2_svd_beam": Arrangement(2, 2, 1, tuple(SVD.items())),
    "2x2_svd": Arrangement(2, 2, 2, tuple(SVD.items())),
    "2x2_svd_mmse": Arrangement(2, 2, 2, tuple({**SVD, "power": "mmse"}.items())),
    "4x4_svd_2": Arrangement(4, 4, 2, tuple(SVD.items())),
}


@dataclass(frozen=True)
class MimoFlags(cli.Flags):
    """What are antennas worth to a codec at equal channel uses?

    Leaves in --out: rows.h5 (every image), summary.csv, mimo.csv (quality and spectral efficiency of each arrangement
    with 95 % intervals), run.json, and figures as PNG and PDF. Names read receive antennas last: 1x2_mrc has one
    transmit and two receive antennas.
    """

    arrangements: tuple[str, ...] = tuple(ARRANGEMENTS)
    """Arrangements to compare, of those above; the number behind svd is that of layers."""
    metrics: tuple[str, ...] = ("psnr", "lpips_alex")
    """Quality metrics to measure and draw."""


@dataclass(frozen=True)
class Question:
    """One arrangement over one channel: its word and its codecs' rate, channel uses times layers."""

    name: str
    channel: str
    word: str
    rho: float


def main(flags: MimoFlags) -> int:
    """Measure arrangement by arrangement, then draw, print and say where everything is."""
    from semlink.simulator import plots, publish, rows, statistics, sweep

    chosen = questions(flags)
    failed = 0
    for question in chosen:
        failed += publish.failures(sweep.run(sweep_of(flags, question), flags.out, flags.workers))
    found = rows.read(flags.out / "rows.h5")
    lines = relabelled(statistics.summarise(found), chosen)
    efficiency = {(q.name, q.channel, snr): spectral_efficiency(q.word, snr, flags.seed) for q in chosen
                  for snr in flags.snr}  # fmt: skip
    write_csv(lines, efficiency, flags.out / "mimo.csv")
    files = [flags.out / name for name in ("rows.h5", "summary.csv", "mimo.csv", "run.json")]
    for metric in found.asked_metrics():
        files += plots.save(plots.curves(lines, metric, found.variable(metric)), flags.out / f"{metric}_vs_snr")
        print(statistics.table(lines, metric, found.variable(metric).units), end="\n\n")
    print("bits per channel use, mean over fades")
    for (name, channel, snr), value in efficiency.items():
        print(f"  {name:16}{channel:24}{snr:6g} dB  {value.mean:.2f} +-{value.high - value.mean:.2f}")
    print("\n".join(["\nwritten:", *(f"  {path}" for path in files)]))
    return min(failed, 1)


def questions(flags: MimoFlags) -> list[Question]:
    """What is to be measured. SemlinkError for an unknown arrangement."""
    unknown = [name for name in flags.arrangements if name not in ARRANGEMENTS]
    if unknown:
        raise SemlinkError(f"unknown arrangement {unknown[0]!r}; known: {', '.join(ARRANGEMENTS)}")
    named = [(name, ARRANGEMENTS[name]) for name in dict.fromkeys(flags.arrangements)]
    return [
        Question(name, channel, arrangement.word(channel), rho * arrangement.layers)
        for name, arrangement in named for channel in flags.channels for rho in flags.rho
    ]  # fmt: skip


def sweep_of(flags: MimoFlags, question: Question) -> Sweep:
    """The sweep of one question."""
    return replace(cli.sweep_of(flags, flags.metrics), channels=(question.word,), rho=(question.rho,))


def relabelled(lines: Sequence[Line], chosen: Sequence[Question]) -> list[Line]:
    """Lines by arrangement and bare channel, with the rate in channel uses; others are left out."""
    by_word = {(q.word, round(q.rho, 9)): q for q in chosen}
    known = [(line, by_word.get((line.channel, round(line.rho, 9)))) for line in lines]
    return [
        replace(line, codec=f"{line.codec}, {q.name}", channel=q.channel, rho=round(line.rho_total, 4))
        for line, q in known
        if q is not None
    ]


def spectral_efficiency(word: str, snr_db: float, seed: int, images: int = 128) -> Interval:
    """Mean mutual information of Gaussian symbols in bits per channel use, log2(1 + SINR) = -log2(1 - a) summed over
    layers, over one slot of each of `images` fades."""
    import torch

    from semlink.simulator.statistics import mean_interval
    from semlink.simulator.trial import make_link
    from semlink.simulator.values import Stream, Transmission

    link = make_link(parse(word))
    x = torch.randn(images, link.places, dtype=torch.complex64, generator=torch.Generator().manual_seed(seed))
    sent = Transmission((Stream("x", "analog", x / x.abs().square().mean(1, keepdim=True).sqrt()),))
    a = link(sent, snr_db, seed=seed).streams[0].a
    if a is None:
        raise SemlinkError("the link lost the probe")
    bits = -(1 - a.double()).clamp_min(1e-12).log2().mean(1) * link.layers
    return mean_interval(bits.numpy())


def write_csv(lines: Sequence[Line], efficiency: dict[tuple[str, str, float], Interval], path: Path) -> None:
    """Quality and spectral efficiency of each arrangement."""
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            ("arrangement", "channel", "snr_db", "rho_total", "metric", "mean", "ci95_low", "ci95_high", "n")
        )
        for x in lines:
            name = x.codec
            writer.writerow((name, x.channel, x.snr_db, x.rho, x.metric, x.mean, x.ci95_low, x.ci95_high, x.n))
        for (name, channel, snr), v in efficiency.items():
            writer.writerow((name, channel, snr, "", "bits_per_use", v.mean, v.low, v.high, v.n))


if __name__ == "__main__":
    cli.start(
        main,
        MimoFlags(out=Path("results/mimo"), channels=("rayleigh", "tdl"), snr=(0.0, 5.0, 10.0, 15.0), rho=(1 / 12,)),
    )
