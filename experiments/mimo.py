"""What antennas are worth to a codec at equal channel uses: picture quality and spectral efficiency against SNR.

A channel use is a resource element whatever the layers, so an arrangement with L layers carries L times the symbols:
at --rho 1/12 a codec is asked for rho L, and `rho_total` of all rows is the same. All transmit the same power.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from semlink.simulator.analysis import comparison, tables
from semlink.simulator.analysis.comparison import Result
from semlink.simulator.errors import SemlinkError
from semlink.simulator.protocols import Variable
from semlink.simulator.records.rows import Rows
from semlink.simulator.records.sweep import Sweep
from semlink.simulator.study import antennas, checks, cli
from semlink.simulator.study.antennas import Arrangement, arrangement
from semlink.simulator.study.study import Answer, Study, run
from semlink.simulator.words import labels, parse

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HEAD = ("channel", "codec", "rho", "arrangement", "snr_db", "metric", "mean")  # of mimo.csv
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

    def check_names(self) -> None:
        """SemlinkError for metrics that nobody knows, and arrangements of another form."""
        checks.check_metrics(self.metrics)
        arrangements(self)


class Case(NamedTuple):
    """What shares a panel. codec is empty and rho 0 where numbers are the link's own; rho is per channel use."""

    channel: str
    codec: str = ""
    rho: float = 0.0


Compared = Mapping[Case, Sequence[Result]]


def titles(cases: Iterable[Case]) -> dict[Case, str]:
    """What each case is, for people, all different."""
    every = list(cases)
    channels, codecs = labels(case.channel for case in every), labels(case.codec for case in every)
    at = {case: f"rho_total {tables.rate(case.rho)}" if case.rho else "" for case in every}
    return {c: ", ".join(filter(None, (channels[c.channel], codecs[c.codec], at[c]))) for c in every}


def arrangements(flags: MimoFlags) -> tuple[Arrangement, ...]:
    """Those that were asked for, each once."""
    return tuple({str(a): a for a in map(arrangement, flags.arrangements)}.values())


def questions(flags: MimoFlags) -> tuple[Sweep, ...]:
    """A sweep for every number of layers, because the codecs' rates differ."""
    found, asked = arrangements(flags), cli.sweep_of(flags, flags.metrics)
    return tuple(
        replace(
            asked,
            channels=tuple(dict.fromkeys(a.link(c) for c in flags.channels for a in found if a.layers == layers)),
            rho=tuple(dict.fromkeys(rho * layers for rho in flags.rho)),
        )
        for layers in sorted({a.layers for a in found})
    )


def paired(flags: MimoFlags, rows: Rows) -> dict[Case, list[Result]]:
    """Quality under everything that was asked for, with the differences to the first arrangement."""
    found = {}
    for channel, codec, rho in product(flags.channels, (str(parse(codec)) for codec in flags.codecs), flags.rho):
        entries = [comparison.Entry(str(a), codec, a.link(channel), a.layers) for a in arrangements(flags)]
        results = comparison.compare(rows, entries, (entries[0].label,), rows.asked_metrics(), (rho,), flags.snr)
        found[Case(channel, codec, rho)] = comparison.by_entry(results)
    return found


def link_efficiencies(flags: MimoFlags, rows: Rows) -> dict[Case, list[Result]]:
    """Spectral efficiency of every link at every SNR."""
    links = {c: {str(a): a.link(c) for a in arrangements(flags)} for c in flags.channels}
    return {Case(c): antennas.efficiencies(own, c, rows, flags.snr, flags.seed) for c, own in links.items()}


def table(found: Compared, metric: str, variable: Variable) -> str:
    """One metric: an arrangement a line, an SNR a column, the mean and the paired difference to the first line."""
    own = {case: [r for r in results if r.line.metric == metric] for case, results in found.items()}
    said = titles(found)
    blocks = {
        f"{said[case]} over {max(r.value.n for r in results)} images": comparison.by_snr(results, cell)
        for case, results in own.items()
        if results
    }
    head = f"{variable.label}{tables.in_units(variable)}: mean (and difference to the first line +- 95 %, paired)"
    return tables.against_snr(head, blocks, (32, 23))


def cell(result: Result) -> str:
    """Mean and difference."""
    value, more, digits = result.value, result.more, 2 if abs(result.value.mean) >= 1 else 3
    difference = f" ({more.mean:+.{digits}f} +-{more.high - more.mean:.{digits}f})" if more.n else ""
    return f"{value.mean:.{digits}f}{difference}" if value.n else "failed"


def figure(found: Compared, variables: Mapping[str, Variable]) -> Figure:
    """A row of panels per channel, codec and rate, a column per metric, a curve with its 95 % band per arrangement."""
    from semlink.simulator.figures import curves, style

    said = titles(found)

    def panel(case: Case, metric: str) -> curves.Panel:
        own = Case(case.channel) if metric == antennas.EFFICIENCY else case
        results = [r for r in found[own] if r.line.metric == metric]
        variable = variables[metric]
        return curves.panel_of(said[own], results, style.y_label(metric, variable, "\n"), variable=variable)

    return curves.panels([[panel(case, metric) for metric in variables] for case in found if case.codec], (3.7, 3.1))


def answer(flags: MimoFlags, rows: Rows) -> Answer:
    """mimo.csv, a table for each metric, and the figure."""
    found = {**paired(flags, rows), **link_efficiencies(flags, rows)}
    names = dict.fromkeys(r.line.metric for results in found.values() for r in results)
    variables = {metric: antennas.describe(metric) or rows.variable(metric) for metric in names}
    texts = [table(found, metric, variable) for metric, variable in variables.items()]
    return Answer(
        texts, {"mimo.csv": comparison.case_columns(HEAD, found, "first")}, [("mimo", figure(found, variables))]
    )


def check(flags: MimoFlags) -> None:
    """SemlinkError for what can be seen to be wrong before anything is measured: every link is made once."""
    from semlink.simulator.plugins import make_link

    if not flags.arrangements:
        raise SemlinkError("--arrangements needs at least one value")
    flags.check_names()
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
    check(flags)
    study = Study(questions(flags), partial(answer, flags), flags=flags, more={"links": links_of(flags)})
    return run(study, flags.out, cli.where(flags))


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
