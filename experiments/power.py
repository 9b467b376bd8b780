"""Power-allocation rules side by side: the importance-weighted error of symbols that went over the real link.

Unit-power Gaussian symbols are sent as they are, no codec: the question is the link's alone. The error of an image is
sum w |x - x_hat|^2 / sum w with x_hat the estimate that the receiver hands out; its CSI is perfect unless a channel
says otherwise, so errors are scored with the true channel. All rules meet the same symbols, fades and noise.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from semlink.simulator.analysis import comparison, tables
from semlink.simulator.analysis.comparison import Result
from semlink.simulator.analysis.statistics import Interval
from semlink.simulator.errors import SemlinkError
from semlink.simulator.records.rows import Rows
from semlink.simulator.records.sweep import Sweep
from semlink.simulator.study import checks, cli
from semlink.simulator.study.links import KNOWLEDGE, link_word, power_settings, read_settings
from semlink.simulator.study.study import Answer, Study, run
from semlink.simulator.study.symbols import METRIC, PROFILES, parts
from semlink.simulator.words import labels, parse

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HEAD = ("channel", "csit", "rule", "snr_db", METRIC)  # of power.csv
BEST = "semantic_waterfilling"  # the rule that the others are compared with


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


Compared = Mapping[tuple[str, str], Sequence[Result]]  # by channel and CSIT


def link_of(channel: str, csit: str, rule: str) -> str:
    """The channel word that makes the link: a rule that needs no channel has the same link whatever `csit`."""
    return link_word(channel, "perfect", power_settings(rule, csit))


def question(flags: PowerFlags) -> Sweep:
    """Every rule under every condition, as a sweep."""
    links = [link_of(c, k, r) for c in flags.channels for k in flags.csit for r in rules(flags)]
    data = f"{flags.slots} slots of Gaussian symbols; importance {parse(flags.profile)}"
    settings = (tuple(dict.fromkeys(flags.snr)), (0.5,), (METRIC,))
    return Sweep(("uncoded",), tuple(dict.fromkeys(links)), *settings, data, flags.limit, flags.seed)


def rules(flags: PowerFlags) -> tuple[str, ...]:
    """The rules that were asked for and the one that they are compared with."""
    return tuple(dict.fromkeys((*flags.rules, BEST)))


def paired(flags: PowerFlags, rows: Rows) -> dict[tuple[str, str], list[Result]]:
    """The weighted error of each rule, and its difference to that of `BEST`; those that failed are empty intervals."""
    found = {}
    for channel, csit in product(flags.channels, flags.csit):
        entries = [comparison.Entry(rule, "uncoded", link_of(channel, csit, rule)) for rule in rules(flags)]
        results = comparison.compare(rows, entries, (BEST,), (METRIC,), (0.5,), flags.snr)
        found[channel, csit] = comparison.by_entry(results)
    return found


def table(found: Compared) -> str:
    """Weighted error in dB, and by how many percent it is above the best rule's, +- half of the 95 % interval."""
    head = "weighted error in dB (and percent above semantic_waterfilling, +- 95 %, paired)"
    titles = labels(channel for channel, _ in found)
    blocks = {
        f"{titles[channel]}, CSIT {csit}": comparison.by_snr(results, partial(cell, results))
        for (channel, csit), results in found.items()
    }
    return tables.against_snr(head, blocks, (22, 25))


def cell(results: Sequence[Result], result: Result) -> str:
    """Error and excess of one of the rules."""
    above = excess(results, result)
    more = f" ({above.mean:+.1f} +-{above.high - above.mean:.1f} %)" if result.more.n else ""
    return f"{in_decibels(result).mean:.2f}{more}" if result.value.n else "failed"


def in_decibels(result: Result) -> Interval:
    """The weighted error."""
    return result.value.each(lambda error: 10 * math.log10(error) if error > 0 else math.nan)


def excess(results: Sequence[Result], result: Result) -> Interval:
    """How many percent of the best rule's error it has more; 0 for that itself."""
    best = next(r.value for r in results if (r.label, r.line.snr_db) == (BEST, result.line.snr_db))
    if result.label == BEST:
        return result.value.each(lambda _: 0.0 if best.n else math.nan)
    return result.more.each(lambda more: 100 * more / best.mean)


def figure(found: Compared, above: bool) -> Figure:
    """A row of panels per channel, a column per kind of CSIT, a curve with its 95 % band per rule, against SNR.

    The weighted error in dB, or by how many percent it is above the best rule's (paired, hence narrow bands).
    """
    from semlink.simulator.figures import curves

    grid: dict[str, list[curves.Panel]] = {}
    titles = labels(channel for channel, _ in found)
    for (channel, csit), results in found.items():
        title, of = f"{titles[channel].replace(',', ', ')}\nCSIT {csit}", partial(excess, results)
        grid.setdefault(channel, []).append(curves.panel_of(title, results, of=of if above else in_decibels))
    what = f"error above {BEST}'s (%)" if above else "error (dB)"
    return curves.panels(list(grid.values()), (2.7, 2.4), f"importance-weighted {what}, lower is better")


def answer(flags: PowerFlags, rows: Rows) -> Answer:
    """power.csv, a table, and figures of errors and excesses."""
    shutil.rmtree(flags.out / "pictures", ignore_errors=True)  # the sweep keeps noise as if it were photographs
    found = paired(flags, rows)
    drawn = {"weighted_error_vs_snr": figure(found, False), "above_best_vs_snr": figure(found, True)}
    return Answer([table(found)], {"power.csv": comparison.case_columns(HEAD, found, "best")}, drawn.items())


def check(flags: PowerFlags) -> None:
    """SemlinkError for what can be seen to be wrong before anything is measured."""
    from semlink import channels
    from semlink.simulator import power

    checks.check_words("channel", flags.channels, channels.names())
    checks.check_channels(flags.channels)
    checks.check_words("power rule", flags.rules, power.names())
    for csit in flags.csit:
        read_settings("csit", parse(csit), KNOWLEDGE)
    read_settings("profile", parse(flags.profile), PROFILES)
    for name in ("channels", "csit", "snr", "limit", "slots", "workers"):
        if not getattr(flags, name):
            raise SemlinkError(f"--{name} needs a value")


def main(flags: PowerFlags) -> int:
    """Measure, compare, draw and say where everything is."""
    check(flags)
    symbols = parts(flags.profile, flags.slots, flags.seed)
    return run(Study((question(flags),), partial(answer, flags), symbols), flags.out, flags.workers)


if __name__ == "__main__":
    cli.start(main, PowerFlags())
