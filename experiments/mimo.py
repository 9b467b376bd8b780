"""What antennas are worth to a codec at equal channel uses: picture quality and spectral efficiency against SNR.

A channel use is a resource element whatever the layers, so an arrangement with L layers carries L times the symbols:
at --rho 1/12 a codec is asked for rho L, and `rho_total` of all rows is the same. All transmit the same power.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semlink.simulator.analysis.statistics import NOTHING, Interval, mean_interval, paired_difference
from semlink.simulator.errors import SemlinkError
from semlink.simulator.records.sweep import Sweep
from semlink.simulator.study import cli
from semlink.simulator.words import Setting, Word, parse, short

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from semlink.simulator.protocols import Variable
    from semlink.simulator.records.rows import Measurement, Rows

EFFICIENCY = "bits_per_use"
PROBE_SLOTS = 4  # at most, that an image's spectral efficiency is measured on
CSI = "lmmse"  # of every arrangement unless a channel says otherwise: LS serves none that needs feedback
ANTENNAS = ("rx_antennas", "tx_antennas", "layers", "precoding")


@dataclass(frozen=True)
class MimoFlags(cli.Flags):
    """What are more antennas worth to a codec that may not use more of the channel?

    Sends pictures over every arrangement of antennas at equal channel uses and equal power. Leaves in --out: rows.h5
    (every image), summary.csv, mimo.csv (means, and paired differences to the first arrangement, with 95 % intervals),
    run.json, and a figure as PNG and PDF: quality and the link's spectral efficiency against SNR.
    """

    arrangements: tuple[str, ...] = (
        "1x1",
        "1x2",
        "2x2",
        "2x2:precoding=svd",
        "2x2:power=waterfilling,precoding=svd",
        "2x2:power=mmse,precoding=svd",
        "4x4:layers=2,precoding=svd",
    )
    """Transmit x receive antennas and settings of the link: 4x2:layers=2,precoding=svd,csit=delayed. Without layers,
    as many as there can be; csit is perfect where it is needed; csi is lmmse unless the channel says otherwise."""
    metrics: tuple[str, ...] = ("psnr", "lpips_alex")
    """Quality metrics to measure and draw."""


@dataclass(frozen=True)
class Arrangement:
    """Antennas at both ends, layers, and the other settings of the link, csi not among them."""

    tx: int
    rx: int
    layers: int
    settings: Mapping[str, Setting]

    def __str__(self) -> str:
        """A label: 2x2 SVD, 2 layers, waterfilling."""
        shown = {key: value for key, value in self.settings.items() if (key, value) != ("csit", "perfect")}
        svd = " SVD" if shown.pop("precoding", "none") == "svd" else ""
        power = [str(shown.pop("power"))] if "power" in shown else []
        layers = [f"{self.layers} layers"] if self.layers > 1 else []
        return ", ".join([f"{self.tx}x{self.rx}{svd}", *layers, *power, *(f"{k} {v}" for k, v in shown.items())])

    def link(self, channel: str) -> str:
        """The channel word that makes the link; a single antenna at each end is no setting."""
        word = parse(channel)
        antennas: dict[str, Setting] = {"tx_antennas": self.tx, "rx_antennas": self.rx, "layers": self.layers}
        more = {key: value for key, value in antennas.items() if value != 1}
        settings = {"csi": CSI, **dict(word.settings), **self.settings, **more}
        return str(Word(word.name, tuple(sorted(settings.items())), word.added))


def arrangement(text: str) -> Arrangement:
    """Of a word such as `4x2:layers=2,precoding=svd`. SemlinkError when it has another form."""
    from semlink.simulator import power

    word = parse(text)
    found = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", word.name)
    settings = dict(word.settings)
    if not found or word.added or {"rx_antennas", "tx_antennas", "csi"} & settings.keys():
        raise SemlinkError(f"--arrangements {text!r}: write transmit x receive antennas, as in 4x2:precoding=svd")
    tx, rx = (int(number) for number in found.groups())
    svd = settings.get("precoding") == "svd"
    layers = settings.pop("layers", min(tx, rx) if svd else tx)
    if not isinstance(layers, int):
        raise SemlinkError(f"--arrangements {text!r}: layers must be a whole number")
    if svd or power.create(str(settings.get("power", "uniform"))).needs_channel:
        settings.setdefault("csit", "perfect")
    return Arrangement(tx, rx, layers, settings)


def arrangements(flags: MimoFlags) -> tuple[Arrangement, ...]:
    """Those that were asked for, each once."""
    return tuple({str(a): a for a in map(arrangement, flags.arrangements)}.values())


def questions(flags: MimoFlags) -> tuple[Sweep, ...]:
    """A sweep for every number of layers, because the codecs' rates differ."""
    found = arrangements(flags)
    return tuple(
        Sweep(
            codecs=tuple(dict.fromkeys(flags.codecs)),
            channels=tuple(dict.fromkeys(a.link(c) for c in flags.channels for a in found if a.layers == layers)),
            snr_db=tuple(dict.fromkeys(flags.snr)),
            rho=tuple(dict.fromkeys(rho * layers for rho in flags.rho)),
            metrics=tuple(dict.fromkeys(flags.metrics)),
            data=flags.data,
            limit=flags.limit,
            seed=flags.seed,
        )
        for layers in sorted({a.layers for a in found})
    )


