"""What a transmitted map is worth to a receiver that draws the picture: SPIC over a link, beside what else there is.

    python experiments/spic.py --out results/spic
    python experiments/spic.py --data my_frames/ --labels my_maps/ --rho 1/48 --snr 10 --out results/mine

The paper has no channel: its figure 4, mIoU and distances of features against bits per pixel, is this at the highest
SNR, where nearly all arrives. All codecs meet the same pictures, fades and noise, so all differences are paired.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from semlink.simulator.analysis import comparison, set_fid, set_kid, statistics
from semlink.simulator.analysis.comparison import Result
from semlink.simulator.metrics import of_set
from semlink.simulator.plugins import make_codec, make_link
from semlink.simulator.records.rows import Rows
from semlink.simulator.records.sweep import Sweep
from semlink.simulator.study import checks, cli, regions, semantics
from semlink.simulator.study.study import Answer, Study, run
from semlink.simulator.words import parse

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SENT = "segmentation"  # what makes the map that spic transmits
BPP = "bpp"


@dataclass(frozen=True)
class SpicFlags(cli.Flags):
    """What is a transmitted map worth to a receiver that draws the picture, at equal channel uses?

    mIoU of a segmenter that has no part in any codec, against the transmitted map and against the annotation; LPIPS;
    KID, and FID where it is asked and there are 2,000 pictures. `spic:send_map=false` is the same network without a
    map, with `steps=0` the coarse picture scaled up. A codec without weights for a rate is left out there. Leaves in
    --out: rows.h5 (every picture, with coders and bytes), summary.csv, spic.csv (means, and paired differences to
    --versus, with 95 % intervals), run.json, and figures as PNG and PDF. The same command continues a run.
    """

    metrics: tuple[str, ...] = ("lpips_alex", "kid")
    """Quality metrics beside mIoU and PSNR; kid and fid need the extra semlink[fid]."""
    versus: tuple[str, ...] = ("digital", "spic:send_map=false")
    """Codecs that the others are compared with."""
    labels: Path | None = None
    """Folder of class maps of your own pictures, a class number a pixel; sets that are labelled by name need none."""
    classes: Path | None = None
    """Names of their classes; None: classes.json or classes.txt in or beside --labels."""

    def check_names(self) -> None:
        """SemlinkError for metrics, and codecs to compare with, that nobody knows."""
        checks.check_metrics(self.metrics, (semantics.KID, semantics.FID))
        checks.check_codecs(self.versus)


def words(flags: SpicFlags) -> tuple[str, ...]:
    """The codecs, each once."""
    return tuple(dict.fromkeys(str(parse(codec)) for codec in flags.codecs))


def judging(flags: SpicFlags) -> regions.Judging:
    """By what all is judged."""
    labels, classes = (None if path is None else str(path) for path in (flags.labels, flags.classes))
    return regions.Judging(SENT, flags.data, limit=flags.limit, sent=SENT, labels=labels, classes=classes)


def metrics(flags: SpicFlags) -> tuple[str, ...]:
    """All that is measured."""
    seen = [name for name in judging(flags).metrics() if name in of_set.AGAINST]
    return semantics.names_in_rows((*seen, "psnr", *flags.metrics))


def questions(flags: SpicFlags) -> tuple[Sweep, ...]:
    """Rate by rate, the codecs that serve it."""
    from semlink.simulator.data import load

    asked, sizes = cli.sweep_of(flags, metrics(flags)), sorted(set(load(flags.data, flags.limit).sizes()))
    found = []
    for rho in flags.rho:
        able = tuple(word for word in words(flags) if semantics.serves(word, rho, sizes))
        found.append(replace(asked, codecs=able or words(flags), rho=(rho,)))
    return tuple(found)


def paired(flags: SpicFlags, rows: Rows) -> dict[str, list[Result]]:
    """Results by channel."""
    versus = tuple(str(parse(word)) for word in flags.versus)
    names = (*(f"{name}{of_set.SUFFIX}" for name in of_set.AGAINST), *metrics(flags), BPP)
    found = {}
    for title, entries in comparison.side_by_side(words(flags), flags.channels).items():
        known = {m.condition.codec for m in rows.measurements}
        minus = tuple(word for word in versus if word in known)
        results = comparison.compare(rows, entries, minus, names, flags.rho, flags.snr)
        results = set_fid.filled(results, flags.out) if set_fid.NAME in names else results
        found[title] = set_kid.filled(results, flags.out) if set_kid.NAME in names else results
    return found


def shown(results: Mapping[str, Sequence[Result]]) -> list[str]:
    """The metrics that tables and figures show."""
    left = (*of_set.AGAINST, BPP)  # sets have their own
    return [name for name in dict.fromkeys(r.line.metric for own in results.values() for r in own) if name not in left]


def answer(flags: SpicFlags, rows: Rows) -> Answer:
    """summary.csv with what is of the whole set, spic.csv, tables and figures."""
    results = paired(flags, rows)
    every = [result for own in results.values() for result in own]
    plain = [
        line
        for line in statistics.summarise(rows)
        if not of_set.is_part(line.metric) and not semantics.is_of_features(line.metric)
    ]
    whole = [r.line for r in every if r.line.metric.endswith(of_set.SUFFIX) or semantics.is_of_features(r.line.metric)]
    roles = {label: label for r in every for label in r.minus}
    return Answer(
        comparison.paired_tables(results, shown(results), semantics.describe),
        {"spic.csv": comparison.paired_columns(every, roles)},
        figures(flags, rows, results),
        [*plain, *whole],
    )


def figures(flags: SpicFlags, rows: Rows, results: Mapping[str, Sequence[Result]]) -> Iterator[tuple[str, Figure]]:
    """All figures with the names of their files; those against bits per pixel at the highest SNR."""
    from semlink.simulator.figures import curves, strips

    lines = [r.line for own in results.values() for r in own]
    for metric in shown(results):
        variable = semantics.describe(metric)
        if len(set(flags.snr)) > 1:
            yield f"{metric}_vs_snr", curves.curves(lines, metric, variable)
        if len(set(flags.rho)) > 1:
            yield f"{metric}_vs_rho", curves.against_rate(lines, metric, variable)
            best = max(flags.snr)
            panels = [curves.against_bits(title, own, metric, BPP, best, variable) for title, own in results.items()]
            yield f"{metric}_vs_bpp", curves.panels([panels], (4.2, 3.2), variable.label, "bits per pixel")
    said, at = {"LPIPS": "lpips_alex", "mIoU": "miou_sent"}, (flags.rho[0], max(flags.snr))
    yield from strips.delivered(
        flags.out, rows, comparison.side_by_side(words(flags), flags.channels), at, (said, "{:.2f}")
    )
    yield "states", states(flags)


def states(flags: SpicFlags) -> Figure:
    """The first picture: map, coarse picture, and what spic shows of what may arrive, at each rate."""
    from semlink.simulator.data import load
    from semlink.simulator.figures import loss_states, strips

    word = next((word for word in words(flags) if parse(word).name == "spic"), "spic")
    picture, link = load(flags.data, 1)[0], make_link(parse(flags.channels[0]))
    lines = []
    for rho in flags.rho:
        codec = make_codec(parse(word), rho)
        uses = codec.uses(*picture.shape[1:])
        sent = codec.encode(picture[None], link.tx_info(max(flags.snr), uses, statistics=True))
        lines.append((f"{word}, rho {rho:.3g}", [*loss_states.tiles(codec, sent, picture)]))
    return strips.strip(lines)


def main(flags: SpicFlags) -> int:
    """Measure, compare, draw and say where everything is."""
    own = judging(flags)
    regions.check(own)
    if set_fid.NAME in metrics(flags):
        from semlink.simulator.data import load

        set_fid.check(len(load(flags.data, flags.limit)), flags.data)
    regions.claim(own, flags.out)
    study = Study(questions(flags), partial(answer, flags), semantics.parts(own), flags)
    return run(study, flags.out, cli.where(flags))


if __name__ == "__main__":
    cli.start(
        main,
        SpicFlags(
            out=Path("results/spic"),
            data="camvid-drives",
            codecs=("spic", "spic:send_map=false", "spic:send_map=false,steps=0", "digital")
            + ("digital:source=jpeg2000", "semlink", "sgd_jscc"),
            channels=("awgn", "tdl"),
            snr=(0.0, 4.0, 8.0, 12.0),
            rho=(1 / 96, 1 / 48, 1 / 24),
        ),
    )
