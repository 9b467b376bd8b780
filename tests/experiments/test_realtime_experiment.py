"""experiments/realtime.py: controllers against fixed periods on clips with cuts, without a network."""

import csv
from dataclasses import replace

import pytest
from scripts import loaded

from semlink.simulator.data import clips
from semlink.simulator.errors import SemlinkError
from semlink.simulator.records import rows
from semlink.simulator.study.command import COMMANDS


@pytest.fixture(scope="module")
def experiment():
    with loaded("realtime") as module:
        yield module


@pytest.fixture(scope="module")
def flags(experiment, tmp_path_factory):
    return experiment.RealtimeFlags(
        out=tmp_path_factory.mktemp("realtime"),
        data="synthetic/cut",
        size="64",
        frames=26,
        codecs=("cvsc:steps=0",),
        controllers=("fixed", "regret2", "adaptive"),
        gops=(16,),
        rho=(0.025,),
        metrics=("psnr", "psnr_p5", "psnr_after_cut"),
        show="cut",
    )


@pytest.fixture(scope="module")
def run(experiment, flags):
    assert experiment.main(flags) == 0
    return rows.read(flags.out / "rows.h5")


def test_words_are_those_of_controllers_periods_and_the_clock(experiment, flags):
    found = {arm.label: arm.word for arm in experiment.arms(flags)}
    assert found == {
        "fixed 16": "cvsc:clock=simulated,controller=fixed,fixed_ms=25,gop=16,step_ms=20,steps=0",
        "regret2": "cvsc:clock=simulated,controller=regret2,fixed_ms=25,step_ms=20,steps=0",
        "adaptive": "cvsc:clock=simulated,controller=regret2,fixed_ms=25,profile=conversational,step_ms=20,steps=0",
    }
    wall = replace(flags, clock="wall", spike="3-5x2", profile="80")
    assert experiment.arms(wall)[-1].word == "cvsc:clock=wall,controller=regret2,profile=80,steps=0"
    spiked = replace(flags, spike="3-5x2", controllers=("none",))
    assert experiment.arms(spiked)[0].word.endswith("spike=3-5x2,step_ms=20,steps=0")


@pytest.mark.slow
def test_a_controller_that_sees_the_cut_is_better_after_it(flags, run):
    with open(flags.out / "controllers.csv", newline="") as file:
        told = {(line["controller"], line["metric"]): float(line["mean"]) for line in csv.DictReader(file)}
    assert told["regret2", "psnr_after_cut"] > told["fixed 16", "psnr_after_cut"] + 3
    assert told["regret2", "met_at_once"] == 1 > told["fixed 16", "met_at_once"]
    assert all(told[label, "rho_total"] <= 0.025 for label in ("fixed 16", "regret2", "adaptive"))
    split = sum(told["regret2", f"rho_{kind}"] for kind in ("anchors", "packets", "heads"))
    assert split == pytest.approx(told["regret2", "rho_total"], rel=1e-4)


@pytest.mark.slow
def test_every_point_is_told_with_its_best_period(flags, run):
    with open(flags.out / "versus_fixed.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [(line["controller"], line["clip"], line["best_psnr"]) for line in lines] == [
        (name, "cut", "fixed 16") for name in ("regret2", "adaptive")
    ]
    assert all(float(line["gain_psnr_p5"]) > 1 for line in lines)


@pytest.mark.slow
def test_simulated_time_is_in_the_rows_and_the_clip_is_shown(flags, run):
    for m in run.measurements:
        assert m.values["latency_p50"] == pytest.approx(0.025, abs=0.002)
        assert (m.values["missed"] == 0).all()
    shown = flags.out / "show_cut"
    assert {"frames.csv", "frames.png", "side_by_side.mp4"} <= {path.name for path in shown.iterdir()}
    with open(shown / "frames.csv", newline="") as file:
        frames = list(csv.DictReader(file))
    assert {line["codec"] for line in frames} == {"fixed 16", "adaptive"}
    assert sum(line["anchor"] == "True" for line in frames) >= 4


def test_nonsense_is_refused_before_anything_is_measured(experiment, flags):
    for wrong, said in (
        ({"controllers": ("fixed", "best")}, "unknown controller 'best'; known: fixed"),
        ({"gops": (0,)}, "from 1 on"),
    ):
        with pytest.raises(SemlinkError, match=said):
            replace(flags, **wrong).check_names()
    with pytest.raises(SemlinkError, match="needs psnr_p5"):
        experiment.check(replace(flags, metrics=("psnr",)))


def test_a_part_comes_with_its_montages(experiment, data_root):
    asked = experiment.data_of(replace(experiment.RealtimeFlags(), data="video/test", size="64"))
    assert asked == "video/test+montage_test+montage_aba@64x64"
    assert experiment.data_of(replace(experiment.RealtimeFlags(), data="video/foreman")) == "video/foreman@128x128"


def test_films_are_only_of_clips_that_may_be_passed_on(data_root):
    for name, may in (("bunny_open", True), ("drive", True), ("foreman", False), ("montage_test", False)):
        (source,) = clips.load(f"video/{name}").sources
        (slow,) = clips.load(f"video/{name}@64,10fps").sources
        assert clips.may_ship(source) == clips.may_ship(slow) == may and slow.fps == 10
    assert all(map(clips.may_ship, clips.load("synthetic/cut").sources))


def test_of_one_s_own_files_one_knows_oneself(tmp_path):
    assert clips.may_ship(clips.FileSource(tmp_path / "foreman.mp4", 25.0, 3, name="foreman.mp4"))


def test_the_command_is_known():
    assert COMMANDS["realtime"] == "realtime"
