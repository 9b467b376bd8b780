"""Conditions stop when they are precise enough: at fixed numbers of blocks, so with the same rows whoever measures."""

from __future__ import annotations

import json
import math
import random
from dataclasses import replace

import numpy as np
import pytest
from sweep_fakes import PARTS, FakeLink

from semlink.simulator.analysis import statistics
from semlink.simulator.executors import Local
from semlink.simulator.records import rows
from semlink.simulator.records.store import Condition, Identity, Record, Store
from semlink.simulator.records.sweep import Sweep
from semlink.simulator.sweep import precision, runner
from semlink.simulator.sweep.plan import ImageBlock

ASKED = Sweep(("plain",), ("awgn",), (0.0, 10.0), (0.5,), ("psnr",), data="fake", limit=400, target_ci=0.3)


def run(asked, out, where=1, parts=PARTS):
    return runner.run(asked, out, where, parts)


def measured(out):
    """What was measured: the blocks of each condition, and their numbers."""
    return {
        (r.condition, r.block): {name: v for name, v in r.values.items() if not name.endswith("_s")}
        for r in Store(out).records()
    }


class Shuffled:
    """Does the tasks in any order, and ends after so many results, as by a kill."""

    def __init__(self, seed, after=10**9):
        self.dice, self.after = random.Random(seed), after

    def run(self, prepare, tasks):
        perform = prepare()
        while tasks:
            self.dice.shuffle(tasks)
            for result in perform(tasks.popleft()):
                self.after -= 1
                if self.after < 0:
                    raise KeyboardInterrupt
                yield result


# --- when is decided


def test_checkpoints_grow_by_a_quarter_and_end_with_the_set():
    for sizes in ([32], [32, 6], [32, 6] + [32] * 40, [32] * 313, [1] * 48, [1] * 500):
        found = precision.checkpoints(sizes)
        assert found[-1] == len(sizes) and list(found) == sorted(set(found))
        images = [sum(sizes[:n]) for n in found]
        assert len(found) == 1 or images[0] >= 64
        assert all(b < 1.25 * a + 32 for a, b in zip(images, images[1:], strict=False))


