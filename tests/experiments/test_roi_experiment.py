"""experiments/roi.py: words of codecs and arms, paired differences, annotations by picture, and a small real run."""

import csv
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scripts import loaded

from semlink.codecs._regions import pyramid, unet
from semlink.codecs._regions.unet import segment
from semlink.simulator import SemlinkError, data
from semlink.simulator.analysis import comparison
from semlink.simulator.analysis.statistics import NOTHING
from semlink.simulator.plugins import JUDGE, describe_metric, make_codec, make_importance, make_link
from semlink.simulator.records.rows import Measurement, Rows
from semlink.simulator.records.store import Condition
from semlink.simulator.study import regions
from semlink.simulator.study.arms import means_apart
from semlink.simulator.study.regions import Judging
from semlink.simulator.words import parse

BOX = "box:x0=0.375,x1=0.625,y0=0.375,y1=0.625"
needs_camvid = pytest.mark.skipif(
    not (data.root() / "camvid-drives" / "test").is_dir(), reason="no camvid-drives below SEMLINK_DATA"
)


@pytest.fixture(scope="module")
def experiment():
    with loaded("roi") as module:
        yield module


@pytest.fixture
def flags(experiment):
    return experiment.RoiFlags(
        data="camvid-drives", codecs=("roi_jscc:importance=none", "roi_jscc", "digital"), rho=(1 / 12,)
    )


@pytest.mark.parametrize(
    ("codec", "word"),
    [
        ("roi_jscc", "roi_jscc:importance=box:x0=0.375;x1=0.625;y0=0.375;y1=0.625"),
        ("roi_dual:share=0.5", "roi_dual:importance=box:x0=0.375;x1=0.625;y0=0.375;y1=0.625,share=0.5"),
        ("roi_jscc:importance=none", "roi_jscc:importance=none"),
        ("roi_jscc:importance=saliency:share=0.2", "roi_jscc:importance=saliency:share=0.2"),
        ("digital", "digital"),
    ],
)
def test_codecs_for_regions_get_the_region(codec, word):
    assert regions.with_roi(codec, BOX) == word
    made = make_codec(parse(word), 1 / 12)
    if BOX.split(":")[1].split(",")[0] in word:
        assert made.importance.x1 == 0.625


def test_metrics_follow_the_pictures_and_the_segmenter(flags):
    both = ("miou_truth", "miou_sent")
    assert Judging(flags.roi, flags.data).metrics()[4:] == both
    assert Judging(BOX, "camvid-drives").metrics()[4:] == both
    assert Judging(BOX, "my_frames/", labels="my_maps/").metrics()[4:] == both
    assert Judging(flags.roi, "kodak").metrics()[4:] == ("miou_sent",)
    assert Judging(BOX, "kodak").metrics()[4:] == ()
    assert Judging("segmentation:model=theirs", "kodak").metrics()[4:] == ()
    assert Judging(BOX, "kodak", judge="segmentation:model=theirs").metrics()[4:] == ("miou_sent",)


def test_arms_differ_in_nothing_else(experiment, flags):
    asked = replace(flags, codecs=("digital", "roi_jscc:share=0.1"))
    found = {arm.label: arm for arm in means_apart(experiment.words(asked), "tdl:speed=3")}
    base = "roi_jscc:importance=segmentation,share=0.1"
    assert found["bandwidth"].codec == base == found["all"].codec
    assert found["uniform"].codec == "roi_jscc:importance=none,share=0.1"
    assert found["power"].codec == "roi_jscc:bandwidth=false,importance=segmentation,share=0.1"
    assert found["power"].codec == found["protection"].codec
    assert found["uniform"].channel == "tdl:csi=lmmse,speed=3" == found["bandwidth"].channel
    found = means_apart(experiment.words(asked), "tdl:csi=perfect")
    links = {arm.label: make_link(parse(arm.channel)) for arm in found}
    assert {name: (k.power, k.placement, k.csi) for name, k in links.items()} == {
        "uniform": ("uniform", "order", "perfect"),
        "bandwidth": ("uniform", "order", "perfect"),
        "power": ("semantic_waterfilling", "order", "perfect"),
        "protection": ("uniform", "importance", "perfect"),
        "all": ("semantic_waterfilling", "importance", "perfect"),
    }
    assert means_apart(experiment.words(replace(flags, codecs=("digital", "roi_dual"))), "awgn") == []
    assert experiment.arm_panels(replace(flags, arms=())) == {}