@dataclass(frozen=True)
class Result:
    """A number under a condition, and the paired difference to the first arrangement (nothing for that itself).

    codec is empty and rho 0 where the number is the link's own; rho is per channel use, as asked.
    """

    channel: str
    codec: str
    rho: float
    arrangement: str
    snr_db: float
    metric: str
    value: Interval
    more: Interval


def compare(flags: MimoFlags, rows: Rows) -> list[Result]:
    """Quality under everything that was asked for; what failed is an empty interval."""
    found = {
        (m.condition.codec, m.condition.channel, m.condition.rho, m.condition.snr_db): m for m in rows.measurements
    }
    first, *_ = arrangements(flags)
    results = []
    for channel, codec, rho, a, snr, metric in cases(flags, rows.asked_metrics()):
        own, base = (_measured(found.get((codec, x.link(channel), rho * x.layers, snr)), metric) for x in (a, first))
        value = mean_interval(own.values[metric]) if own else NOTHING
        more = paired_difference(own, base, metric) if own and base and own is not base else NOTHING
        results.append(Result(channel, codec, rho, str(a), snr, metric, value, more))
    return results


def cases(flags: MimoFlags, metrics: Sequence[str]) -> Iterable[tuple[str, str, float, Arrangement, float, str]]:
    """Channel, codec, rho, arrangement, SNR and metric of every result."""
    return (
        (channel, str(parse(codec)), rho, a, snr, metric)
        for channel in dict.fromkeys(flags.channels)
        for codec in dict.fromkeys(flags.codecs)
        for rho in dict.fromkeys(flags.rho)
        for a in arrangements(flags)
        for snr in sorted(set(flags.snr))
        for metric in metrics
    )


def _measured(measurement: Measurement | None, metric: str) -> Measurement | None:
    """The measurement, unless it failed or does not have the metric."""
    return measurement if measurement and not measurement.error and metric in measurement.values else None


def efficiencies(flags: MimoFlags, rows: Rows) -> list[Result]:
    """Spectral efficiency of every link at every SNR, on as many images and of as many uses as the pictures have."""
    images = max((len(m.images) for m in rows.measurements), default=0)
    uses = max((int(m.values["uses_main"].max()) for m in rows.measurements if "uses_main" in m.values), default=0)
    if not uses:
        return []
    results = []
    for channel in dict.fromkeys(flags.channels):
        base: dict[float, np.ndarray] = {}
        for a in arrangements(flags):
            measured = efficiency(a.link(channel), sorted(set(flags.snr)), images, uses, flags.seed)
            base = base or measured
            for snr, own in measured.items():
                more = NOTHING if own is base[snr] else mean_interval(own - base[snr])
                results.append(Result(channel, "", 0.0, str(a), snr, EFFICIENCY, mean_interval(own), more))
    return results


