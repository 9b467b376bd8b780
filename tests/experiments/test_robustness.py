"""experiments/robustness.py: the matrix is what the rows say, differences are paired, weights are kept."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from scipy.stats import ttest_1samp, ttest_rel
from scripts import loaded

from semlink.simulator import SemlinkError
from semlink.simulator.analysis import matrix
from semlink.simulator.analysis.matrix import Variant, fill
from semlink.simulator.figures import heatmap, style
from semlink.simulator.figures.matrix import heatmaps
from semlink.simulator.protocols import Variable
from semlink.simulator.records.rows import Measurement, Rows
from semlink.simulator.records.store import Condition
from semlink.simulator.records.sweep import Sweep
from semlink.simulator.study import cli, variants
from semlink.simulator.training import tuning
from semlink.simulator.training.codec import Recipe, Trainer
from semlink.simulator.words import parse

SHIPPED = Variant("adjscc")
ON_AWGN = Variant("adjscc:weights=w/a.safetensors", "awgn", "perfect")
ON_TDL = Variant("adjscc:weights=w/t.safetensors", "tdl:speed=20", "ls")
VARIANTS = (SHIPPED, ON_AWGN, ON_TDL)
CHANNELS = ("awgn", "tdl:speed=20", "umi")
ASKED = Sweep(tuple(v.codec for v in VARIANTS), CHANNELS, (10.0,), (1 / 6,), ("psnr", "lpips_alex"))
KNOWN = {
    "psnr": Variable("dB", "PSNR", "higher"),
    "lpips_alex_up64": Variable("1", "LPIPS (AlexNet), upsampled to 64 px", "lower"),
}


@pytest.fixture(scope="module")
def experiment():
    with loaded("robustness") as module:
        yield module


def measurement(codec: str, channel: str, level: float, n: int = 20, rho: float = 1 / 6) -> Measurement:
    """PSNR of pictures of very different difficulty, and of much the same rank for every codec."""
    easy = np.random.default_rng(0).normal(0, 3, n)
    psnr = level + easy + np.random.default_rng(len(codec) * 7 + len(channel)).normal(0, 0.2, n)
    values = {"psnr": psnr, "lpips_alex_up64": 0.5 - psnr / 100}
    images = tuple(f"{i:05d}" for i in range(n))
    csi = "perfect" if channel == "awgn" else "ls"
    return Measurement(Condition(codec, rho, channel, 10.0), csi, images, tuple(range(n)), values)


def as_rows(*measurements: Measurement) -> Rows:
    return Rows(measurements, KNOWN, {"configuration": json.dumps({"metrics": ASKED.metrics})})


LEVELS = np.array([[30, 24, 23], [31, 22, 20.5], [27, 26, 24.5]])
ALL = [measurement(v.codec, c, LEVELS[i, j]) for i, v in enumerate(VARIANTS) for j, c in enumerate(CHANNELS)]


def by_place(cells, metric="psnr"):
    return {(c.variant, c.channel): c for c in cells if c.metric == metric}


def test_a_cell_is_the_mean_with_students_interval():
    cells = fill(VARIANTS, ASKED, as_rows(*ALL))
    assert len(cells) == 2 * 3 * 3 and [c.variant for c in cells[:9:3]] == list(VARIANTS)
    for cell in cells:
        (own,) = (m for m in ALL if (m.condition.codec, m.condition.channel) == (cell.variant.codec, cell.channel))
        expected = ttest_1samp(own.values[cell.metric], 0)
        assert cell.value.mean == pytest.approx(own.values[cell.metric].mean())
        assert (cell.value.low, cell.value.high) == pytest.approx(tuple(expected.confidence_interval(0.95)))
        assert cell.csi == own.csi and cell.value.n == 20


def test_differences_are_paired_with_the_network_of_the_channel_and_with_the_best():
    cells = by_place(fill(VARIANTS, ASKED, as_rows(*ALL)))
    ours, theirs = ALL[1].values["psnr"], ALL[7].values["psnr"]  # as shipped and trained on tdl, both over tdl
    found = cells[SHIPPED, "tdl:speed=20"].minus_matched
    assert (found.low, found.high) == pytest.approx(tuple(ttest_rel(ours, theirs).confidence_interval(0.95)))
    unpaired = cells[SHIPPED, "tdl:speed=20"].value
    assert found.high - found.low < 0.3 * (unpaired.high - unpaired.low)
    own = cells[ON_AWGN, "awgn"]
    assert own.matched and (own.minus_matched.mean, own.minus_matched.high) == (0, 0)
    assert [cells[v, "umi"].minus_matched.n for v in VARIANTS] == [0, 0, 0], "nobody was trained on umi"
    assert cells[ON_TDL, "umi"].minus_best.mean == 0 and cells[ON_AWGN, "umi"].minus_best.mean < -2


def test_of_a_metric_that_is_better_when_lower_the_best_is_the_lowest():
    cells = by_place(fill(VARIANTS, ASKED, as_rows(*ALL)), "lpips_alex_up64")
    assert all(cells[v, "umi"].minus_best.mean >= 0 for v in VARIANTS)
    assert cells[ON_TDL, "umi"].minus_best.mean == 0


def test_what_failed_or_is_missing_has_no_numbers_and_spoils_nothing_else():
    failed = replace(ALL[4], values={}, images=(), positions=(), error="ValueError: no")  # on tdl, over tdl
    found = by_place(fill(VARIANTS, ASKED, as_rows(*ALL[:4], failed, *ALL[5:8])))
    assert found[ON_AWGN, "tdl:speed=20"].value.n == found[ON_TDL, "umi"].value.n == 0
    assert found[SHIPPED, "umi"].minus_best.mean == 0, "the best of those that were measured"
    assert found[SHIPPED, "tdl:speed=20"].minus_matched.n == 20
    text = "\n".join(matrix.cell_tables(list(found.values()), as_rows(*ALL)))
    assert sum(line.split().count("-") for line in text.splitlines()) == 3


def test_other_rates_and_other_codecs_do_not_mix():
    others = [measurement(v.codec, c, 10.0, rho=1 / 12) for v in VARIANTS for c in CHANNELS]
    assert fill(VARIANTS, ASKED, as_rows(*ALL)) == fill(VARIANTS, ASKED, as_rows(*others, *ALL))
    stranger = Variant("deepjscc:weights=w/d.safetensors", "awgn", "perfect")
    more = measurement(stranger.codec, "awgn", 35.0)
    cells = by_place(fill((*VARIANTS, stranger), ASKED, as_rows(*ALL, more)))
    assert cells[ON_AWGN, "awgn"].minus_matched.mean == 0, "matched means the same codec's"
    assert cells[ON_AWGN, "awgn"].minus_best.mean < -3


def test_images_without_the_metric_are_left_out_of_the_pairs():
    part = ALL[0].values["psnr"].copy()
    part[5:] = np.nan
    first = replace(ALL[0], values={**ALL[0].values, "psnr": part})
    cell = by_place(fill(VARIANTS, ASKED, as_rows(first, *ALL[1:])))[SHIPPED, "awgn"]
    assert cell.value.n == cell.minus_matched.n == 5
    assert cell.minus_matched.mean == pytest.approx((part - ALL[3].values["psnr"])[:5].mean())


def row_labels(*chosen: Variant) -> list[str]:
    found = fill(chosen, replace(ASKED, codecs=()), as_rows(*ALL))
    return list(matrix.row_labels(found).values())


def test_labels_of_rows_are_short_where_nothing_is_like_them():
    mine = Variant("adjscc:weights=some/where/mine.safetensors")
    assert row_labels(SHIPPED, mine) == ["adjscc, as shipped", "adjscc:weights=mine.safetensors"]
    other = Variant("semlink:base=none")
    assert row_labels(ON_AWGN, other) == ["adjscc, awgn (perfect)", "semlink:base=none, as shipped"]


def test_labels_of_rows_differ_where_files_or_settings_do():
    one, two = (Variant(f"adjscc:weights={folder}/mine.safetensors", "awgn", "perfect") for folder in "ab")
    assert len(set(row_labels(one, two, replace(one, trained_on="")))) == 3
    small, base = (Variant(f"swinjscc:size={size},weights=w/{size}.st", "awgn", "ls") for size in ("small", "base"))
    assert row_labels(small, base) == ["swinjscc:size=small, awgn (ls)", "swinjscc:size=base, awgn (ls)"]
    assert not matrix.same_codec(small, base) and matrix.same_codec(SHIPPED, ON_AWGN)


def test_labels_of_columns_are_channels_without_their_csi():
    words = {
        "tdl:csi=perfect,speed=20+cfo:hertz=9": "perfect",
        "recorded:path=a/x.h5": "ls",
        "recorded:path=b/x.h5": "ls",
    }
    found = fill(
        (SHIPPED,), replace(ASKED, channels=tuple(words)), as_rows(*(measurement("adjscc", c, 20) for c in words))
    )
    said = [replace(cell, csi=words[cell.channel]) for cell in found]
    assert list(matrix.column_labels(said).values()) == [
        "tdl:speed=20+cfo:hertz=9 (perfect)",
        "recorded:path=a/x.h5 (ls)",
        "recorded:path=b/x.h5 (ls)",
    ]


def test_labels():
    cells = fill(VARIANTS, ASKED, as_rows(*ALL))
    assert list(matrix.row_labels(cells).values()) == ["adjscc, as shipped", "awgn (perfect)", "tdl:speed=20 (ls)"]
    text = next(matrix.cell_tables([c for c in cells if c.metric == "psnr"], as_rows(*ALL)))
    assert text.startswith("psnr (dB) at 10 dB SNR: mean +- 95 % over 20 images")
    assert text.splitlines()[2].split()[:2] == ["awgn", "(perfect)"] and text.count("*") == 2


def test_csv_holds_every_number(tmp_path):
    cells = fill(VARIANTS, ASKED, as_rows(*ALL))
    matrix.cell_columns(cells).write(tmp_path / "matrix.csv")
    with open(tmp_path / "matrix.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == len(cells)
    for line, cell in zip(lines, cells, strict=True):
        assert (line["trained_on"], line["channel"]) == (cell.variant.trained_on, cell.channel)
        assert float(line["value"]) == pytest.approx(cell.value.mean, rel=5e-6)
        assert float(line["minus_best_ci95_low"]) == pytest.approx(cell.minus_best.low, rel=5e-6, abs=1e-9)


def test_figures_show_the_numbers(tmp_path):
    rows = as_rows(*ALL)
    cells = fill(VARIANTS, ASKED, rows)
    found = dict(heatmaps(cells, rows))
    assert list(found) == ["matrix", "minus_matched", "minus_best"]
    psnr, lpips = (axes for axes in found["matrix"].axes if axes.get_ylabel() == "fine-tuned on")
    texts = [text.get_text() for text in psnr.texts]
    assert texts[:2] == [f"{cells[0].value.mean:.2f}", f"±{cells[0].value.high - cells[0].value.mean:.2f}"]
    assert len(texts) == 18 and len(psnr.patches) == 2, "two cells are framed: those on their own channel"
    assert [t.get_text() for t in lpips.get_xticklabels()] == ["awgn (perfect)", "tdl\nspeed=20 (ls)", "umi (ls)"]
    difference = found["minus_matched"].axes[0]
    assert len(difference.get_xticks()) == 2, "only channels that somebody was trained on"
    bold = [float(text.get_text().replace("−", "-")) for text in difference.texts if text.get_fontweight() == "bold"]
    assert bold == pytest.approx([-1, -2, -4, -4], abs=0.2), "not the diagonal"
    assert [text.get_text() for text in difference.texts].count("0") == 2
    assert all(path.stat().st_size > 5000 for path in style.save(found["minus_best"], tmp_path / "figure"))


def test_colours_say_better_and_text_stays_readable():
    """Lighter, or purple, is better whichever way the metric runs; contrast of every text is at least 4.5 (WCAG)."""
    from matplotlib.colors import to_rgb

    values = np.linspace(-2, 2, 41).reshape(1, -1)
    for difference in (False, True):
        for better in ("higher", "lower"):
            panel = heatmap.Panel("", values, np.full(values.shape, 0.1), better, 2, difference)
            colours, norm = heatmap._colours(panel)
            good, bad = (colours(norm(v)) for v in ((2, -2) if better == "higher" else (-2, 2)))
            assert good[2] > bad[2] if difference else luminance(good) > luminance(bad)
            for value in values[0]:
                back = colours(norm(value))
                levels = sorted((luminance(back), luminance(to_rgb(heatmap._ink(back)))))
                assert (levels[1] + 0.05) / (levels[0] + 0.05) >= 4.5


def luminance(colour) -> float:
    rgb = np.array(colour[:3])
    return float(np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4) @ (0.2126, 0.7152, 0.0722))


def test_a_map_with_nothing_in_it_is_dashes():
    panel = heatmap.Panel("PSNR", np.full((2, 2), np.nan), np.full((2, 2), np.nan), difference=True)
    axes = heatmap.draw([panel], ["a", "b"], ["c", "d\ne"]).axes[0]
    assert [text.get_text() for text in axes.texts] == ["–"] * 4


@pytest.mark.parametrize(
    "channel", ["tdl:delay_spread=3e-07,speed=30", "tdl+clipping:ratio_db=3+cfo:hertz=1e+20", "awgn"]
)
def test_weight_files_survive_in_a_codecs_word(channel):
    path = variants.weight_file(Path("results/mine"), "adjscc", channel)
    word = parse(variants.with_weights("adjscc", path))
    assert dict(word.settings) == {"weights": str(path)} and not word.added


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--train-channels tld", "unknown channel 'tld'"),
        ("--train-channels tdl+dust", "unknown impairment 'dust'"),
        ("--channels moon", "unknown channel 'moon'"),
        ("--rho 1/6 1/12", "--rho needs exactly one rate"),
        ("--minutes -1", "--minutes -1: give at least 0"),
        ("--minutes nan", "--minutes nan"),
        ("--batch 0", "--batch 0: give at least 1"),
        ("--lr 0", "positive learning rate"),
        ("--train-snr 5 -5", "give the lower SNR in dB first"),
        ("--metrics beauty", "unknown metric 'beauty'"),
        ("--codecs adjscc:weights=nowhere.safetensors --minutes 0", "no nowhere.safetensors is there"),
        ("--data pictures --crop 64", "--crop 64 does not train the network that pictures of 32x32 px meet"),
        ("--data pictures --train-data cifar10", "a test set is not for training"),
    ],
)
def test_mistakes_are_named(experiment, pictures, capsys, arguments, message):
    default = experiment.RobustnessFlags(out=Path("results"))
    assert cli.run(experiment.main, default, arguments.split()) == 2
    assert message in capsys.readouterr().err


@pytest.fixture
def pictures(tmp_path_factory, monkeypatch):
    """A working folder with 60 pictures of 32 px in `pictures`."""
    from PIL import Image

    from semlink.simulator.conformance.codec import smooth_pictures

    folder = tmp_path_factory.mktemp("work")
    (folder / "pictures").mkdir()
    for i, picture in enumerate(smooth_pictures(60, 32, 32)):
        levels = (picture * 255).byte().permute(1, 2, 0).contiguous().numpy()
        Image.fromarray(levels).save(folder / "pictures" / f"{i:02d}.png")
    monkeypatch.chdir(folder)
    return folder


TUNING = tuning.Tuning(
    "adjscc",
    1 / 6,
    "rayleigh",
    ("pictures",),
    Recipe(0.0, 4, 8, 1e-3, snr_db=(8.0, 12.0), warm_up=1, checkpoint_every=0),
)


@pytest.mark.slow
def test_a_stopped_training_continues_and_ends_with_the_same_weights(pictures, monkeypatch):
    whole = load_file(tuning.tune(TUNING, Path("whole.safetensors")))
    step = Trainer._step

    def until_the_third(trainer):
        if trainer.step == 2:
            raise KeyboardInterrupt
        return step(trainer)

    stopped = Path("stopped.safetensors")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Trainer, "_step", until_the_third)
        tuning.tune(TUNING, stopped)
    assert not stopped.exists()
    with pytest.raises(SemlinkError, match="was begun with recipe"):
        tuning.tune(replace(TUNING, recipe=replace(TUNING.recipe, lr=1e-4)), stopped)
    again = load_file(tuning.tune(TUNING, stopped))
    assert all(torch.equal(tensor, again[name]) for name, tensor in whole.items())
    said = tuning.read_tuning(stopped)
    assert said["steps"] == 4 and said["csi"] == "ls" and said["channel"] == "rayleigh"
    with pytest.raises(SemlinkError, match="came about otherwise .channel rayleigh, now tdl"):
        tuning.tune(replace(TUNING, channel="tdl"), stopped)


COMMON = "--data pictures --limit 3 --train-data pictures --batch 8 --metrics psnr --out results"


def test_whole_experiment(experiment, pictures, capsys):
    def run(arguments):
        code = cli.run(experiment.main, experiment.RobustnessFlags(), f"{COMMON} {arguments}".split())
        assert code == 0, capsys.readouterr().err
        with open("results/matrix.csv", newline="") as file:
            return {(line["trained_on"], line["channel"]): line for line in csv.DictReader(file)}

    channels = "--snr 10 --rho 1/6 --channels rayleigh tdl"
    first = run(f"{channels} --train-channels rayleigh tdl:speed=10 --steps 2")
    assert len(first) == 3 * 2 and first["rayleigh", "rayleigh"]["minus_matched"] == "0"
    kept = {path: path.stat().st_mtime_ns for path in Path("results/weights").glob("*.safetensors")}
    assert {path.name for path in kept} == {"adjscc_rayleigh.safetensors", "adjscc_tdl_speed-10.safetensors"}
    said = json.loads(Path("results/run.json").read_text())["training"]
    assert [entry["steps"] for entry in said.values()] == [2, 2]
    names = {path.name for path in Path("results").iterdir()}
    assert {"rows.h5", "summary.csv", "matrix_10dB.png", "matrix_10dB.pdf", "minus_matched_10dB.png"} <= names
    assert "written:" in capsys.readouterr().out

    weights = "adjscc:weights=results/weights/adjscc_rayleigh.safetensors"
    again = run(f"{channels} --minutes 0 --codecs adjscc {weights} --train-channels cdl")
    assert "left out, not trained" in capsys.readouterr().out
    assert again.keys() == {(trained, c) for trained in ("", "rayleigh") for c in ("rayleigh", "tdl")}
    assert all(again[key]["value"] == first[key]["value"] for key in again)
    assert kept == {path: path.stat().st_mtime_ns for path in Path("results/weights").glob("*.safetensors")}
