"""What diffusion at the receiver brings at equal channel uses, what its guides bring, and at what price in time.

    python experiments/diffusion.py --out results/diffusion
    python experiments/diffusion.py --data tiny-imagenet-64 --limit 2000 --metrics psnr lpips_alex fid --steps \\
        --codecs adjscc sgd_jscc --out results/diffusion_fid

Codecs are words, such as `ddnm:mode=paper`; where a codec takes `steps=0`, that is itself without its diffusion.
All meet the same pictures, fades and noise, so all differences are paired.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from semlink.simulator.errors import SemlinkError
from semlink.simulator.records.sweep import Sweep
from semlink.simulator.study import cli
from semlink.simulator.words import Word, parse, short, with_settings

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor

    from semlink.simulator.analysis.comparison import Entry, Result
    from semlink.simulator.figures.bars import Tile
    from semlink.simulator.figures.tradeoff import Point
    from semlink.simulator.protocols import Codec, Variable
    from semlink.simulator.records.rows import Rows
    from semlink.simulator.sweep.trial import Parts

FID = "fid"
TILES_A_ROW = 5
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


def words(flags: DiffusionFlags) -> tuple[str, ...]:
    """The codecs, each once."""
    return tuple(dict.fromkeys(str(parse(codec)) for codec in flags.codecs))


def metrics(flags: DiffusionFlags) -> tuple[str, ...]:
    """The metrics by their names in rows, but for what the size of pictures adds."""
    from semlink.simulator.analysis.set_fid import NAME

    return tuple(dict.fromkeys(NAME if name == FID else name for name in flags.metrics))


def per_picture(flags: DiffusionFlags) -> tuple[str, ...]:
    """Metrics that a picture has for itself."""
    from semlink.simulator.analysis.set_fid import NAME

    return tuple(name for name in metrics(flags) if name != NAME)


def default_steps(word: Word) -> int | str | None:
    """What the codec takes for `steps` when nothing is said; None for codecs without steps."""
    from semlink import codecs

    found = inspect.signature(codecs.registry.get(word.name)).parameters.get("steps")
    return None if found is None else found.default


def is_plain(codec: str) -> bool:
    """Whether the codec has no diffusion, or is told to leave it."""
    word = parse(codec)
    return default_steps(word) is None or dict(word.settings).get("steps") == 0


def counterparts(flags: DiffusionFlags, codec: str) -> tuple[str, ...]:
    """Of the codecs, those that one with diffusion is compared with: all plain ones, and itself without guidance."""
    if is_plain(codec):
        return ()
    known = words(flags)
    plain = tuple(word for word in known if is_plain(word))
    unguided = with_settings(codec, guidance="none")
    return (*plain, unguided) if unguided in known and unguided != codec else plain


def stepped(flags: DiffusionFlags) -> dict[str, dict[int | None, str]]:
    """Of each codec with diffusion, its word without `steps`: the words for each number of steps, None: by default."""
    found: dict[str, dict[int | None, str]] = {}
    for codec in words(flags) if flags.steps else ():
        if not is_plain(codec):
            base = parse(codec).split(("steps",))[0]
            variants: dict[int | None, str] = {n: with_settings(str(base), steps=n) for n in sorted(set(flags.steps))}
            found[str(base)] = variants | ({None: str(base)} if default_steps(base) == "budget" else {})
    return found


def questions(flags: DiffusionFlags) -> tuple[Sweep, ...]:
    """The codecs side by side, and then the numbers of steps."""
    asked = replace(cli.sweep_of(flags, metrics(flags)), codecs=words(flags))
    variants = tuple(word for of_codec in stepped(flags).values() for word in of_codec.values())
    plain = tuple(word for word in words(flags) if is_plain(word))
    if not variants:
        return (asked,)
    where = replace(asked, channels=flags.channels[:1], rho=flags.rho[:1], snr_db=(flags.steps_snr,))
    return (asked, replace(where, codecs=(*plain, *variants), metrics=per_picture(flags)))


def parts(flags: DiffusionFlags) -> Parts:
    """Pictures and links as ever, codecs that are warm before they are timed, and what FID needs."""
    from semlink.simulator.analysis.set_fid import keep
    from semlink.simulator.sweep.trial import Parts

    return Parts(codec=partial(make_warm, flags.data), measure=measure, describe=describe, keep=keep)


def make_warm(data: str, word: Word, rho: float) -> Codec:
    """The codec after a first picture, so that loading its networks is not counted as decoding."""
    import torch

    from semlink.simulator import data as sources
    from semlink.simulator.conformance.codec import noiseless
    from semlink.simulator.plugins import make_codec
    from semlink.simulator.values import TxInfo

    codec = make_codec(word, rho)
    if codec.encodes_on != "link":
        picture = sources.load(data, 1).batch([0])
        with torch.no_grad():
            codec.decode(noiseless(codec.encode(picture, TxInfo(snr_db=10.0)), a=10 / 11))
    return codec


def measure(names: Sequence[str], original: Tensor, received: Tensor) -> Mapping[str, Tensor]:
    """Metrics of received pictures, float64 `[batch]` each; FID is computed at the end."""
    from semlink.simulator.analysis.set_fid import NAME
    from semlink.simulator.plugins import measure_metrics

    return measure_metrics([name for name in names if name != NAME], original, received)


def describe(name: str) -> Variable:
    """Unit, label and direction of a metric or time."""
    from semlink.simulator.analysis import set_fid
    from semlink.simulator.plugins import describe_metric
    from semlink.simulator.records.rows import VARIABLES

    return set_fid.describe(name) or VARIABLES.get(name) or describe_metric(name)


def check(flags: DiffusionFlags) -> None:
    """SemlinkError for what can be seen to be wrong before anything is measured."""
    from semlink.simulator.analysis import set_fid
    from semlink.simulator.data import load
    from semlink.simulator.values import SNR_LIMITS_DB

    if not flags.metrics:
        raise SemlinkError("--metrics needs at least one value")
    if any(n < 1 for n in flags.steps):
        raise SemlinkError(f"--steps {' '.join(map(str, flags.steps))}: give whole numbers of at least 1")
    low, high = SNR_LIMITS_DB
    if not low <= flags.steps_snr <= high:
        raise SemlinkError(f"--steps-snr {flags.steps_snr:g}: give a value in dB between {low:g} and {high:g}")
    for name in metrics(flags):
        describe(name)
    if set_fid.NAME in metrics(flags):
        set_fid.check(len(load(flags.data, flags.limit)), flags.data)


def shown(flags: DiffusionFlags, rows: Rows) -> tuple[str, ...]:
    """The per-picture metrics by their names in rows."""
    found = {name for m in rows.measurements for name in m.values}
    return tuple(
        next((name for name in sorted(found) if name == want or name.startswith(f"{want}_up")), want)
        for want in per_picture(flags)
    )


def compare(flags: DiffusionFlags, rows: Rows) -> dict[str, list[Result]]:
    """Results by channel, each with its differences to its own counterparts."""
    from semlink.simulator.analysis import comparison, set_fid

    names = (*shown(flags, rows), TIME, *(name for name in metrics(flags) if name == set_fid.NAME))
    others = tuple(dict.fromkeys(other for codec in words(flags) for other in counterparts(flags, codec)))
    own = {codec: counterparts(flags, codec) for codec in words(flags)}
    found = {}
    for channel in dict.fromkeys(str(parse(channel)) for channel in flags.channels):
        entries = [comparison.Entry(codec, codec, channel) for codec in words(flags)]
        results = comparison.compare(rows, entries, others, names, tuple(dict.fromkeys(flags.rho)), flags.snr)
        kept = [replace(r, minus={b: i for b, i in r.minus.items() if b in own[r.label]}) for r in results]
        found[short(channel)] = set_fid.filled(untimed(kept), flags.out)
    return found


def compare_steps(flags: DiffusionFlags, rows: Rows) -> list[Result]:
    """Results of each codec's numbers of steps, with their differences to the most steps, labelled so."""
    from semlink.simulator.analysis import comparison

    found = []
    for entries in steps_entries(flags).values():
        most = entries[max(n for n in entries if n is not None)].label
        where = (flags.rho[0],), (flags.steps_snr,)
        found += comparison.compare(rows, list(entries.values()), (most,), (*shown(flags, rows), TIME), *where)
    return untimed(found)


