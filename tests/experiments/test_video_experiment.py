"""experiments/video.py: rows do not depend on how a run is cut, a clip is shown as the sweep measured it."""

import csv
import signal
import subprocess
import sys
import time
from dataclasses import replace
from itertools import islice

import av
import numpy as np
import pytest
import torch
from PIL import Image
from scripts import loaded

from semlink.codecs._regions import pyramid
from semlink.codecs._regions.unet import segment
from semlink.simulator.analysis.clips import Moment, Original, Seer, Trace, check, summary
from semlink.simulator.data import clips
from semlink.simulator.errors import SemlinkError
from semlink.simulator.figures.clips import captioned, side_by_side
from semlink.simulator.records import rows
from semlink.simulator.study import cli
from semlink.simulator.sweep import clips as clip_sweep


@pytest.fixture(scope="module")
def experiment():
    with loaded("video") as module:
        yield module


@pytest.fixture(scope="module")
def flags(experiment, tmp_path_factory):
    return experiment.VideoFlags(
        out=tmp_path_factory.mktemp("video"),
        data="synthetic/pan+cut",
        size="32",
        frames=26,
        codecs=("intra:codec=adjscc",),
        snr=(0.0, 20.0),
        rho=(1 / 12,),
        metrics=("psnr", "psnr_p5", "psnr_after_cut", "motion_energy", "seam_ratio", "intact"),
        show="cut",
    )


@pytest.fixture(scope="module")
def run(experiment, flags):
    assert experiment.main(flags) == 0
    return rows.read(flags.out / "rows.h5")


def test_a_better_channel_gives_better_clips(run):
    low, high = (m.values["psnr"] for m in run.measurements)
    assert (high > low + 2).all()
    assert run.measurements[0].images == ("pan", "cut")


def test_what_no_clip_or_codec_has_is_not_asked_for(run):
    (first, _) = run.measurements
    assert "seam_ratio" not in first.values  # frame by frame there are no seams
    assert np.isnan(first.values["psnr_after_cut"][0]) and np.isfinite(first.values["psnr_after_cut"][1])


def test_all_uses_count_and_keep_to_the_rate(run):
    for m in run.measurements:
        assert (m.values["rho_total"] <= 1 / 12 + 1e-6).all()
        assert m.values["peak"] == pytest.approx(1)


def test_a_clip_alone_has_the_same_rows(experiment, flags, run, tmp_path):
    alone = replace(flags, out=tmp_path, data="synthetic/pan", snr=(20.0,), show="")
    assert experiment.main(alone) == 0
    (m,) = rows.read(tmp_path / "rows.h5").measurements
    whole = run.measurements[1]
    for name in ("psnr", "psnr_p5", "motion_energy", "snr_measured_db"):
        assert m.values[name][0] == whole.values[name][0], name


@pytest.mark.slow
def test_killed_in_the_middle_it_continues_to_the_same_rows(experiment, flags, tmp_path):
    """Codecs whose ends have state and hear reports: killed after one clip and after three, in other processes."""
    asked = replace(
        flags, codecs=("h265", "cvsc:controller=regret"), data="synthetic/pan+cut+zoom", snr=(10.0,), show=""
    )
    words = ["--data", asked.data, "--size", "32", "--frames", "26", "--rho", "1/12", "--snr", "10"]
    words += ["--codecs", *asked.codecs, "--metrics", *asked.metrics, "--out", str(tmp_path / "killed")]
    for clips_done in (1, 3):
        child = subprocess.Popen([sys.executable, experiment.__file__, *words], stderr=subprocess.DEVNULL)
        while len(list((tmp_path / "killed").rglob("blocks/*/*.json"))) < clips_done and child.poll() is None:
            time.sleep(0.01)
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert not (tmp_path / "killed" / "rows.h5").exists()
    found = []
    for name in ("killed", "whole"):
        assert experiment.main(replace(asked, out=tmp_path / name)) == 0
        found.append(rows.read(tmp_path / name / "rows.h5").measurements)
    for one, other in zip(*found, strict=True):
        assert one.condition == other.condition and one.images == other.images == ("pan", "cut", "zoom")
        for metric in asked.metrics[:-2] + ("rho_total", "peak", "intact"):
            np.testing.assert_array_equal(one.values[metric], other.values[metric], metric)


def test_the_same_command_measures_nothing_again(experiment, flags, run):
    files = {p: p.stat().st_mtime_ns for p in (flags.out / "blocks").glob("*/*.json")}
    assert len(files) == 4  # a clip is the unit
    assert experiment.main(replace(flags, show="")) == 0
    assert {p: p.stat().st_mtime_ns for p in (flags.out / "blocks").glob("*/*.json")} == files


