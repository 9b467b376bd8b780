"""Power-allocation rules side by side: the importance-weighted error of symbols that went over the real link.

Unit-power Gaussian symbols are sent as they are, no codec: the question is the link's alone. The error of an image is
sum w |x - x_hat|^2 / sum w with x_hat the estimate that the receiver hands out; its CSI is perfect unless a channel
says otherwise, so errors are scored with the true channel. All rules meet the same symbols, fades and noise.
"""

from __future__ import annotations

import csv
import math
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from semlink.channels.base.grid import Grid
from semlink.simulator.analysis.statistics import NOTHING, Interval, mean_interval, paired_difference
from semlink.simulator.errors import SemlinkError
from semlink.simulator.records.sweep import Sweep
from semlink.simulator.study import cli
from semlink.simulator.words import Setting, Word, parse, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from torch import Tensor

    from semlink.simulator.protocols import Variable
    from semlink.simulator.records.rows import Measurement
    from semlink.simulator.sweep.trial import Parts
    from semlink.simulator.values import Reception, Transmission, TxInfo

METRIC = "weighted_mse"
BEST = "semantic_waterfilling"  # the rule that the others are compared with
KNOWLEDGE = {"perfect": {}, "delayed": {"slots": "csit_delay"}, "quantised": {"bits": "csit_bits"}}
PROFILES = {"lognormal": {"db": 4.0}, "roi": {"share": 0.2, "weight": 10.0}}


@dataclass(frozen=True)
class PowerFlags:
    """Which power-allocation rule keeps the important symbols best, and what is left of it with old or coarse CSI?

    Leaves in --out: rows.h5 (every image), summary.csv, power.csv (each rule's weighted error, and the paired
    difference to semantic_waterfilling with 95 % intervals), run.json, and figures of both as PNG and PDF.
    """

    out: Path = Path("results/power")
    """Folder for the results. A run continues what the folder already holds."""
    channels: tuple[str, ...] = (
        "rayleigh:coherence=symbol",
        "rician:coherence=symbol",
        "tdl:delay_spread=3e-7,model=C",
        "cdl:delay_spread=3e-7,model=C",
    )
    """Channels, each a name or name:setting=value,...; csi is perfect unless given."""
    rules: tuple[str, ...] = ("uniform", "waterfilling", "mmse", "importance", BEST)
    """Power-allocation rules to compare."""
    csit: tuple[str, ...] = ("perfect", "delayed:slots=2", "delayed:slots=8", "quantised:bits=3")
    """What the transmitter knows of the channel: perfect, delayed:slots=N, quantised:bits=N."""
    profile: str = "lognormal:db=4"
    """Importance of the symbols, known to both ends: lognormal:db=SPREAD (standard deviation), or
    roi:share=S,weight=W, where a share S of the symbols weighs W times as much."""
    snr: tuple[float, ...] = (0.0, 5.0, 10.0, 15.0, 20.0)
    """Es/N0 in dB per complex symbol at the receiver, averaged over fading."""
    limit: int = 128
    """Images, each with a fade of its own."""
    slots: int = 2
    """OFDM slots that the symbols of an image fill."""
    seed: int = 0
    """Seed of symbols, fades and noise."""
    workers: int = 1
    """Processes that share the work; the rows do not depend on it."""