def untimed(results: Sequence[Result]) -> list[Result]:
    """Without differences of times: pictures of a block share its time, so their interval would mean nothing."""
    return [replace(r, minus={}) if r.line.metric == TIME else r for r in results]


def steps_entries(flags: DiffusionFlags) -> dict[str, dict[int | None, Entry]]:
    """What is compared of each codec, by number of steps."""
    from semlink.simulator.analysis.comparison import Entry
    from semlink.simulator.figures.tradeoff import name_steps

    channel = str(parse(flags.channels[0]))
    return {
        base: {n: Entry(f"{base}, {name_steps(n)}", word, channel) for n, word in variants.items()}
        for base, variants in stepped(flags).items()
    }


def points(flags: DiffusionFlags, rows: Rows, metric: str) -> dict[str, list[Point]]:
    """Quality and decoding time of each codec's numbers of steps, and of the plain codecs."""
    from semlink.simulator.analysis.comparison import Entry, compare
    from semlink.simulator.analysis.statistics import Interval
    from semlink.simulator.figures.tradeoff import Point

    channel = str(parse(flags.channels[0]))
    chosen = {word: {0: Entry(word, word, channel)} for word in words(flags) if is_plain(word)} | steps_entries(flags)
    found: dict[str, list[Point]] = {}
    for base, entries in chosen.items():
        for steps, entry in entries.items():
            quality, time = compare(rows, [entry], (), (metric, TIME), (flags.rho[0],), (flags.steps_snr,))
            at = quality.line
            point = Point(steps, time.line.mean, Interval(at.mean, at.ci95_low, at.ci95_high, at.n))
            found.setdefault(base, []).append(point)
    return found