def test_every_arm_is_asked_for_once(experiment, flags):
    conditions = [c for q in experiment.questions(replace(flags, snr=(5.0,))) for c in q.conditions()]
    assert len(conditions) == len(set(conditions)) == 3 + 5
    arms = {(arm.codec, arm.channel) for arm in means_apart(experiment.words(flags), flags.arms[0])}
    assert {(c.codec, c.channel) for c in conditions if c.channel != "awgn"} == arms


def test_roles_of_the_codecs(experiment, flags):
    assert experiment.roles(flags) == {"roi_jscc:importance=none": "uniform", "digital": "digital"}
    assert experiment.roles(replace(flags, codecs=("roi_jscc",))) == {}


def test_two_digital_baselines_have_columns_of_their_own(experiment, flags):
    both = replace(flags, codecs=("roi_jscc", "digital", "digital:source=jpegxl"), channels=("awgn",), arms=())
    roles = experiment.roles(both)
    assert roles == {"digital": "digital", "digital:source=jpegxl": "digital:source=jpegxl"}
    held = [measurement(word, np.array([20.0, 22.0]) + i) for i, word in enumerate(experiment.words(both))]
    entries = experiment.codec_panels(both)["awgn"]
    results = comparison.compare(Rows(tuple(held)), entries, tuple(roles), ("psnr",), (1 / 12,), (5.0,))
    columns = comparison.paired_columns(results, roles)
    first = dict(zip(columns.head, next(iter(columns.lines)), strict=True))
    assert (first["minus_digital"], first["minus_digital:source=jpegxl"]) == (-1, -2)


def test_channels_of_one_file_name_are_all_shown(experiment, flags):
    channels = ("recorded:path=/one/cir.h5", "recorded:path=/two/cir.h5")
    found = experiment.codec_panels(replace(flags, channels=channels))
    assert list(found) == ["recorded:path=one/cir.h5", "recorded:path=two/cir.h5"]
    assert len(experiment.arm_panels(replace(flags, arms=channels))) == 2


def measurement(codec: str, values: np.ndarray, error: str = "") -> Measurement:
    places = tuple(range(len(values)))
    rates = {name: np.full(len(values), 0.08) for name in ("rho_main", "rho_total")}
    condition = Condition(codec, 1 / 12, "awgn", 5.0)
    return Measurement(condition, "perfect", tuple(map(str, places)), places, rates | {"psnr": values}, error=error)


def test_differences_to_baselines_are_paired(tmp_path):
    level = 30 + 5 * np.random.default_rng(0).standard_normal(40)
    gain = 1 + 0.1 * np.random.default_rng(1).standard_normal(40)
    rows = Rows((measurement("a", level), measurement("b", level + gain), measurement("c", level, "broken")))
    entries = [comparison.Entry(name, name, "awgn") for name in "abcd"]
    found = {r.label: r for r in comparison.compare(rows, entries, ("a", "c"), ("psnr",), (1 / 12,), (5.0,))}
    more = found["b"].minus["a"]
    assert more.mean == pytest.approx(gain.mean()) and more.high - more.low < 0.1 and more.n == 40
    assert found["b"].line.ci95_high - found["b"].line.ci95_low > 2
    assert set(found["a"].minus) == {"c"} and found["a"].minus["c"] == NOTHING == found["d"].minus["a"]
    text = comparison.paired_table(list(found.values()), describe_metric("psnr"), "over air")
    assert text.count("failed") == 2 + 1 + 1 + 1 + 2 and f"{gain.mean():+.2f} +-0.0" in text and "40 images" in text
    comparison.paired_columns(found.values(), {"a": "uniform", "c": "digital"}).write(tmp_path / "roi.csv")
    with open(tmp_path / "roi.csv", newline="") as file:
        lines = {line["label"]: line for line in csv.DictReader(file)}
    assert float(lines["b"]["minus_uniform"]) == pytest.approx(gain.mean(), rel=5e-6)
    assert lines["b"]["minus_digital"] == "nan" and lines["d"]["n"] == "0"


