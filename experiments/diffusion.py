"""What diffusion at the receiver brings at equal channel uses, what its guides bring, and at what price in time.

    python experiments/diffusion.py --out results/diffusion
    python experiments/diffusion.py --data tiny-imagenet-64 --limit 2000 --metrics psnr lpips_alex fid --steps \\
        --codecs adjscc sgd_jscc --out results/diffusion_fid

Codecs are words, such as `ddnm:mode=paper`; where a codec takes `steps=0`, that is itself without its diffusion.
All meet the same pictures, fades and noise, so all differences are paired.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from semlink.simulator.analysis import comparison, set_fid, statistics
from semlink.simulator.analysis.comparison import Entry, Result
from semlink.simulator.analysis.tables import rate
from semlink.simulator.errors import SemlinkError
from semlink.simulator.records.rows import Rows
from semlink.simulator.records.sweep import Sweep
from semlink.simulator.study import checks, cli
from semlink.simulator.study.parts import describe, timed_parts
from semlink.simulator.study.steps import is_plain, with_steps
from semlink.simulator.study.study import Answer, Study, run
from semlink.simulator.values import SNR_LIMITS_DB
from semlink.simulator.words import parse, short, with_settings

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FID = "fid"
TIME = "decode_s"


@dataclass(frozen=True)
class DiffusionFlags(cli.Flags):
    """What does diffusion at the receiver bring at equal channel uses, with which guides, and how long does it take?

    Quality against SNR of diffusion codecs beside plain ones, and at one SNR against number of steps and decoding time.
    Leaves in --out: rows.h5 (every picture), summary.csv, diffusion.csv (means, and paired differences to plain codecs
    and to the codec without guidance, with 95 % intervals), steps.csv (the same against the most steps), run.json, and
    figures as PNG and PDF. The same command continues a run.
    """

    metrics: tuple[str, ...] = ("psnr", "lpips_alex", "lpips_vgg")
    """Quality metrics; fid needs 2,000 pictures or more and the extra semlink[fid], and is left out against steps."""
    steps: tuple[int, ...] = (4, 8, 12, 20, 50)
    """Numbers of steps to compare, of each codec that has steps, over the first channel and rate; none: leave it out.
    A codec that follows the noise level by default is measured so, too."""
    steps_snr: float = 10.0
    """SNR in dB at which numbers of steps are compared."""

    def check_names(self) -> None:
        """SemlinkError for metrics that nobody knows."""
        checks.check_metrics(self.metrics, (FID,))


def words(flags: DiffusionFlags) -> tuple[str, ...]:
    """The codecs, each once."""
    return tuple(dict.fromkeys(str(parse(codec)) for codec in flags.codecs))


def metrics(flags: DiffusionFlags) -> tuple[str, ...]:
    """The metrics by their names in rows, but for what the size of pictures adds."""
    return tuple(dict.fromkeys(set_fid.NAME if name == FID else name for name in flags.metrics))


def counterparts(flags: DiffusionFlags, codec: str) -> tuple[str, ...]:
    """Of the codecs, those that one with diffusion is compared with: all plain ones, and itself without guidance."""
    if is_plain(codec):
        return ()
    known = words(flags)
    plain = tuple(word for word in known if is_plain(word))
    unguided = with_settings(codec, guidance="none")
    return (*plain, unguided) if unguided in known and unguided != codec else plain


def stepped(flags: DiffusionFlags) -> dict[str, dict[int | None, Entry]]:
    """Of each codec with diffusion, its word without `steps`: what is compared by number of steps, None: by default."""
    from semlink.simulator.figures.tradeoff import name_steps

    channel = str(parse(flags.channels[0]))
    with_diffusion = [word for word in words(flags) if flags.steps and not is_plain(word)]
    return {
        base: {n: Entry(f"{base}, {name_steps(n)}", word, channel) for n, word in variants.items()}
        for base, variants in (with_steps(word, flags.steps) for word in with_diffusion)
    }


def questions(flags: DiffusionFlags) -> tuple[Sweep, ...]:
    """The codecs side by side, and then the numbers of steps."""
    asked = replace(cli.sweep_of(flags, metrics(flags)), codecs=words(flags))
    variants = tuple(entry.codec for of_codec in stepped(flags).values() for entry in of_codec.values())
    plain = tuple(word for word in words(flags) if is_plain(word))
    where = replace(asked, channels=flags.channels[:1], rho=flags.rho[:1], snr_db=(flags.steps_snr,))
    per_picture = tuple(name for name in asked.metrics if name != set_fid.NAME)
    return (asked, replace(where, codecs=(*plain, *variants), metrics=per_picture)) if variants else (asked,)


def check(flags: DiffusionFlags) -> None:
    """SemlinkError for what can be seen to be wrong before anything is measured."""
    from semlink.simulator.data import load

    if not flags.metrics:
        raise SemlinkError("--metrics needs at least one value")
    if any(n < 1 for n in flags.steps):
        raise SemlinkError(f"--steps {' '.join(map(str, flags.steps))}: give whole numbers of at least 1")
    low, high = SNR_LIMITS_DB
    if not low <= flags.steps_snr <= high:
        raise SemlinkError(f"--steps-snr {flags.steps_snr:g}: give a value in dB between {low:g} and {high:g}")
    if set_fid.NAME in metrics(flags):
        set_fid.check(len(load(flags.data, flags.limit)), flags.data)


def shown(rows: Rows) -> list[str]:
    """The per-picture metrics by their names in rows."""
    return [name for name in rows.asked_metrics() if name != set_fid.NAME]


def paired(flags: DiffusionFlags, rows: Rows) -> dict[str, list[Result]]:
    """Results by channel, each with its differences to its own counterparts."""
    names = (*shown(rows), TIME, *(name for name in metrics(flags) if name == set_fid.NAME))
    own = {codec: counterparts(flags, codec) for codec in words(flags)}
    panels = comparison.side_by_side(words(flags), flags.channels)
    found = {title: comparison.compare(rows, of, own, names, flags.rho, flags.snr) for title, of in panels.items()}
    return {title: set_fid.filled(untimed(results), flags.out) for title, results in found.items()}


def paired_by_steps(flags: DiffusionFlags, rows: Rows) -> list[Result]:
    """Results of each codec's numbers of steps, with their differences to the most steps, labelled so."""
    found = []
    for entries in stepped(flags).values():
        most = entries[max(n for n in entries if n is not None)].label
        own, names = list(entries.values()), (*shown(rows), TIME)
        found += comparison.compare(rows, own, (most,), names, flags.rho[:1], (flags.steps_snr,))
    return untimed(found)