def figures(flags: DiffusionFlags, rows: Rows, results: Mapping[str, Sequence[Result]]) -> dict[str, Figure]:
    """All figures by the names of their files."""
    from semlink.simulator.figures import curves, tradeoff

    lines = [r.line for panel in results.values() for r in panel]
    names = [name for name in dict.fromkeys(line.metric for line in lines) if name != TIME]
    found = {f"{name}_vs_snr": curves.curves(lines, name, describe(name)) for name in names}
    perceptual = [name for name in shown(flags, rows) if name.startswith("lpips")]
    if stepped(flags) and shown(flags, rows):
        metric = (*perceptual, *shown(flags, rows))[0]
        title = f"{short(flags.channels[0])}, {flags.steps_snr:g} dB, rho 1/{1 / flags.rho[0]:.3g}"
        found["steps"] = tradeoff.tradeoff(points(flags, rows, metric), describe(metric), title)
    pictures = strip(flags, rows)
    return found | ({"pictures": pictures} if pictures else {})


def strip(flags: DiffusionFlags, rows: Rows) -> Figure | None:
    """The first picture as sent and as each codec delivers it at the lowest SNR and first rate, over each channel."""
    from semlink.simulator.data import pictures
    from semlink.simulator.figures import bars
    from semlink.simulator.records.store import picture_path

    if not picture_path(flags.out, None).exists():
        return None
    sent = bars.Tile(pictures.read(picture_path(flags.out, None)), "original")
    lines = []
    for channel in dict.fromkeys(str(parse(channel)) for channel in flags.channels):
        tiles = [sent, *received(flags, rows, channel)]
        title = f"{short(channel)}, {min(flags.snr):g} dB, rho 1/{1 / flags.rho[0]:.3g}"
        lines += [(title, tiles[i : i + TILES_A_ROW]) for i in range(0, len(tiles), TILES_A_ROW)]
    return bars.strip(lines)