@dataclass(frozen=True)
class Symbols:
    """The data set: unit-power Gaussian symbols, each image as real numbers `[3, 1, 2 k / 3]` for k complex ones."""

    count: int
    k: int
    seed: int

    @property
    def ids(self) -> list[str]:
        return [f"symbols {i}" for i in range(self.count)]

    def sizes(self) -> list[tuple[int, int]]:
        return [(1, 2 * self.k // 3)] * self.count

    def batch(self, indices: Sequence[int]) -> Tensor:
        import torch

        from semlink.channels.base.fade import complex_normal
        from semlink.simulator.rng import generator

        x = torch.stack(
            [torch.from_numpy(complex_normal(generator("symbols", self.seed, i), (self.k,))) for i in indices]
        )
        return as_picture(x / x.abs().square().mean(1, keepdim=True).sqrt())


@dataclass(frozen=True)
class Uncoded:
    """The codec that does nothing, with an importance that both ends know."""

    profile: str
    encodes_on: str = "nothing"

    def uses(self, height: int, width: int) -> int:
        return 3 * height * width // 2

    def encode(self, images: Tensor, tx: TxInfo | None = None) -> Transmission:
        from semlink.simulator.values import Stream, Transmission

        x = as_symbols(images)
        w = weights(self.profile, x.shape[1]).expand(len(x), -1)
        return Transmission((Stream("symbols", "analog", x, importance=w, importance_known=True),))

    def decode(self, reception: Reception) -> Tensor:
        return as_picture(cast("Tensor", reception.stream("symbols").x_hat))


def as_picture(x: Tensor) -> Tensor:
    """Complex `[n, k]` to real `[n, 3, 1, 2 k / 3]`."""
    import torch

    return torch.view_as_real(x).reshape(len(x), 3, 1, -1)


def as_symbols(pictures: Tensor) -> Tensor:
    """`as_picture` undone."""
    import torch

    return torch.view_as_complex(pictures.reshape(len(pictures), -1, 2))


def weights(profile: str, k: int) -> Tensor:
    """Importance float32 `[k]` of a profile; SemlinkError for an unknown one."""
    import torch

    from semlink.simulator.rng import generator

    word = parse(profile)
    settings = read_settings("profile", word, PROFILES)
    rng = generator("importance", word.name, k)
    if word.name == "lognormal":
        values = 10 ** (settings["db"] / 10 * rng.standard_normal(k))
    else:
        inside = rng.permutation(k) < round(settings["share"] * k)
        values = 1 + (settings["weight"] - 1) * inside
    return torch.from_numpy(values).float()


def measure(profile: str, names: Sequence[str], original: Tensor, received: Tensor) -> Mapping[str, Tensor]:
    """sum w |x - x_hat|^2 / sum w of each image, float64 `[n]`."""
    error = (as_symbols(original) - as_symbols(received)).abs().double().square()
    w = weights(profile, error.shape[1]).double()
    return {METRIC: error @ w / w.sum()}


def describe(name: str) -> Variable:
    """The only metric there is."""
    from semlink.simulator.protocols import Variable

    return Variable("1", "importance-weighted error of a symbol of unit power", "lower")


def read_settings(kind: str, word: Word, known: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """A word's settings over the defaults of its name; SemlinkError for an unknown name or setting."""
    if word.name not in known:
        raise SemlinkError(f"unknown {kind} {word.name!r}; known: {', '.join(known)}")
    given = dict(word.settings)
    for name, value in given.items():
        if name not in known[word.name] or isinstance(value, str) or not value or value < 0:
            raise SemlinkError(f"--{kind} {word}: give {word.name} positive numbers for {', '.join(known[word.name])}")
    return {**known[word.name], **given}


def link_word(channel: str, csit: str, rule: str) -> str:
    """The channel word that makes the link: a rule that needs no channel has the same link whatever `csit`."""
    from semlink.simulator import power

    word = parse(channel)
    settings: dict[str, Setting] = {"csi": "perfect", **dict(word.settings), "power": rule}
    if power.create(rule).needs_channel:
        known = parse(csit)
        settings |= {"csit": known.name}
        settings |= {KNOWLEDGE[known.name][name]: value for name, value in known.settings}
    return str(replace(word, settings=tuple(sorted(settings.items()))))


def question(flags: PowerFlags) -> Sweep:
    """Every rule under every condition, as a sweep."""
    links = [link_word(c, k, r) for c in flags.channels for k in flags.csit for r in rules(flags)]
    data = f"{flags.slots} slots of Gaussian symbols; importance {parse(flags.profile)}"
    settings = (tuple(dict.fromkeys(flags.snr)), (0.5,), (METRIC,))
    return Sweep(("uncoded",), tuple(dict.fromkeys(links)), *settings, data, flags.limit, flags.seed)


def rules(flags: PowerFlags) -> tuple[str, ...]:
    """The rules that were asked for and the one that they are compared with."""
    return tuple(dict.fromkeys((*flags.rules, BEST)))


def parts(flags: PowerFlags) -> Parts:
    """What this experiment puts in place of pictures, codec and metrics."""
    from semlink.simulator.sweep.trial import Parts

    return Parts(
        dataset=partial(make_symbols, flags.slots * Grid().data_symbols, flags.seed),
        codec=partial(make_codec, flags.profile),
        measure=partial(measure, flags.profile),
        describe=describe,
    )


def make_symbols(k: int, seed: int, data: str, limit: int | None) -> Symbols:
    return Symbols(limit or 0, k, seed)


def make_codec(profile: str, word: Word, rho: float) -> Any:
    return Uncoded(profile)


@dataclass(frozen=True)
class Result:
    """A rule under a condition: its weighted error, and the paired difference to that of `BEST`."""

    channel: str
    csit: str
    rule: str
    snr_db: float
    error: Interval
    more: Interval


def compare(flags: PowerFlags, measurements: Iterable[Measurement]) -> list[Result]:
    """All results that were asked for; those that failed are empty intervals."""
    found = {(m.condition.channel, m.condition.snr_db): m for m in measurements if METRIC in m.values and not m.error}
    return [
        _result(channel, csit, rule, snr, found)
        for channel in flags.channels
        for csit in flags.csit
        for rule in rules(flags)
        for snr in sorted(set(flags.snr))
    ]


def _result(channel: str, csit: str, rule: str, snr: float, found: Mapping[tuple[str, float], Measurement]) -> Result:
    own, best = (found.get((link_word(channel, csit, name), snr)) for name in (rule, BEST))
    error = mean_interval(own.values[METRIC]) if own else NOTHING
    more = paired_difference(own, best, METRIC) if own and best and own is not best else NOTHING
    return Result(channel, csit, rule, snr, error, more)


def table(results: Sequence[Result]) -> str:
    """Weighted error in dB, and by how many percent it is above the best rule's, +- half of the 95 % interval."""
    snrs = sorted({r.snr_db for r in results})
    lines = ["weighted error in dB (and percent above semantic_waterfilling, +- 95 %, paired)"]
    for panel in dict.fromkeys((r.channel, r.csit) for r in results):
        lines += [
            "",
            f"{short(panel[0])}, CSIT {panel[1]}",
            f"{'':24}" + "".join(f"{f'{snr:g} dB':>25}" for snr in snrs),
        ]
        own = [r for r in results if (r.channel, r.csit) == panel]
        best = {r.snr_db: r.error.mean for r in own if r.rule == BEST}
        for rule in dict.fromkeys(r.rule for r in own):
            lines.append(f"  {rule:22}" + "".join(f"{_cell(r, best[r.snr_db]):>25}" for r in own if r.rule == rule))
    return "\n".join(lines)


def _cell(result: Result, best: float) -> str:
    if not result.error.n:
        return "failed"
    more, half = 100 * result.more.mean / best, 100 * (result.more.high - result.more.mean) / best
    return f"{decibels(result.error.mean):.2f}" + (f" ({more:+.1f} +-{half:.1f} %)" if result.more.n else "")


def decibels(value: float) -> float:
    return 10 * math.log10(value) if value > 0 else math.nan


def write_csv(results: Sequence[Result], path: Path) -> None:
    """power.csv: linear weighted errors and differences with the ends of their intervals."""
    from semlink.simulator.files import write_aside

    columns = ("channel", "csit", "rule", "snr_db", METRIC, "ci95_low", "ci95_high")
    more = ("more_than_best", "more_ci95_low", "more_ci95_high", "n")

    def write(aside: Path) -> None:
        with open(aside, "w", newline="") as handle:
            writer = csv.writer(handle, lineterminator="\n")
            writer.writerow((*columns, *more))
            for r in results:
                numbers = (r.error.mean, r.error.low, r.error.high, r.more.mean, r.more.low, r.more.high)
                writer.writerow((r.channel, r.csit, r.rule, r.snr_db, *(f"{v:.7g}" for v in numbers), r.error.n))

    write_aside(path, write)


def draw(results: Sequence[Result], differences: bool) -> Figure:
    """A row of panels per channel, a column per kind of CSIT, a curve with its 95 % band per rule, against SNR.

    The weighted error in dB, or by how many percent it is above the best rule's (paired, hence narrow bands).
    """
    from matplotlib.figure import Figure

    channels, knowledge = (list(dict.fromkeys(getattr(r, name) for r in results)) for name in ("channel", "csit"))
    size = (1.2 + 2.7 * len(knowledge), 1.3 + 2.4 * len(channels))
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(len(channels), len(knowledge), sharex=True, sharey="row", squeeze=False)
    for row, channel in zip(grid, channels, strict=True):
        for axes, csit in zip(row, knowledge, strict=True):
            _panel(axes, [r for r in results if (r.channel, r.csit) == (channel, csit)], differences)
            axes.set_title(f"{short(channel).replace(',', ', ')}\nCSIT {csit}", fontsize=8)
    for axes in grid[-1]:
        axes.set_xlabel("SNR Es/N0 (dB)", fontsize=9)
    what = f"error above {BEST}'s (%)" if differences else "error (dB)"
    figure.supylabel(f"importance-weighted {what}, lower is better", fontsize=10)
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(5, len(labels)), frameon=False, fontsize=9)
    return figure


def _panel(axes: Axes, results: Sequence[Result], differences: bool) -> None:
    from semlink.simulator.figures.curves import COLOURS, MARKERS

    best = {r.snr_db: r.error.mean for r in results if r.rule == BEST}
    for place, rule in enumerate(dict.fromkeys(r.rule for r in results)):
        points = [r for r in results if r.rule == rule]
        at, colour = [r.snr_db for r in points], COLOURS[place]
        low, mean, high = zip(*(_ends(r, best[r.snr_db], differences) for r in points), strict=True)
        axes.plot(at, mean, color=colour, marker=MARKERS[place], markersize=4, linewidth=1.4, label=rule)
        axes.fill_between(at, low, high, color=colour, alpha=0.15, linewidth=0)
    axes.set_xticks(sorted(best))
    axes.grid(True, color="0.9", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)


def _ends(result: Result, best: float, differences: bool) -> tuple[float, float, float]:
    """Lower end, mean and upper end of what is drawn; the best rule differs from itself by 0."""
    if not differences:
        return decibels(result.error.low), decibels(result.error.mean), decibels(result.error.high)
    if result.rule == BEST and result.error.n:
        return 0.0, 0.0, 0.0
    return 100 * result.more.low / best, 100 * result.more.mean / best, 100 * result.more.high / best


def check(flags: PowerFlags) -> None:
    """SemlinkError for what can be seen to be wrong before anything is measured."""
    from semlink import channels
    from semlink.simulator import power

    cli.check_words("channel", flags.channels, channels.names())
    cli.check_words("power rule", flags.rules, power.names())
    for csit in flags.csit:
        read_settings("csit", parse(csit), KNOWLEDGE)
    read_settings("profile", parse(flags.profile), PROFILES)
    for name in ("channels", "csit", "snr", "limit", "slots", "workers"):
        if not getattr(flags, name):
            raise SemlinkError(f"--{name} needs a value")


def main(flags: PowerFlags) -> int:
    """Measure, compare, draw and say where everything is."""
    from semlink.simulator.figures import curves
    from semlink.simulator.study import closing
    from semlink.simulator.sweep import runner

    check(flags)
    outcome = runner.run(question(flags), flags.out, flags.workers, parts(flags))
    shutil.rmtree(flags.out / "pictures", ignore_errors=True)  # the sweep keeps noise as if it were photographs
    results = compare(flags, outcome.rows.measurements)
    write_csv(results, flags.out / "power.csv")
    files = [flags.out / name for name in ("rows.h5", "summary.csv", "power.csv", "run.json")]
    files += curves.save(draw(results, differences=False), flags.out / "weighted_error_vs_snr")
    files += curves.save(draw(results, differences=True), flags.out / "above_best_vs_snr")
    print(table(results), end="\n\n")
    print("\n".join(["written:", *(f"  {path}" for path in files)]))
    return closing.failures(outcome)


if __name__ == "__main__":
    cli.start(main, PowerFlags())
