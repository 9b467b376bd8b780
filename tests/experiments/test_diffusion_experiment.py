"""experiments/diffusion.py: what is compared with what, numbers of steps, FID in time, and a small real run."""

import csv
import json
import os
import sys
from dataclasses import replace
from importlib.metadata import EntryPoint
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image
from scripts import loaded

from semlink.channels.base import registry
from semlink.codecs._diffusion.networks import make_scheduler, make_unet
from semlink.codecs._diffusion.range_null import RangeNullPipeline
from semlink.simulator import SemlinkError
from semlink.simulator.analysis import set_fid
from semlink.simulator.analysis.statistics import Interval
from semlink.simulator.conformance.codec import smooth_pictures
from semlink.simulator.figures import strips
from semlink.simulator.figures.tradeoff import Point, frontier, tradeoff
from semlink.simulator.metrics import inception
from semlink.simulator.records.rows import Measurement, Rows
from semlink.simulator.records.store import Condition
from semlink.simulator.study import cli

SGD = ("guided:guidance=none,steps=0", "guided:guidance=none", "guided:guidance=edges", "guided")
PICTURES = 24


class Guided:
    """A codec as its words see it: with guides, and with steps that follow the noise level by default."""

    capabilities = {"steps": "budget", "guidance": "edges/tag"}

    def __init__(self, rho: float = 1 / 24, guidance: str = "edges/tag", steps: int | str = "budget") -> None:
        self.rho, self.guidance, self.steps = rho, guidance, steps


@pytest.fixture(autouse=True)
def known_codec(monkeypatch: pytest.MonkeyPatch) -> None:
    """`guided` comes by an entry point, as a third party's codec does."""
    module = ModuleType("codec_with_guides")
    module.Guided = Guided
    monkeypatch.setitem(sys.modules, module.__name__, module)
    point = EntryPoint("guided", f"{module.__name__}:Guided", "semlink.codecs")
    monkeypatch.setattr(registry, "installed", lambda group: [point] if group == point.group else [])


@pytest.fixture(scope="module")
def experiment():
    with loaded("diffusion") as module:
        yield module


@pytest.fixture
def flags(experiment):
    return experiment.DiffusionFlags(
        codecs=("adjscc", "ddnm", "ddnm:mode=paper,steps=3", *SGD), steps=(8, 4), snr=(0.0,)
    )


def test_each_is_compared_with_what_it_lacks(experiment, flags):
    plain = ("adjscc", SGD[0])
    for codec in plain:
        assert experiment.counterparts(flags, codec) == ()
    assert experiment.counterparts(flags, "ddnm") == plain == experiment.counterparts(flags, SGD[1])
    assert experiment.counterparts(flags, SGD[2]) == (*plain, SGD[1]) == experiment.counterparts(flags, SGD[3])
    assert experiment.counterparts(replace(flags, codecs=SGD[2:]), SGD[2]) == ()


def test_numbers_of_steps(experiment, flags):
    found = {base: {n: entry.codec for n, entry in of.items()} for base, of in experiment.stepped(flags).items()}
    assert found["ddnm"] == {4: "ddnm:steps=4", 8: "ddnm:steps=8"}
    assert found["ddnm:mode=paper"] == {4: "ddnm:mode=paper,steps=4", 8: "ddnm:mode=paper,steps=8"}
    assert found["guided"] == {4: "guided:steps=4", 8: "guided:steps=8", None: "guided"}
    assert set(found) == {"ddnm", "ddnm:mode=paper", *SGD[1:]}
    assert experiment.stepped(replace(flags, steps=())) == {}


def test_steps_are_asked_for_at_one_place(experiment, flags):
    several = replace(
        flags, channels=("awgn", "rayleigh"), rho=(1 / 24, 1 / 12), metrics=("psnr", "fid"), steps_snr=7.0
    )
    first, second = experiment.questions(several)
    assert len(first.conditions()) == 7 * 2 * 2 and first.metrics == ("psnr", "fid_inception")
    assert {(c.channel, c.rho, c.snr_db) for c in second.conditions()} == {("awgn", 1 / 24, 7.0)}
    assert len(second.conditions()) == 2 + 2 + 2 + 3 * 3 and second.metrics == ("psnr",)
    for without in (replace(flags, steps=()), replace(flags, codecs=("adjscc",))):
        assert len(experiment.questions(without)) == 1


def rows_of(codec: str, **values: np.ndarray) -> Measurement:
    places = tuple(range(len(values["psnr"])))
    columns = {"rho_main": np.full(len(places), 0.04), "rho_total": np.full(len(places), 0.04), **values}
    return Measurement(Condition(codec, 1 / 24, "awgn", 0.0), "perfect", tuple(map(str, places)), places, columns)