def received(flags: DiffusionFlags, rows: Rows, channel: str) -> list[Tile]:
    """The first picture as each codec delivered it, with its quality below."""
    from semlink.simulator.data import pictures
    from semlink.simulator.figures import bars
    from semlink.simulator.records.store import Condition, picture_path

    found = {m.condition: m for m in rows.measurements if not m.error}
    tiles = []
    for codec in words(flags):
        condition = Condition(codec, flags.rho[0], channel, min(flags.snr))
        path = picture_path(flags.out, condition)
        if condition in found and path.exists():
            values = found[condition].values
            said = [f"{describe(n).label} {values[n][0]:.3g}" for n in shown(flags, rows)[:2] if n in values]
            name = short(codec).replace(":", ":\n", 1)
            tiles.append(bars.Tile(pictures.read(path), name, ", ".join(said)))
    return tiles


def tables(flags: DiffusionFlags, results: Mapping[str, Sequence[Result]], steps: Sequence[Result]) -> str:
    """All that is worth reading on a screen."""
    from semlink.simulator.analysis import comparison

    found = []
    for channel, panel in results.items():
        for metric in dict.fromkeys(r.line.metric for r in panel):
            for rho in dict.fromkeys(flags.rho):
                own = [r for r in panel if (r.line.metric, r.line.rho) == (metric, rho)]
                found.append(comparison.table(own, describe(metric), f"{channel}, rho 1/{1 / rho:.3g}"))
    for metric in dict.fromkeys(r.line.metric for r in steps):
        own = [r for r in steps if r.line.metric == metric]
        found.append(comparison.table(own, describe(metric), f"steps over {short(flags.channels[0])}"))
    return "\n\n".join(found)


def publish(
    flags: DiffusionFlags, rows: Rows, results: Mapping[str, Sequence[Result]], steps: Sequence[Result]
) -> list[Path]:
    """summary.csv with FID, diffusion.csv, steps.csv, and all figures."""
    from semlink.simulator.analysis import comparison, set_fid, statistics
    from semlink.simulator.figures import curves

    every = [result for panel in results.values() for result in panel]
    of_set = [r.line for r in every if r.line.metric == set_fid.NAME]
    summary = [line for line in statistics.summarise(rows) if line.metric != set_fid.NAME]
    statistics.write_csv([*summary, *of_set], flags.out / "summary.csv")
    others = dict.fromkeys(label for r in every for label in r.minus)
    comparison.write_csv(every, {label: label for label in others}, flags.out / "diffusion.csv")
    files = [flags.out / name for name in ("rows.h5", "summary.csv", "diffusion.csv", "run.json")]
    if steps:
        most = dict.fromkeys((label for r in steps for label in r.minus), "most_steps")
        comparison.write_csv(steps, most, flags.out / "steps.csv")
        files.append(flags.out / "steps.csv")
    return files + [p for name, f in figures(flags, rows, results).items() for p in curves.save(f, flags.out / name)]


def main(flags: DiffusionFlags) -> int:
    """Measure, compare, draw and say where everything is."""
    import time

    from semlink.simulator.study import closing as publishing
    from semlink.simulator.sweep import runner

    check(flags)
    started = time.monotonic()
    outcomes = [runner.run(question, flags.out, flags.workers, parts(flags)) for question in questions(flags)]
    rows = outcomes[-1].rows
    failures = {str(condition): error for o in outcomes for condition, error in o.failures.items()}
    seconds = round(time.monotonic() - started, 3)
    publishing.whole_run(flags.out, asdict(flags), seconds, failures, {})
    results, steps = compare(flags, rows), compare_steps(flags, rows)
    files = publish(flags, rows, results, steps)
    print(tables(flags, results, steps), end="\n\n")
    print("\n".join(["written:", *(f"  {path}" for path in files)]))
    return max(publishing.failures(outcome) for outcome in outcomes)


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