def test_the_clip_that_is_shown_is_the_one_that_was_measured(flags, run):
    folder = flags.out / "show_cut"
    told = [*csv.DictReader(open(folder / "frames.csv"))]
    assert len(told) == 26
    assert np.mean([float(line["psnr"]) for line in told]) == pytest.approx(
        run.measurements[1].values["psnr"][1], abs=1e-3
    )
    with av.open(str(folder / "side_by_side.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == 26
    assert (folder / "frames.png").exists()
    with Image.open(folder / "still.png") as still, av.open(str(folder / "side_by_side.mp4")) as container:
        middle = next(islice(container.decode(video=0), 13, None)).to_ndarray(format="rgb24")
        assert np.abs(np.array(still.convert("RGB"), float) - middle).mean() < 12  # 256 colours, and H.264
    page = (flags.out / "report.html").read_text()
    assert page.count("data:video/mp4;base64,") == 1 and "cut: side by side" in page


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"codecs": ("h266",)}, "unknown video codec"),
        ({"codecs": ("h265:gob=8",)}, "gop"),
        ({"metrics": ("lpips_alex",)}, "64 px"),
        ({"metrics": ("vmaf",)}, "unknown metric of clips"),
        ({"show": "nothing"}, "not among the clips"),
        ({"data": "nowhere"}, "no such file"),
        ({"frames": 1}, "two or more"),
        ({"rho": (0.0,)}, "--rho"),
        ({"versus": "h265"}, "not among --codecs"),
        ({"snr": (float("nan"),)}, "--snr"),
    ],
)
def test_nonsense_is_told_before_anything_is_measured(experiment, flags, change, said):
    with pytest.raises(SemlinkError, match=said):
        cli.check(replace(flags, **change))
        experiment.check(replace(flags, **change))


def test_a_clip_that_stands_still_is_told_by_its_trace():
    one = clips.load("synthetic/pan@64x64x12")[0]
    trace = Trace(("psnr", "motion_energy", "frozen", "warping_ratio", "tlp"))
    first = None
    for moment in Original(one.levels, 12, True):
        first = moment.frame if first is None else first
        trace.add(moment, first, False, True, 1.0)
    found = summary(trace, (), 1)
    assert found["motion_energy"] == 0 and found["frozen"] == 1
    assert found["warping_ratio"] > 1 and found["tlp"] > 0  # what stands is not where the flow says


def test_the_original_itself_is_perfect():
    one = clips.load("synthetic/pan@64x64x12")[0]
    trace = Trace(("psnr", "psnr_p5", "ssim", "motion_energy", "motion_correlation", "frozen", "warping_ratio", "tlp"))
    for moment in Original(one.levels, 12, True):
        trace.add(moment, moment.frame, False, True, 1.0)
    found = summary(trace, (), 1)
    assert found["psnr"] == found["psnr_p5"] == 100 and found["ssim"] == pytest.approx(1)
    assert found["motion_energy"] == found["motion_correlation"] == pytest.approx(1)
    assert (found["frozen"], found["tlp"]) == (0, 0) and found["warping_ratio"] == pytest.approx(1)


def test_miou_of_a_clip_is_that_of_all_its_pixels():
    """Against counting by hand: a segmenter that calls bright pixels 1, shown frames of which a part is dark."""
    seer = Seer(lambda pictures: (pictures.mean(1) > 0.5).long(), 3)
    trace = Trace(("psnr", "miou"), seer)
    source = torch.zeros(3, 64, 64)
    source[:, :, 32:] = 1
    for dark in (0, 16, 32):  # rows of 64, that are shown so
        shown = source.clone()
        shown[:, :dark] = 0
        trace.add(Moment(source), shown, False, True, 1.0)
    lost = (16 + 32) / 3 / 64  # of the bright pixels
    assert summary(trace, (), 1)["miou"] == pytest.approx(
        ((1 - lost) + 1 / (1 + lost)) / 2
    )  # the third class is nowhere
    assert "miou" not in summary(Trace(("psnr",), None, trace.columns), (), 1)


def test_who_scores_clips_has_no_part_in_a_codec():
    assert clip_sweep.seer_of(("psnr",)) is None
    seer = clip_sweep.seer_of(("miou",))
    picture = torch.rand(1, 3, 32, 48, generator=torch.Generator().manual_seed(0))
    assert torch.equal(seer.labels(picture), segment(pyramid.load(), picture)) and seer.classes == 11


def test_an_original_is_the_same_when_it_is_kept_and_when_it_is_read_again():
    one = clips.load("synthetic/zoom@32x32x6")[0]
    kept, again = Original(one.levels, 6, True), Original(one.levels, 10**6, True)
    for _ in range(2):
        for a, b in zip(kept, again, strict=True):
            assert torch.equal(a.frame, b.frame) and a.own == b.own
    assert isinstance(next(iter(kept)), Moment)


def test_small_frames_and_unknown_metrics_are_refused():
    with pytest.raises(SemlinkError, match="64 px"):
        check(("tlp",), 32, 32)


def test_frames_side_by_side_keep_their_colours():
    red, blue = (np.full((20, 30, 3), colour, np.uint8) for colour in ((255, 0, 0), (0, 0, 255)))
    row = side_by_side([red, blue], ["red", "blue"])
    assert row.shape[0] % 2 == row.shape[1] % 2 == 0
    assert tuple(row[-1, 0]) == (255, 0, 0) and tuple(row[-1, -1]) == (0, 0, 255)
    assert captioned(red, "x").shape == (9 * 20 + 30, 9 * 30, 3), "at least 256 px, by a whole factor"