def test_differences_are_paired_and_only_to_counterparts(experiment, flags):
    level = 25 + 3 * np.random.default_rng(0).standard_normal(30)
    gains = dict(zip(("adjscc", "ddnm", *SGD), (0, 1, 0.2, 1.5, 2, 2.2), strict=True))
    seconds = np.full(30, 0.1)
    rows = Rows(
        tuple(rows_of(c, psnr=level + g, lpips_alex_up64=1 - level / 99, decode_s=seconds) for c, g in gains.items()),
        attributes={"configuration": json.dumps({"metrics": ["psnr", "lpips_alex"]})},
    )
    asked = replace(flags, codecs=tuple(gains), rho=(1 / 24,), metrics=("psnr", "lpips_alex"))
    assert experiment.shown(rows) == ["psnr", "lpips_alex_up64"]
    (panel,) = experiment.paired(asked, rows).values()
    found = {r.label: r for r in panel if r.line.metric == "psnr"}
    assert found[SGD[2]].minus[SGD[1]].mean == pytest.approx(0.5) and found["adjscc"].minus == {}
    assert set(found["ddnm"].minus) == {"adjscc", SGD[0]}
    assert found["ddnm"].minus["adjscc"].high - found["ddnm"].minus["adjscc"].low < 1e-6
    text = "\n".join(experiment.answer(asked, rows).texts)
    assert "  minus guided:guidance=none  " in text and "LPIPS (AlexNet), upsampled to 64 px" in text


# --- figure of the trade-off


def point(steps, seconds, quality):
    return Point(steps, seconds, Interval(quality, quality - 0.01, quality + 0.01, 9))


def test_frontier():
    at = [point(n, s, q) for n, s, q in ((4, 1, 0.3), (8, 2, 0.35), (12, 3, 0.2), (50, 9, 0.1), (20, 9, 0.15))]
    assert [p.steps for p in frontier(at, "lower")] == [4, 12, 50]
    assert [p.steps for p in frontier(at, "higher")] == [4, 8]
    assert frontier([], "lower") == []


def test_the_figure_marks_steps_budget_and_plain(experiment):
    failed = Point(50, float("nan"), Interval(float("nan"), float("nan"), float("nan"), 0))
    decoders = {
        "adjscc": [point(0, 0.01, 0.4)],
        "guided": [point(None, 0.3, 0.22), point(12, 0.5, 0.21), point(4, 0.2, 0.3), failed],
        "ddnm": [failed],
    }
    figure = tradeoff(decoders, experiment.describe("lpips_alex"), "awgn")
    left, right = figure.axes
    assert right.get_xscale() == "log" and [t.get_text() for t in left.get_xticklabels()] == ["4", "12"]
    texts = [t.get_text() for t in figure.legends[0].get_texts()]
    assert texts[:2] == ["adjscc", "guided"]
    marks = ["4 steps", "12 steps", "steps by the noise level", "no diffusion", "nothing is better and faster"]
    assert texts[2:] == marks
    grey, *own = [line.get_xdata() for line in right.lines if len(line.get_xdata()) > 1]
    assert list(grey) == [0.01, 0.2, 0.3, 0.5] and list(own[0]) == [0.2, 0.5]
    assert "lower is better" in left.get_ylabel()


# --- a real run


@pytest.fixture(scope="module")
def ran(experiment, tmp_path_factory):
    """24 pictures through a prior of random weights, with FID of the pictures' mean colours."""
    folder = tmp_path_factory.mktemp("diffusion")
    torch.manual_seed(0)
    RangeNullPipeline(make_unet(12, (16, 32)).eval(), make_scheduler("v_prediction"), 2).save_pretrained(
        folder / "prior"
    )
    (folder / "data").mkdir()
    for i, picture in enumerate(smooth_pictures(PICTURES, 24, 32)):
        levels = (255 * picture.permute(1, 2, 0)).round().byte().numpy()
        Image.fromarray(levels).save(folder / "data" / f"{i:02d}.png")
    word = f"ddnm:pool=1,prior={folder / 'prior'},sigma_y=0.05"
    flags = experiment.DiffusionFlags(
        out=folder / "out",
        data=str(folder / "data"),
        codecs=("adjscc", f"{word},steps=2"),
        snr=(0.0, 10.0),
        metrics=("psnr", "ssim", "fid"),
        steps=(1, 3),
        steps_snr=10.0,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inception, "find", lambda: None)
        patch.setattr(inception, "features", lambda pictures: pictures.mean((2, 3)))
        patch.setattr(set_fid, "LEAST", PICTURES)
        code = experiment.main(flags)
        before = {path: os.stat(path).st_mtime_ns for path in (flags.out / "blocks").glob("*/*.json")}
        again = experiment.main(flags)
        after = {path: os.stat(path).st_mtime_ns for path in (flags.out / "blocks").glob("*/*.json")}
    return flags, (code, again), (before, after)


