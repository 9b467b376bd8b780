"""Codecs against a reference codec, and quality against channel uses: numbers, table, files, mistakes, redrawing."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from scipy.stats import ttest_rel
from scripts import loaded
from sweep_fakes import PARTS, FakeCodec

from semlink.simulator.analysis import statistics
from semlink.simulator.analysis.versus import difference_lines, versus
from semlink.simulator.errors import SemlinkError
from semlink.simulator.figures import curves
from semlink.simulator.protocols import Variable
from semlink.simulator.records import rows
from semlink.simulator.records.store import Condition
from semlink.simulator.records.sweep import Sweep
from semlink.simulator.study import closing
from semlink.simulator.study.answer import Answer
from semlink.simulator.study.checks import reference_of
from semlink.simulator.study.overview import has_rates, overview
from semlink.simulator.study.study import Study, run


def make_codec(word, rho):
    """`other` sends darker pictures than all others."""
    return DarkCodec(rho) if word.name == "other" else FakeCodec(rho, **dict(word.settings))


class DarkCodec(FakeCodec):
    def encode(self, images, tx=None):
        return super().encode(0.8 * images, tx)


OUR_PARTS = replace(PARTS, codec=make_codec)
ASKED = Sweep(
    ("plain", "other", "plain:fails=encode"), ("awgn", "tdl"), (0.0, 5.0, 10.0, 15.0), (0.25, 0.5), ("psnr", "mae"),
    data="fake", limit=8,
)  # fmt: skip
MORE = replace(ASKED, codecs=("other",), limit=40)
OTHER_RATE = replace(ASKED, codecs=("lonely",), rho=(1.0,))


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """Eight pictures of all codecs, then 40 of one of them, then one codec at a rate that the reference lacks."""
    out = tmp_path_factory.mktemp("sweep")
    first = Study((MORE, OTHER_RATE), lambda found: Answer(()), OUR_PARTS)
    last = Study((ASKED,), partial(overview, out=out, reference="plain"), OUR_PARTS, more={"versus": "plain"})
    codes = [run(study, out, 1) for study in (first, last)]
    assert codes == [0, 1]
    return out


def by_condition(out):
    return {m.condition: m for m in rows.read(out / "rows.h5").measurements}


def test_differences_are_paired_over_the_common_pictures(measured):
    found = by_condition(measured)
    results = versus(rows.read(measured / "rows.h5"), "plain", ("psnr",))
    assert {r.label for r in results} == {"other", "plain:fails=encode"}, "at a rate of its own there is no pair"
    assert len(results) == 2 * 2 * 2 * 4
    for r in (r for r in results if r.label == "other"):
        own, plain = (found[replace(condition_of(r), codec=codec)].values["psnr"] for codec in ("other", "plain"))
        assert len(own) == 40 and len(plain) == 8 == r.minus["plain"].n
        expected = ttest_rel(own[:8], plain).confidence_interval(0.95)
        assert (r.minus["plain"].low, r.minus["plain"].high) == pytest.approx((expected.low, expected.high))
        assert (
            r.value.n == 8
            and r.line.measured == 40
            and r.minus["plain"].mean == pytest.approx(np.mean(own[:8] - plain))
        )
    assert all(r.minus["plain"].n == 0 for r in results if r.label != "other")


def condition_of(result):
    line = result.line
    return Condition(line.codec, line.rho, line.channel, line.snr_db)


def test_lines_of_differences_are_a_summary(measured):
    results = versus(rows.read(measured / "rows.h5"), "plain", ("psnr",))
    lines = difference_lines(results, "plain")
    assert {line.metric for line in lines} == {"psnr minus plain"}
    expected = [r.minus["plain"] for r in results]
    assert [line.n for line in lines] == [i.n for i in expected]
    assert [line.ci95_low for line in lines] == pytest.approx([i.low for i in expected], nan_ok=True)


def test_it_is_printed_stored_and_drawn_and_redrawn_from_what_run_json_says(measured, capsys):
    names = {path.name for path in measured.iterdir()}
    stems = ("psnr_vs_snr", "psnr_vs_rho", "psnr_minus_plain_vs_snr", "mae_minus_plain_vs_snr")
    assert {f"{stem}.{kind}" for stem in stems for kind in ("png", "pdf")} <= names
    assert json.loads((measured / "run.json").read_text())["versus"] == "plain"
    with open(measured / "versus.csv", newline="") as file:
        lines = [line for line in csv.DictReader(file) if line["metric"] == "mae" and line["codec"] == "other"]
    found = by_condition(measured)
    at = [found[Condition(codec, 0.25, "awgn", 0.0)].values["mae"][:8] for codec in ("other", "plain")]
    assert float(lines[0]["minus_plain"]) == pytest.approx(np.mean(at[0] - at[1]), rel=1e-6)
    kept = {stem: (measured / f"{stem}.png").read_bytes() for stem in stems}
    for stem in kept:
        (measured / f"{stem}.png").unlink()
    closing.show(measured)
    assert kept == {stem: (measured / f"{stem}.png").read_bytes() for stem in stems}
    said = capsys.readouterr().out
    head = "psnr minus plain (dB) against SNR: mean difference +- 95 %, paired, over 8 images"
    assert head in said and "versus.csv" in said
    table = said[said.index(head) :].split("\n\n")[0].splitlines()[2:]
    assert len(table) == 2 * 2 * 2 and sum("failed" in line for line in table) == 4
    assert all(cell[0] in "+-" for line in table if "failed" not in line for cell in line.split()[4:])


def test_the_figure_of_differences_marks_zero_and_keeps_the_colours(measured):
    figures = dict(overview(rows.read(measured / "rows.h5"), measured, ("psnr",), "plain").figures)
    own, minus = (figures[name].axes[0] for name in ("psnr_vs_snr", "psnr_minus_plain_vs_snr"))
    colours = [{line.get_label(): line.get_color() for line in axes.lines} for axes in (own, minus)]
    assert "plain, rho 1/2" not in colours[1] and colours[0]["other, rho 1/2"] == colours[1]["other, rho 1/2"]
    assert [0, 0] in [list(line.get_ydata()) for line in minus.lines]
    assert figures["psnr_minus_plain_vs_snr"].get_supylabel() == "PSNR minus that of plain (dB), higher is better"


def test_against_rate_there_are_the_lowest_middle_and_highest_snr(measured):
    figures = dict(overview(rows.read(measured / "rows.h5"), measured, ("psnr",)).figures)
    assert not any("minus" in name for name in figures)
    axes = figures["psnr_vs_rho"].axes[0]
    drawn = {line.get_label(): line for line in axes.lines}
    assert {name.split(", ")[1] for name in drawn} == {"0 dB", "10 dB", "15 dB"}
    found = by_condition(measured)
    expected = [found[Condition("other", rho, "awgn", 10.0)].values["psnr"][:8].mean() for rho in (0.25, 0.5)]
    assert drawn["other, 10 dB"].get_ydata() == pytest.approx(expected)
    assert [text.get_text() for text in axes.get_xticklabels()] == ["1/4", "1/2", "1/1"]


def test_several_rates_are_several_of_a_codec_over_a_channel(measured):
    lines = statistics.summarise(rows.read(measured / "rows.h5"))
    assert has_rates(lines)
    assert not has_rates([line for line in lines if line.rho == {"awgn": 0.25, "tdl": 0.5}[line.channel]])


def test_wide_bands_of_few_images_do_not_hide_the_curves():
    lines = [
        curves.Line("a", "awgn", "ls", snr, 0.5, 0.5, "psnr", 20 + snr, 20 + snr - wide, 20 + snr + wide, 2, 0.5)
        for snr, wide in ((0.0, 90.0), (10.0, 0.5))
    ]
    axes = curves.curves(lines, "psnr", Variable("dB", "PSNR")).axes[0]
    assert axes.get_ylim() == pytest.approx((10 - 1.5, 40 + 1.5))
    narrow = [replace(line, ci95_low=line.mean - 1, ci95_high=line.mean + 1) for line in lines]
    assert curves.curves(narrow, "psnr", Variable("dB", "PSNR")).axes[0].get_ylim() == pytest.approx((18.4, 31.6))


def test_rows_without_the_reference_are_refused(measured):
    with pytest.raises(SemlinkError, match="no codec 'nobody' in these rows; they hold lonely, other, plain"):
        versus(rows.read(measured / "rows.h5"), "nobody", ("psnr",))


@pytest.mark.parametrize(
    ("codecs", "word", "said"),
    [
        (("adjscc", "semlink"), "digital", "--versus digital: not among --codecs adjscc semlink; give it there, too"),
        (("adjscc",), "adjscc", "--versus adjscc: there is no other codec among --codecs"),
        (("adjscc", "semlink"), "adjscc:", "cannot read 'adjscc:'"),
    ],
)
def test_a_reference_must_be_one_of_several_codecs(codecs, word, said):
    with loaded("snr_sweep") as experiment, pytest.raises(SemlinkError, match=said):
        experiment.main(experiment.SnrSweep(codecs=codecs, versus=word))


def test_a_reference_may_be_spelt_otherwise():
    codecs = ("a:y=2,x=1", "b")
    assert reference_of(codecs, "a:x=1,y=2") == "a:x=1,y=2" and reference_of(codecs, "") == ""