def test_who_scores_is_not_who_steers():
    """The region is the U-Net's, the score another network's, whatever the region."""
    steering, scoring = make_importance(parse("segmentation")), Judging("segmentation", "camvid-drives").segmenter()
    assert steering.names == scoring.names == unet.CLASSES
    picture = torch.rand(1, 3, 32, 48, generator=torch.Generator().manual_seed(0))
    assert torch.equal(scoring.label(picture), segment(pyramid.load(), picture))
    assert set(steering.files()).isdisjoint(make_importance(parse(JUDGE)).files())
    with pytest.raises(SemlinkError, match="--judge saliency: names no classes"):
        Judging("box", "camvid-drives", judge="saliency").segmenter()


def test_class_maps_get_the_segmenters_numbers():
    numbers = regions.class_numbers(("void", "road", "car"), 0, ("car", "road"))
    assert numbers[:3].tolist() == [regions.IGNORED, 1, 0] and numbers[255] == regions.IGNORED
    with pytest.raises(
        SemlinkError, match="classes tram are none that the segmenter knows .car, road.; call them unla"
    ):
        regions.class_numbers(("car", "tram"), 255, ("car", "road"))


def labelled(folder: Path, count: int = 3) -> Judging:
    """Frames of noise with a bright car on a road, and class maps by numbers of their own, 0 for nothing."""
    (folder / "frames").mkdir()
    (folder / "maps").mkdir()
    for k in range(count):
        classes = np.full((48, 64), 2, np.uint8)
        classes[10:20, 8 * k : 8 * k + 20], classes[0] = 1, 0
        colours = np.array([[0, 0, 0], [200, 30, 30], [90, 90, 90]], np.uint8)[classes] + np.uint8(k)
        Image.fromarray(colours).save(folder / "frames" / f"f{k}.png")
        Image.fromarray(classes).save(folder / "maps" / f"f{k}.png")
    (folder / "maps" / "classes.txt").write_text("void\nCar\nRoad\n")
    return Judging(BOX, str(folder / "frames"), labels=str(folder / "maps"))


def test_annotations_of_ones_own_are_found_by_their_picture(tmp_path):
    """The truth does not depend on the order or the batch in which pictures come; what is ignored costs nothing."""
    own = labelled(tmp_path)
    judge, pictures = regions.judge(own, True), data.load(own.data)
    batch = torch.stack([pictures[2], pictures[0]])
    found = judge.measure(("miou_truth", "miou_sent", "psnr_roi"), batch, batch)
    assert found["psnr_roi"].tolist() == [100, 100] and found["miou_sent"].tolist() == [1, 1]
    seen, numbers = judge.segmenter.label(batch), {1: unet.CLASSES.index("car"), 2: unet.CLASSES.index("road")}
    for number, name in ((1, "car"), (2, "road")):
        maps = [data.labels(own.data, folder=own.labels)[i] for i in (2, 0)]
        right = [int(((s == numbers[number]) & (m == number)).sum()) for s, m in zip(seen, maps, strict=True)]
        assert found[f"miou_truth_hits_{name}"].tolist() == right
    Image.new("L", (8, 8)).save(tmp_path / "maps" / "f1.png")
    with pytest.raises(SemlinkError, match="f1.png: a class map of 8x8 px, its picture 64x48"):
        regions.ground_truth(own, judge.segmenter)


