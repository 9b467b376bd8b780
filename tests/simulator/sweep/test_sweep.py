"""Sweeps: planned once, the same whatever the workers, the order or a kill, and honest about failures."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import weakref
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from sweep_fakes import PARTS, FakeCodec, FakeData, FakeLink

from semlink.simulator.errors import SemlinkError
from semlink.simulator.records import rows
from semlink.simulator.records.rows import own_variable
from semlink.simulator.records.store import Condition, Store
from semlink.simulator.records.sweep import Sweep
from semlink.simulator.sweep import plan, runner
from semlink.simulator.sweep.plan import BLOCK
from semlink.simulator.sweep.trial import Bench, sizes
from semlink.simulator.values import Session, Stream, Transmission

SMALL = Sweep(("plain",), ("awgn",), (0.0, 10.0), (0.5,), ("psnr", "mae"), data="fake", limit=5)
TIMES = ("encode_s", "decode_s")


def run(asked, out, workers=1):
    return runner.run(asked, out, workers, PARTS)


def table(outcome):
    """Everything that must not depend on when and where it was measured."""
    return {
        (m.condition, image, name): value
        for m in outcome.rows.measurements
        for name, column in m.values.items()
        if name not in TIMES
        for image, value in zip(m.images, column.tolist(), strict=True)
    }


def summary(out):
    return [line for line in (Path(out) / "summary.csv").read_text().splitlines() if not any(t in line for t in TIMES)]


# --- planning


def test_blocks_hold_one_size_and_every_image_once():
    data = FakeData(100)
    found = plan.blocks(data.ids, data.sizes())
    assert sorted(p for block in found for p in block.positions) == list(range(100))
    assert [block.index for block in found] == list(range(len(found)))
    for block in found:
        assert 0 < len(block.images) <= BLOCK
        assert {data.sizes()[p] for p in block.positions} == {(block.height, block.width)}


def test_more_images_only_add_to_blocks():
    for fewer in range(1, 99):
        few, many = FakeData(fewer), FakeData(100)
        large = plan.blocks(many.ids, many.sizes())
        for block in plan.blocks(few.ids, few.sizes()):
            assert large[block.index].positions[: len(block.positions)] == block.positions


def test_a_plan_covers_every_condition_and_block_once():
    asked = replace(SMALL, codecs=("a", "b"), channels=("awgn", "tdl"), rho=(0.25, 0.5))
    data = FakeData(70)
    found = plan.blocks(data.ids, data.sizes())
    tasks = plan.plan(asked, found, (), plan.identity_of(asked))
    wanted = [(record.condition, record.block) for task in tasks for record in task.wanted]
    assert len(wanted) == len(set(wanted)) == 2 * 2 * 2 * 2 * len(found)
    assert {(len({(r.condition.codec, r.condition.rho) for r in task.wanted})) for task in tasks} == {1}


def test_a_block_is_one_draw_of_fades():
    from semlink.simulator.link.fades import FADE_BLOCK

    assert BLOCK == FADE_BLOCK


def test_a_codec_has_all_its_blocks_in_a_row():
    asked = replace(SMALL, codecs=("b", "a"), rho=(0.25, 0.5))
    data = FakeData(70)
    tasks = plan.plan(asked, plan.blocks(data.ids, data.sizes()), (), plan.identity_of(asked))
    codecs = [(task.wanted[0].condition.codec, task.wanted[0].condition.rho) for task in tasks]
    assert codecs == sorted(codecs) and len(set(codecs)) == 4 and len(codecs) > 4


# --- executing


def test_a_bench_keeps_the_codecs_that_were_asked_for_last():
    made, ready = [], []

    def make(word, rho):
        made.append((str(word), rho))
        return FakeCodec(rho)

    bench = Bench(SMALL, replace(PARTS, codec=make, ready=lambda codec: ready.append(codec) or codec))
    conditions = {name: Condition(name, 0.5, "awgn", 0.0) for name in "abc"}
    codecs = [bench.codec(conditions[name]) for name in "abab"]
    assert made == [("a", 0.5), ("b", 0.5)] and codecs[0] is codecs[2] and ready == codecs[:2]
    forgotten = weakref.ref(codecs[1])
    del codecs, ready[:]
    for name in "aca":
        bench.codec(conditions[name])
    assert [name for name, _ in made] == ["a", "b", "c"] and forgotten() is None
    bench.codec(conditions["b"])
    assert [name for name, _ in made] == ["a", "b", "c", "b"]
    assert len({id(bench.link(replace(conditions["a"], channel=f"tdl:speed={n % 4}"))) for n in range(8)}) == 4


@pytest.mark.parametrize(("encodes_on", "encodings"), [("nothing", 1), ("snr", 3), ("link", 6)])
def test_an_image_is_encoded_once_for_what_its_encoder_ignores(tmp_path, encodes_on, encodings):
    FakeCodec.calls.clear()
    asked = replace(
        SMALL, codecs=(f"x:encodes_on={encodes_on}",), channels=("awgn", "tdl"), snr_db=(0.0, 5.0, 9.0), limit=2
    )
    run(asked, tmp_path)
    assert len(FakeCodec.calls) == encodings
    told = [tx for _, tx in FakeCodec.calls]
    if encodes_on == "nothing":
        assert told == [None]
    else:
        assert {tx.snr_db for tx in told} == {0.0, 5.0, 9.0}
        assert all((tx.statistics is None) == (encodes_on == "snr") for tx in told)


def test_sharing_an_encoding_changes_no_row(tmp_path):
    channels = ("awgn", "tdl")
    blind = run(replace(SMALL, codecs=("x:encodes_on=nothing",), channels=channels), tmp_path / "a")
    link = run(replace(SMALL, codecs=("x:encodes_on=link",), channels=channels), tmp_path / "b")
    values = [[m.values["psnr"].tolist() for m in outcome.rows.measurements] for outcome in (blind, link)]
    assert values[0] == values[1]


def test_rows_hold_coders_and_exact_bytes_of_codecs_that_name_them():
    streams = (Stream("map", "bits", [b"", b"abc"], uses=64), Stream("coarse", "bits", [b"12345", b"1"], uses=64))
    sent = Transmission(streams, Session(4, 6))
    named = SimpleNamespace(coders={"map": "png", "coarse": "hevc", "caption": "none"})
    found = sizes(named, sent)
    assert found["bytes_map"] == [0, 3] and found["bytes_coarse"] == [5, 1] and found["bytes_caption"] == [0, 0]
    assert found["bpp"] == [8 * 5 / 24, 8 * 4 / 24]
    assert sizes(SimpleNamespace(), sent) == {}
    assert own_variable("bytes_map").units == "byte" and own_variable("bpp").units == "bit"
    assert own_variable("psnr") is None


def test_rows_hold_what_the_link_reported(tmp_path):
    outcome = run(replace(SMALL, channels=("tdl:csi=perfect", "tdl")), tmp_path)
    default, perfect = (
        next(m for m in outcome.rows.measurements if m.condition.channel == c) for c in ("tdl", "tdl:csi=perfect")
    )
    assert (default.csi, perfect.csi) == ("ls", "perfect")
    values = default.values
    assert values["uses_main"].tolist() == [36.0] * 5 and values["uses_total"].tolist() == [38.0] * 5
    assert values["rho_main"][0] == 36 / 72 and values["rho_total"][0] == np.float32(38 / 72)
    assert np.allclose(values["psnr"], -10 * np.log10(values["mse"]), atol=1e-4)
    assert default.notes == {"mcs": "header qpsk"}
    assert values["snr_measured_db"].tolist() == [0.0] * 5
    assert default.images == tuple(f"picture{i}" for i in range(5))


def test_codecs_meet_the_same_fades(tmp_path):
    outcome = run(replace(SMALL, codecs=("a", "b"), channels=("tdl",)), tmp_path)
    by_codec = [
        [m.values["snr_realised_db"].tolist() for m in outcome.rows.measurements if m.condition.codec == c]
        for c in "ab"
    ]
    assert by_codec[0] == by_codec[1]


# --- running, resuming, failing


def test_workers_change_no_row(tmp_path):
    asked = replace(SMALL, codecs=("a", "b"), limit=70)
    one, two = run(asked, tmp_path / "one"), run(asked, tmp_path / "two", workers=2)
    assert table(one) == table(two) and len(table(one)) > 1000
    assert summary(tmp_path / "one") == summary(tmp_path / "two")


def test_nothing_is_measured_twice(tmp_path):
    run(SMALL, tmp_path)
    FakeCodec.calls.clear()
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "blocks").rglob("*.json")}
    again = run(SMALL, tmp_path)
    assert FakeCodec.calls == [] and len(again.rows.measurements) == 2
    assert files == {path: path.stat().st_mtime_ns for path in (tmp_path / "blocks").rglob("*.json")}


def test_adding_keeps_what_is_measured_and_equals_one_large_run(tmp_path):
    run(SMALL, tmp_path / "grown")
    kept = {path: path.read_bytes() for path in (tmp_path / "grown" / "blocks").rglob("*.json")}
    large = replace(SMALL, codecs=("plain", "b"), channels=("awgn", "tdl"), snr_db=(0.0, 5.0, 10.0), limit=50)
    grown, whole = run(large, tmp_path / "grown"), run(large, tmp_path / "whole")
    assert table(grown) == table(whole)
    assert all(path.read_bytes() == content for path, content in kept.items())


def test_fewer_images_than_measured_measure_nothing(tmp_path):
    run(replace(SMALL, limit=20), tmp_path)
    FakeCodec.calls.clear()
    assert len(run(SMALL, tmp_path).rows.measurements[0].images) == 20
    assert FakeCodec.calls == []


@pytest.mark.parametrize(
    ("change", "said"), [({"seed": 1}, "seed 0, now 1"), ({"data": "other"}, "data 'fake', now 'other'")]
)
def test_another_configuration_is_refused_by_name(tmp_path, change, said):
    before = run(SMALL, tmp_path)
    with pytest.raises(SemlinkError, match=said):
        run(replace(SMALL, **change), tmp_path)
    assert table(run(SMALL, tmp_path)) == table(before)


def test_other_images_under_the_same_name_are_refused(tmp_path, monkeypatch):
    run(SMALL, tmp_path)
    monkeypatch.setattr(FakeData, "ids", property(lambda self: [f"new{i}" for i in range(self.n)]))
    with pytest.raises(SemlinkError, match="no longer holds"):
        run(SMALL, tmp_path)


def test_a_damaged_block_is_reported_once_and_measured_again(tmp_path, capsys):
    before = run(SMALL, tmp_path)
    victim = min((tmp_path / "blocks").rglob("*.json"))
    victim.write_bytes(victim.read_bytes()[:-40])
    capsys.readouterr()
    assert table(run(SMALL, tmp_path)) == table(before)
    assert capsys.readouterr().err.count("damaged block file") == 1


def test_killed_at_any_moment_it_continues_to_the_same_rows(tmp_path):
    asked = replace(
        SMALL, codecs=("a:pause=0.05,encodes_on=link", "b:encodes_on=snr"), channels=("awgn", "tdl"), limit=70
    )
    code = f"import test_sweep as t; from test_sweep import Sweep; t.run({asked!r}, {str(tmp_path / 'killed')!r})"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path])}
    for files in (1, 13):
        child = subprocess.Popen([sys.executable, "-c", code], env=environment, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while (
            len(list((tmp_path / "killed").rglob("*.json"))) < files
            and child.poll() is None
            and time.monotonic() < deadline
        ):
            time.sleep(0.005)
        child.send_signal(signal.SIGKILL)
        child.wait()
    measured = len(list(Store(tmp_path / "killed").records()))
    assert 13 <= measured < 4 * 2 * 4 and not (tmp_path / "killed" / "rows.h5").exists()
    continued, whole = run(asked, tmp_path / "killed"), run(asked, tmp_path / "whole")
    assert table(continued) == table(whole)
    assert summary(tmp_path / "killed") == summary(tmp_path / "whole")


@pytest.mark.parametrize(
    ("codec", "said"),
    [
        ("x:fails=encode", "RuntimeError: cannot encode (sweep_fakes.py:"),
        ("x:fails=nan", "psnr is not finite for 1 of"),
        ("absent", "ValueError: no weights"),
        ("leaves", "SystemExit: 0 (sweep_fakes.py:"),
        ("x:fails=exit", "SystemExit: 0 (sweep_fakes.py:"),
        ("x:bad=1", "TypeError"),
    ],
)
def test_a_failing_codec_is_a_failed_row_and_the_sweep_goes_on(tmp_path, codec, said):
    outcome = run(replace(SMALL, codecs=("plain", codec)), tmp_path)
    assert {c.codec for c in outcome.failures} == {codec} and len(outcome.failures) == 2
    assert all(said in error and "\n" not in error for error in outcome.failures.values())
    lines = (tmp_path / "summary.csv").read_text().splitlines()
    failed = [line for line in lines if codec.split(":")[0] + "" in line.split(",")[0] and "nan,nan,nan,0" in line]
    assert any(",psnr,nan,nan,nan,0" in line for line in failed)
    good = [m for m in outcome.rows.measurements if m.condition.codec == "plain"]
    assert len(good) == 2 and all(np.isfinite(m.values["psnr"]).all() for m in good)
    assert json.loads((tmp_path / "run.json").read_text())["failures"]


class LinkOfNothing(FakeLink):
    """Does not know the PAPR of the last image of a block."""

    def run(self, *asked, **told):
        found = super().run(*asked, **told)
        papr = (*found.report.papr_db[:-1], float("nan"))
        return replace(found, report=replace(found.report, papr_db=papr))


def test_nan_in_the_links_own_columns_is_a_failed_row(tmp_path):
    parts = replace(PARTS, link=lambda word: LinkOfNothing(str(word)))
    outcome = runner.run(SMALL, tmp_path, 1, parts)
    assert len(outcome.failures) == 2
    assert all("papr_db is NaN for 1 of" in error for error in outcome.failures.values())


def test_what_failed_and_is_not_asked_for_again_is_left_out(tmp_path):
    typo = replace(SMALL, codecs=("absent",))
    assert len(run(typo, tmp_path).rows.measurements) == 2
    assert {m.condition.codec for m in run(SMALL, tmp_path).rows.measurements} == {"plain"}
    assert "absent" not in (tmp_path / "summary.csv").read_text()
    other = runner.run(replace(SMALL, codecs=("other",)), tmp_path, 1, PARTS, beside=(typo,))
    assert {m.condition.codec for m in other.rows.measurements} == {"absent", "other", "plain"} and not other.failures


def test_what_was_measured_in_part_stays(tmp_path):
    more = replace(SMALL, limit=70)
    run(replace(SMALL, codecs=("x",)), tmp_path)
    assert runner.run(replace(more, codecs=("x",)), tmp_path, 1, replace(PARTS, codec=_failing_codec)).failures
    held = {m.condition.codec: m for m in run(SMALL, tmp_path).rows.measurements}
    assert len(held["x"].images) == 5 and held["x"].error


def _failing_codec(word, rho):
    return FakeCodec(rho, fails="encode")


def test_a_setting_longer_than_a_file_name_is_no_file(tmp_path):
    long = "x:bad=" + "a quiet street at dawn " * 30
    outcome = run(replace(SMALL, codecs=("plain", long)), tmp_path)
    assert {c.codec for c in outcome.failures} == {long} and len(outcome.rows.measurements) == 4


def test_a_mended_codec_replaces_its_failure(tmp_path, monkeypatch):
    assert len(run(replace(SMALL, codecs=("absent",)), tmp_path).failures) == 2
    mended = replace(PARTS, codec=_mended_codec)
    outcome = runner.run(replace(SMALL, codecs=("absent",)), tmp_path, 1, mended)
    assert not outcome.failures and len(outcome.rows.measurements) == 2


def _mended_codec(word, rho):
    return FakeCodec(rho)


@pytest.mark.parametrize(("how", "code"), [("die", 9), ("leave", 0)])
def test_a_dead_worker_is_an_error_and_what_is_measured_is_published(tmp_path, how, code):
    run(SMALL, tmp_path)
    (tmp_path / "rows.h5").unlink()
    with pytest.raises(SemlinkError, match=f"worker process died .exit code {code}; .*is kept"):
        run(replace(SMALL, codecs=("plain", f"x:fails={how}"), limit=70), tmp_path, workers=2)
    held = rows.read(tmp_path / "rows.h5").measurements
    assert [m.condition.codec for m in held] == ["plain"] * 2 and "plain" in (tmp_path / "summary.csv").read_text()
    assert not run(SMALL, tmp_path).failures


def test_a_worker_that_dies_before_anything_is_measured(tmp_path):
    with pytest.raises(SemlinkError, match="worker process died"):
        run(replace(SMALL, codecs=("x:fails=die",), limit=70), tmp_path, workers=2)
    assert rows.read(tmp_path / "rows.h5").measurements == ()


def test_errors_of_the_disk_end_the_run(tmp_path, monkeypatch):
    run(SMALL, tmp_path)
    (tmp_path / "blocks" / Condition("plain", 0.5, "awgn", 5.0).slug()).write_text("in the way")
    with pytest.raises(SemlinkError, match="cannot write"):
        run(replace(SMALL, snr_db=(5.0,)), tmp_path)
    assert len(rows.read(tmp_path / "rows.h5").measurements) == 2


def test_a_disk_that_is_full_when_the_rows_are_written(tmp_path):
    before = run(SMALL, tmp_path)
    code = (
        "import resource, test_sweep as t; from semlink.simulator.study import cli\n"
        "def main(flags):\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000))\n"
        f"    t.run(t.replace(t.SMALL, codecs=('b',)), {str(tmp_path)!r})\n"
        "raise SystemExit(cli.run(main, cli.Flags(), []))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path])}
    child = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    said = child.stderr.splitlines()
    assert child.returncode == 2 and "error: cannot write" in said[-1] and "Traceback" not in child.stderr
    assert table(before).items() <= table(run(replace(SMALL, codecs=("b",)), tmp_path)).items()
    assert not list(tmp_path.rglob("*aside*"))


def test_run_json_says_what_was_run(tmp_path):
    run(SMALL, tmp_path)
    found = json.loads((tmp_path / "run.json").read_text())
    assert found["configuration"]["snr_db"] == [0.0, 10.0] and found["configuration"]["seed"] == 0
    assert found["block_size"] == 32 and found["versions"]["torch"] and found["duration_s"] > 0
    assert os.uname().nodename not in json.dumps(found) and str(Path.home()) not in json.dumps(found)


def test_the_first_picture_is_kept_for_the_strip(tmp_path):
    from PIL import Image

    from semlink.simulator.records.store import picture_path

    outcome = run(SMALL, tmp_path)
    original = np.asarray(Image.open(picture_path(tmp_path, None)))
    expected = (FakeData(1).batch([0])[0].permute(1, 2, 0) * 255).round().byte().numpy()
    assert np.array_equal(original, expected)
    received = np.asarray(Image.open(picture_path(tmp_path, outcome.rows.measurements[0].condition)))
    psnr = -10 * np.log10(((received / 255.0 - original / 255.0) ** 2).mean())
    assert psnr == pytest.approx(outcome.rows.measurements[0].values["psnr"][0], abs=0.1)