def read(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_the_same_command_measures_nothing_again(ran):
    flags, codes, (before, after) = ran
    assert codes == (0, 0) and before == after and len(before) == 2 * 2 + 2


def test_a_real_run_leaves_paired_differences_at_equal_uses(ran):
    flags, *_ = ran
    lines = read(flags.out / "diffusion.csv")
    assert {line["metric"] for line in lines} == {"psnr", "ssim", "decode_s", "fid_inception"}
    assert {line["rho_total"] for line in lines} == {"0.0833333"} and {line["n"] for line in lines} == {str(PICTURES)}
    found = {(line["codec"], line["snr_db"], line["metric"]): line for line in lines}
    for metric in ("psnr", "fid_inception"):
        plain, ours = (found[codec, "0", metric] for codec in flags.codecs)
        assert plain["minus_adjscc"] == "nan"
        assert float(ours["minus_adjscc"]) == pytest.approx(
            float(ours["mean"]) - float(plain["mean"]), rel=1e-4, abs=1e-6
        )
        low, high = (float(ours[f"minus_adjscc_ci95_{end}"]) for end in ("low", "high"))
        assert low <= float(ours["minus_adjscc"]) <= high
    plain, ours = (found[codec, "0", "decode_s"] for codec in flags.codecs)
    assert float(ours["mean"]) > float(plain["mean"]) > 0 and ours["minus_adjscc"] == "nan"
    summary = [line for line in read(flags.out / "summary.csv") if line["metric"] == "fid_inception"]
    assert [line["mean"] for line in summary] == [line["mean"] for line in lines if line["metric"] == "fid_inception"]


def test_steps_are_compared_with_the_most(ran):
    flags, *_ = ran
    found = {(line["label"].split(", ")[-1], line["metric"]): line for line in read(flags.out / "steps.csv")}
    assert {name for name, _ in found} == {"1 step", "3 steps"} and {line["snr_db"] for line in found.values()} == {
        "10"
    }
    fewer, most = found["1 step", "psnr"], found["3 steps", "psnr"]
    assert float(fewer["minus_most_steps"]) == pytest.approx(float(fewer["mean"]) - float(most["mean"]), abs=1e-4)
    assert most["minus_most_steps"] == "nan" and ("1 step", "fid_inception") not in found


def test_it_leaves_figures_and_says_how(ran, experiment):
    flags, *_ = ran
    names = {path.name for path in flags.out.iterdir()}
    stems = ("psnr_vs_snr", "ssim_vs_snr", "fid_inception_vs_snr", "steps", "pictures")
    assert {f"{stem}.{kind}" for stem in stems for kind in ("png", "pdf")} <= names
    said = json.loads((flags.out / "run.json").read_text())
    assert said["configuration"]["steps"] == [1, 3] and not said["failures"]
    from semlink.simulator.records import rows

    at = [Condition(codec, flags.rho[0], "awgn", 0.0) for codec in flags.codecs]
    labels = {"PSNR": "psnr", "SSIM": "ssim"}
    tiles = strips.received(flags.out, rows.read(flags.out / "rows.h5"), at, labels, "{:.3g}")
    assert len(tiles) == 2 and tiles[0].below.startswith("PSNR ") and ", SSIM 0." in tiles[0].below


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metrics": ()}, "--metrics needs at least one value"),
        ({"metrics": ("lpip",)}, "unknown metric 'lpip'"),
        ({"steps": (4, 0)}, "--steps 4 0: give whole numbers of at least 1"),
        ({"steps_snr": 1000.0}, "--steps-snr 1000: give a value in dB"),
        (
            {"metrics": ("psnr", "fid"), "data": "samples"},
            "FID needs 2,000 pictures or more, --data samples .* gives 6",
        ),
    ],
)
def test_mistakes_are_named(experiment, flags, change, message):
    asked = replace(flags, **change)
    with pytest.raises(SemlinkError, match=message):
        asked.check_names()
        experiment.check(asked)


def test_exit_code_of_wrong_input(experiment, flags, capsys):
    asked = ["--metrics", "fid", "--data", "samples", "--limit", "3"]
    assert cli.run(experiment.main, flags, asked) == 2
    assert "error: FID needs 2,000 pictures or more" in capsys.readouterr().err