def test_rows_judged_otherwise_are_not_continued(tmp_path):
    own = labelled(tmp_path)
    out = tmp_path / "out"
    regions.claim(own, out)
    regions.claim(own, out)
    for change in ({"theta": 0.5}, {"roi": "saliency"}, {"judge": "segmentation"}):
        with pytest.raises(
            SemlinkError, match=f"results judged otherwise .*{next(iter(change))}.*choose another --out"
        ):
            regions.claim(replace(own, **change), out)
    (tmp_path / "maps" / "classes.txt").write_text("void\nRoad\nCar\n")
    with pytest.raises(SemlinkError, match="judged otherwise"):
        regions.claim(own, out)


@needs_camvid
def test_the_scorer_knows_the_test_drive():
    judge = regions.judge(Judging("segmentation", "camvid-drives", limit=3), True)
    pictures = data.load("camvid-drives", 3)
    batch = torch.stack([pictures[2], pictures[0]])
    assert (judge.measure(("miou_truth",), batch, batch)["miou_truth"] > 0.25).all()


@pytest.fixture(scope="module")
def ran(experiment, tmp_path_factory):
    flags = experiment.RoiFlags(
        out=tmp_path_factory.mktemp("roi"),
        data="samples",
        limit=2,
        roi=BOX,
        codecs=("roi_jscc:importance=none", "roi_jscc"),
        arms=("rayleigh:csi=perfect",),
        snr=(5.0,),
    )
    return flags, experiment.main(flags)


def test_a_real_run_gains_in_the_region_at_equal_uses(ran):
    flags, code = ran
    assert code == 0
    with open(flags.out / "roi.csv", newline="") as file:
        lines = [line for line in csv.DictReader(file) if line["channel"] == "awgn"]
    assert {line["rho_total"] for line in lines} == {"0.0833333"}
    gain = {line["metric"]: float(line["minus_uniform"]) for line in lines if "box" in line["label"]}
    assert gain["psnr_roi"] > 1 > 0 > gain["psnr"] > -0.7 and gain["psnr_roni"] < gain["psnr"]


def test_it_leaves_figures_and_says_how(ran):
    flags, _ = ran
    names = {path.name for path in flags.out.iterdir()}
    stems = ("psnr_roi_vs_snr", "psnr_vs_snr", "arms_rayleigh_perfect_CSI", "pictures")
    assert {f"{stem}.{kind}" for stem in stems for kind in ("png", "pdf")} <= names
    said = json.loads((flags.out / "run.json").read_text())
    assert said["configuration"]["roi"] == BOX and not said["failures"]
    assert set(said["arms"]["rayleigh:csi=perfect"]) == {"uniform", "bandwidth", "power", "protection", "all"}


def test_the_same_command_measures_nothing_again(experiment, ran, capsys):
    flags, _ = ran
    before = {path: os.stat(path).st_mtime_ns for path in (flags.out / "blocks").glob("*/*.json")}
    assert experiment.main(flags) == 0
    assert before == {path: os.stat(path).st_mtime_ns for path in (flags.out / "blocks").glob("*/*.json")}
    text = capsys.readouterr().out
    assert "PSNR in the region of interest (dB), awgn" in text and "minus uniform" in text and "failed" not in text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"roi": "circle"}, "unknown importance map 'circle'"),
        ({"roi": "segmentation:classes=car+pedestrian"}, "separate classes by slashes"),
        ({"theta": 1.5}, "--theta 1.5: give a weight within 0 and 1"),
        ({"arms": ("tld",)}, "unknown channel 'tld'"),
        ({"judge": "saliency"}, "--judge saliency: names no classes"),
        ({"labels": Path("gone")}, "gone: no such folder of class maps"),
        ({"classes": Path("names.txt")}, "--classes names.txt: says what the numbers of --labels mean"),
    ],
)
def test_mistakes_are_named(experiment, flags, change, message):
    def looked_at(wrong):
        wrong.check_names()
        experiment.check(wrong)

    with pytest.raises((SemlinkError, LookupError), match=message):
        looked_at(replace(flags, **change))