def efficiency(word: str, snrs: Sequence[float], images: int, uses: int, seed: int) -> dict[float, np.ndarray]:
    """log2(1 + SINR) summed over layers, mean over the uses of each image, float64 `[images]` by SNR.

    Bits per channel use of Gaussian codewords, imperfect CSI included, pilots not. QPSK symbols without codec are
    sent, over fades of the same seed as the pictures'.
    """
    from semlink.simulator.link.layout import filler
    from semlink.simulator.plugins import make_link
    from semlink.simulator.values import Stream, Transmission

    link = make_link(parse(word))
    symbols = link.layers * min(uses, PROBE_SLOTS * link.grid.data_symbols)
    sent = Transmission((Stream("probe", "analog", filler(symbols).repeat(images, 1)),))
    found = {snr: link(sent, snr, seed).streams[0].a for snr in snrs}
    return {snr: -link.layers * (1 - a.double()).log2().mean(1).numpy() for snr, a in found.items() if a is not None}


def describe(metric: str, rows: Rows) -> Variable:
    """Unit, label and direction of a metric or the spectral efficiency."""
    from semlink.simulator.protocols import Variable

    own = Variable("bit/use", "spectral efficiency", "higher")
    return own if metric == EFFICIENCY else rows.variable(metric)


def table(results: Sequence[Result], variable: Variable) -> str:
    """One metric: an arrangement a line, an SNR a column, the mean and the paired difference to the first line."""
    snrs = sorted({r.snr_db for r in results})
    units = f" ({variable.units})" if variable.units not in ("", "1") else ""
    lines = [f"{variable.label}{units}: mean (and difference to the first line +- 95 %, paired)"]
    for panel in dict.fromkeys(map(group, results)):
        own = [r for r in results if group(r) == panel]
        lines += [
            "",
            " ".join(filter(None, (title(panel), f"over {max(r.value.n for r in own)} images"))),
            f"{'':34}" + "".join(f"{f'{snr:g} dB':>23}" for snr in snrs),
        ]
        for name in dict.fromkeys(r.arrangement for r in own):
            lines.append(f"  {name:32}" + "".join(f"{_cell(r):>23}" for r in own if r.arrangement == name))
    return "\n".join(lines)


def group(result: Result) -> tuple[str, str, float]:
    """What shares a panel."""
    return result.channel, result.codec, result.rho


def title(panel: tuple[str, str, float]) -> str:
    """Of a panel; a rate as 1/12."""
    channel, codec, rho = panel
    rate = f"rho_total 1/{1 / rho:.3g}" if rho else ""
    return ", ".join(filter(None, (short(channel), short(codec), rate)))


def _cell(result: Result) -> str:
    if not result.value.n:
        return "failed"
    digits = 2 if abs(result.value.mean) >= 1 else 3
    half = result.more.high - result.more.mean
    more = f" ({result.more.mean:+.{digits}f} +-{half:.{digits}f})" if result.more.n else ""
    return f"{result.value.mean:.{digits}f}{more}"


def write_csv(results: Sequence[Result], path: Path) -> None:
    """mimo.csv: every result with the ends of its intervals; no codec and rho 0 for the link's spectral efficiency."""
    from semlink.simulator.files import write_aside

    columns = ("channel", "codec", "rho", "arrangement", "snr_db", "metric", "mean", "ci95_low", "ci95_high")
    more = ("more_than_first", "more_ci95_low", "more_ci95_high", "n")

    def write(aside: Path) -> None:
        with open(aside, "w", newline="") as handle:
            writer = csv.writer(handle, lineterminator="\n")
            writer.writerow((*columns, *more))
            for r in results:
                numbers = (r.value.mean, r.value.low, r.value.high, r.more.mean, r.more.low, r.more.high)
                place = (r.channel, r.codec, f"{r.rho:.7g}", r.arrangement, r.snr_db, r.metric)
                writer.writerow((*place, *(f"{v:.7g}" for v in numbers), r.value.n))

    write_aside(path, write)