def untimed(results: Sequence[Result]) -> list[Result]:
    """Without differences of times: pictures of a block share its time, so their interval would mean nothing."""
    return [replace(r, minus={}) if r.line.metric == TIME else r for r in results]


def answer(flags: DiffusionFlags, rows: Rows) -> Answer:
    """summary.csv with FID, diffusion.csv, steps.csv, tables and figures."""
    results, steps = paired(flags, rows), paired_by_steps(flags, rows)
    every = [result for panel in results.values() for result in panel]
    summary = [line for line in statistics.summarise(rows) if line.metric != set_fid.NAME]
    of_set = [r.line for r in every if r.line.metric == set_fid.NAME]
    csv = {"diffusion.csv": comparison.paired_columns(every, {label: label for r in every for label in r.minus})}
    if steps:
        csv["steps.csv"] = comparison.paired_columns(steps, {label: "most_steps" for r in steps for label in r.minus})
    names = list(dict.fromkeys(r.line.metric for r in every))
    texts = comparison.paired_tables(results, names, describe)
    texts += comparison.paired_tables({f"steps over {short(flags.channels[0])}": steps}, names, describe, rates=False)
    return Answer(texts, csv, figures(flags, rows, results), [*summary, *of_set])


def figures(flags: DiffusionFlags, rows: Rows, results: Mapping[str, Sequence[Result]]) -> Iterator[tuple[str, Figure]]:
    """All figures with the names of their files."""
    from semlink.simulator.figures import curves, strips, tradeoff

    lines, own = [r.line for panel in results.values() for r in panel], shown(rows)
    for name in (name for name in dict.fromkeys(line.metric for line in lines) if name != TIME):
        yield f"{name}_vs_snr", curves.curves(lines, name, describe(name))
    if stepped(flags) and own:
        metric = next((name for name in own if name.startswith("lpips")), own[0])
        channel, rho, snr = str(parse(flags.channels[0])), flags.rho[0], flags.steps_snr
        plain: dict[str, dict[int | None, Entry]] = {w: {0: Entry(w, w, channel)} for w in words(flags) if is_plain(w)}
        found = tradeoff.points(rows, {**plain, **stepped(flags)}, (metric, TIME), rho, snr)
        title = f"{short(channel)}, {snr:g} dB, rho {rate(rho)}"
        yield "steps", tradeoff.tradeoff(found, describe(metric), title)
    said, at = {describe(name).label: name for name in own[:2]}, (flags.rho[0], min(flags.snr))
    panels = comparison.side_by_side(words(flags), flags.channels)
    yield from strips.delivered(flags.out, rows, panels, at, (said, "{:.3g}"))


def main(flags: DiffusionFlags) -> int:
    """Measure, compare, draw and say where everything is."""
    check(flags)
    study = Study(questions(flags), partial(answer, flags), timed_parts(flags.data), flags)
    return run(study, flags.out, cli.where(flags))


if __name__ == "__main__":
    cli.start(
        main,
        DiffusionFlags(
            out=Path("results/diffusion"),
            data="tiny-imagenet-64",
            limit=64,
            codecs=("adjscc", "digital", "sgd_jscc:steps=0", "sgd_jscc", "ddnm"),
            snr=(-5.0, 0.0, 5.0, 10.0),
            rho=(1 / 24,),
        ),
    )
