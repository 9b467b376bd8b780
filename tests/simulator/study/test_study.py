"""The steps of a study: all questions are measured, the answer is published, failures are said, run.json tells it."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from sweep_fakes import PARTS

from semlink.simulator.analysis import comparison, statistics
from semlink.simulator.analysis.comparison import Entry
from semlink.simulator.figures import style
from semlink.simulator.records.sweep import Sweep
from semlink.simulator.study.answer import Answer
from semlink.simulator.study.study import Study, run

ASKED = Sweep(("plain",), ("awgn",), (0.0, 10.0), (0.5,), ("psnr",), data="fake", limit=4)
SNR_FIRST = replace(ASKED, codecs=("plain", "plain:encodes_on=snr"), channels=("tdl",))


@dataclass(frozen=True)
class Asked:
    """Flags, as run.json shows them."""

    out: Path
    depth: int = 3


def answer(rows) -> Answer:
    entries = [Entry(codec, codec, "tdl") for codec in SNR_FIRST.codecs]
    results = comparison.compare(rows, entries, ("plain",), ("psnr",), (0.5,), (0.0, 10.0))
    figure = style.figure_of(2, 2)
    figure.subplots().plot([r.value.mean for r in results])
    lines = [line for line in statistics.summarise(rows) if line.metric == "psnr"]
    csv = {"own.csv": comparison.paired_columns(results, {"plain": "plain"})}
    return Answer(["a table"], csv, [("curve", figure)], lines)


def test_every_question_is_measured_and_everything_is_said(tmp_path, capsys):
    assert run(Study((ASKED, SNR_FIRST), answer, PARTS, Asked(tmp_path), {"more": [1]}), tmp_path, 1) == 0
    said = capsys.readouterr().out
    names = ("rows.h5", "summary.csv", "own.csv", "run.json", "report.html", "curve.png", "curve.pdf")
    assert said == "\n".join(["a table", "", "written:", *(f"  {tmp_path / name}" for name in names), ""])
    assert all((tmp_path / name).exists() for name in names)
    with open(tmp_path / "summary.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    assert {line["metric"] for line in lines} == {"psnr"} and len(lines) == 2 + 4
    told = json.loads((tmp_path / "run.json").read_text())
    assert told["configuration"] == {"depth": 3} and told["more"] == [1] and told["failures"] == {}
    with open(tmp_path / "own.csv", newline="") as file:
        own = list(csv.DictReader(file))
    assert [float(line["minus_plain"]) for line in own if "snr" in line["label"]] == [0, 0]


def test_a_question_alone_keeps_its_own_configuration(tmp_path):
    assert run(Study((ASKED,), lambda rows: Answer(["t"]), PARTS, more={"more": 2}), tmp_path, 1) == 0
    told = json.loads((tmp_path / "run.json").read_text())
    assert told["configuration"]["codecs"] == ["plain"] and told["more"] == 2


def test_failures_of_any_question_are_the_exit_code(tmp_path, capsys):
    broken = replace(ASKED, codecs=("plain:fails=encode",))
    study = Study((broken, ASKED), lambda rows: Answer(["t"]), PARTS, Asked(tmp_path))
    assert run(study, tmp_path, 1) == 1
    assert "2 conditions failed" in capsys.readouterr().err
    failures = json.loads((tmp_path / "run.json").read_text())["failures"]
    assert len(failures) == 2 and all("cannot encode" in error for error in failures.values())


def test_each_entry_may_have_its_own_baselines(tmp_path):
    found = []
    run(Study((SNR_FIRST,), lambda rows: found.append(rows) or Answer([]), PARTS), tmp_path, 1)
    entries = [Entry("a", "plain", "tdl"), Entry("b", SNR_FIRST.codecs[1], "tdl"), Entry("twice", "plain", "tdl", 2)]
    own = {"a": (), "b": ("a",), "twice": ("b", "twice")}
    results = comparison.compare(found[0], entries, own, ("psnr",), (0.5, 0.5), (10.0, 0.0))
    assert [(r.label, r.line.snr_db, list(r.minus)) for r in comparison.by_entry(results)] == [
        ("a", 0, []), ("a", 10, []), ("b", 0, ["a"]), ("b", 10, ["a"]), ("twice", 0, ["b"]), ("twice", 10, ["b"]),
    ]  # fmt: skip
    (twice, *_) = (r for r in results if r.label == "twice")
    assert twice.line.rho == 1.0 and twice.value.n == 0 == twice.more.n, "at twice the rate nothing was measured"


@pytest.mark.parametrize("name", ["roi", "diffusion", "mimo", "power", "robustness", "snr_sweep", "redraw"])
def test_an_experiment_is_a_page(name):
    path = Path(__file__).parents[3] / "experiments" / f"{name}.py"
    assert len(path.read_text().splitlines()) <= 200