def draw(results: Sequence[Result], variables: Mapping[str, Variable]) -> Figure:
    """A row of panels per channel, codec and rate, a column per metric, a curve with its 95 % band per arrangement."""
    from matplotlib.figure import Figure

    rows = list(dict.fromkeys(group(r) for r in results if r.codec))
    names = list(dict.fromkeys(r.arrangement for r in results))
    figure = Figure(figsize=(0.6 + 3.7 * len(variables), 0.9 + 3.1 * len(rows)), layout="constrained")
    grid = figure.subplots(len(rows), len(variables), sharex=True, squeeze=False)
    for line, panel in zip(grid, rows, strict=True):
        for axes, (metric, variable) in zip(line, variables.items(), strict=True):
            own = panel if metric != EFFICIENCY else (panel[0], "", 0.0)
            _panel(axes, [r for r in results if r.metric == metric and group(r) == own], names)
            axes.set_ylabel(_y_label(variable), fontsize=9)
            axes.set_title(title(own), fontsize=9)
    for axes in grid[-1]:
        axes.set_xlabel("SNR Es/N0 (dB)", fontsize=9)
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    return figure


def _panel(axes: Axes, results: Sequence[Result], names: Sequence[str]) -> None:
    from semlink.simulator.figures.curves import COLOURS, MARKERS

    for place, name in enumerate(names):
        points = [r for r in results if r.arrangement == name]
        at, colour = [r.snr_db for r in points], COLOURS[place % len(COLOURS)]
        marker = MARKERS[place % len(MARKERS)]
        axes.plot(at, [r.value.mean for r in points], color=colour, marker=marker, markersize=4, lw=1.4, label=name)
        axes.fill_between(
            at, [r.value.low for r in points], [r.value.high for r in points], color=colour, alpha=0.12, linewidth=0
        )
    axes.set_xticks(sorted({r.snr_db for r in results}))
    axes.grid(True, color="0.9", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)


def _y_label(variable: Variable) -> str:
    units = f" ({variable.units})" if variable.units not in ("", "1") else ""
    return f"{variable.label}{units}\n{variable.better} is better"


def check(flags: MimoFlags) -> None:
    """SemlinkError for what can be seen to be wrong before anything is measured: every link is made once."""
    from semlink.simulator import metrics
    from semlink.simulator.plugins import make_link

    if not flags.arrangements:
        raise SemlinkError("--arrangements needs at least one value")
    for name in flags.metrics:
        metrics.describe(name)  # refuses an unknown one
    for channel in flags.channels:
        given = [key for key in ANTENNAS if key in dict(parse(channel).settings)]
        if given:
            raise SemlinkError(f"--channels {channel}: give {', '.join(given)} with --arrangements")
        for a in arrangements(flags):
            make_link(parse(a.link(channel)))


def links_of(flags: MimoFlags) -> dict[str, Any]:
    """What the arrangements mean: layers, and the link over each channel."""
    return {str(a): {"layers": a.layers, **{c: a.link(c) for c in flags.channels}} for a in arrangements(flags)}


def main(flags: MimoFlags) -> int:
    """Measure, compare, draw and say where everything is."""
    import time

    from semlink.simulator.figures import curves
    from semlink.simulator.study import closing
    from semlink.simulator.sweep import runner

    check(flags)
    started = time.monotonic()
    outcomes = [runner.run(question, flags.out, flags.workers) for question in questions(flags)]
    rows = outcomes[-1].rows
    results = compare(flags, rows) + efficiencies(flags, rows)
    failures = {str(condition): error for o in outcomes for condition, error in o.failures.items()}
    seconds = round(time.monotonic() - started, 3)
    closing.whole_run(flags.out, asdict(flags), seconds, failures, {"links": links_of(flags)})
    write_csv(results, flags.out / "mimo.csv")
    variables = {metric: describe(metric, rows) for metric in dict.fromkeys(r.metric for r in results)}
    files = [flags.out / name for name in ("rows.h5", "summary.csv", "mimo.csv", "run.json")]
    files += curves.save(draw(results, variables), flags.out / "mimo")
    for metric, variable in variables.items():
        print(table([r for r in results if r.metric == metric], variable), end="\n\n")
    print("\n".join(["written:", *(f"  {path}" for path in files)]))
    return max(closing.failures(outcome) for outcome in outcomes)


if __name__ == "__main__":
    cli.start(
        main,
        MimoFlags(
            out=Path("results/mimo"),
            codecs=("adjscc",),
            channels=("tdl",),
            snr=(0.0, 5.0, 10.0, 15.0, 20.0),
            rho=(1 / 12,),
        ),
    )