def test_every_prefix_of_the_order_lies_all_over_the_set():
    for count in (1, 2, 3, 7, 64, 100):
        found = [b.index for b in precision.spread([ImageBlock(i, (i,), (str(i),), 1, 1) for i in range(count)])]
        assert sorted(found) == list(range(count))
        for n in (n for n in (8, 16, 32) if n <= count // 2):
            places = [-1, *sorted(found[:n]), count]
            assert max(np.diff(places)) <= 4 * count / n


def part(values, block=0, **more):
    columns = {"psnr": tuple(values)} | more
    record = Record(
        Identity("d", 0, 32, "0"), Condition("c", 0.5, "awgn", 0.0), block, ("i",) * len(values), (0,), ("psnr",)
    )
    return precision.part_of(replace(record, values=columns), ("psnr",))


def test_the_interval_is_that_of_the_summary():
    values = np.random.default_rng(0).normal(30, 3, 300)
    parts = [part(values[i : i + 32].tolist()) for i in range(0, 300, 32)]
    whole = statistics.mean_interval(values)
    found = precision.precision(parts, "psnr", decibels=True)
    assert found.half == pytest.approx(whole.high - whole.mean, rel=1e-12) and (found.n, found.missing) == (300, 0)
    assert precision.precision(parts, "psnr", decibels=False).half == pytest.approx(found.half / whole.mean, rel=1e-12)


def test_what_is_not_finite_is_counted_and_in_no_mean():
    known = part([1.0, 2.0, 4.0])
    other = part([math.inf, math.nan, 3.0])
    found = precision.precision([known, other], "psnr", True)
    assert (found.n, found.missing) == (4, 2)
    assert found.half == pytest.approx(precision.precision([known, part([3.0])], "psnr", True).half)
    verdict = precision.Verdict(6, True, {"psnr": found})
    said = list(precision.remarks({Condition("c", 0.5, "awgn", 0.0): verdict}, 10))
    assert said[-1] == "2 numbers are not finite, and are in no mean"
    assert math.isnan(precision.precision([part([1.0])], "psnr", True).half)


# --- what is measured


def test_a_condition_stops_at_the_first_checkpoint_where_it_is_precise(tmp_path, capsys):
    outcome = run(ASKED, tmp_path)
    whole = {m.condition: m for m in run(replace(ASKED, target_ci=None), tmp_path / "whole").rows.measurements}
    sizes = {len(m.images) for m in outcome.rows.measurements}
    assert len(sizes) == 2 and max(sizes) < 400 and min(sizes) >= 64
    data = PARTS.dataset("fake", 400)
    order = precision.spread(runner.blocks(data.ids, data.sizes()))
    for m in outcome.rows.measurements:
        halves = []
        for n in precision.checkpoints([len(block.images) for block in order]):
            places = sorted(p for block in order[:n] for p in block.positions)
            interval = statistics.mean_interval(whole[m.condition].values["psnr"][places])
            halves.append((interval.high - interval.mean, tuple(places)))
        first = next(places for half, places in halves if half <= 0.3)
        assert m.positions == first
    assert "2 of 2 points are precise enough after" in capsys.readouterr().err
    told = json.loads((tmp_path / "run.json").read_text())["stopped"]
    assert all(v["reached"] and v["half_widths"]["psnr"] <= 0.3 for v in told.values()) and len(told) == 2


def test_the_summary_is_over_each_conditions_own_pictures(tmp_path):
    outcome = run(ASKED, tmp_path)
    assert outcome.rows.stops() and rows.read(tmp_path / "rows.h5").stops()
    lines = [line for line in statistics.summarise(outcome.rows) if line.metric == "psnr"]
    assert [line.n for line in lines] == [len(m.images) for m in outcome.rows.measurements]
    assert all((line.ci95_high - line.ci95_low) / 2 <= 0.3 * (1 + 1e-6) for line in lines)


def test_the_order_of_answers_changes_nothing(tmp_path):
    asked = replace(ASKED, codecs=("a", "b:encodes_on=snr"))
    run(asked, tmp_path / "one")
    run(asked, tmp_path / "other", Shuffled(0))
    assert measured(tmp_path / "other") == measured(tmp_path / "one")


def test_stopped_anywhere_it_continues_to_the_same_blocks(tmp_path):
    run(ASKED, tmp_path / "one")
    for after in (1, 3):
        with pytest.raises(KeyboardInterrupt):
            run(ASKED, tmp_path / "killed", Shuffled(after, after))
    run(ASKED, tmp_path / "killed")
    assert measured(tmp_path / "killed") == measured(tmp_path / "one")


def test_a_share_of_the_mean_is_meant_where_a_metric_is_not_in_decibels(tmp_path):
    (m,) = run(replace(ASKED, metrics=("mae",), snr_db=(0.0,), target_ci=0.05), tmp_path).rows.measurements
    interval = statistics.mean_interval(m.values["mae"])
    assert (interval.high - interval.mean) / interval.mean <= 0.05 and 64 <= len(m.images) < 400


def test_the_end_of_the_set_is_the_cap_and_is_said(tmp_path, capsys):
    outcome = run(replace(ASKED, limit=70, target_ci=0.01), tmp_path)
    assert [len(m.images) for m in outcome.rows.measurements] == [70, 70]
    assert capsys.readouterr().err.count("not precise enough at the end of the set: plain rho 0.5 awgn") == 2


class SomeLost(FakeLink):
    """One picture in ten loses a block, or as many as the channel's name says."""

    def run(self, transmission, snr_db, seed=0, first_image=0):
        found = super().run(transmission, snr_db, seed, first_image)
        errors = tuple(int((first_image + i) % 10 == 0) for i in range(len(found.report.blocks)))
        return replace(found, report=replace(found.report, block_errors=errors))


class NoBits(FakeLink):
    """Sends no bits."""

    def run(self, *asked, **told):
        found = super().run(*asked, **told)
        return replace(found, report=replace(found.report, blocks=(), block_errors=()))


@pytest.mark.parametrize("ci", [None, 1.0])
def test_error_rates_stop_on_pictures_that_lost_bits(tmp_path, ci):
    parts = replace(PARTS, link=lambda word: SomeLost(str(word)))
    asked = replace(ASKED, snr_db=(0.0,), target_ci=ci, target_lost=12)
    (m,) = run(asked, tmp_path, 1, parts).rows.measurements
    assert len(statistics.lost(m)) >= 12 and 100 <= len(m.images) <= 200
    if ci:
        assert len(run(replace(asked, target_lost=None), tmp_path / "b", 1, parts).rows.measurements[0].images) < 100


@pytest.mark.parametrize(("ci", "images"), [(None, 200), (1.0, 64)])
def test_points_without_bits_have_none_to_lose(tmp_path, ci, images):
    parts = replace(PARTS, link=lambda word: NoBits(str(word)))
    asked = replace(ASKED, snr_db=(10.0,), target_ci=ci, target_lost=50, limit=200)
    (m,) = run(asked, tmp_path, 1, parts).rows.measurements
    assert images <= len(m.images) <= images + 32


def test_a_condition_that_fails_stops_and_the_others_go_on(tmp_path):
    outcome = run(replace(ASKED, codecs=("plain", "x:fails=nan")), tmp_path)
    assert {c.codec for c in outcome.failures} == {"x:fails=nan"}
    assert all("not finite for 1 of" in error for error in outcome.failures.values())
    assert len([r for r in Store(tmp_path).records() if r.condition.codec == "x:fails=nan"]) <= 2 * 3
    good = {m.condition: m.images for m in outcome.rows.measurements if m.condition.codec == "plain"}
    assert good == {m.condition: m.images for m in run(ASKED, tmp_path / "alone").rows.measurements}


@pytest.mark.slow
def test_processes_measure_the_same(tmp_path):
    run(ASKED, tmp_path / "one")
    run(ASKED, tmp_path / "three", Local(3))
    assert measured(tmp_path / "three") == measured(tmp_path / "one")
