"""experiments/spic.py: which codecs serve which rate, what is measured, what is drawn of losses and bits."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from scripts import loaded

from semlink.simulator.analysis.comparison import Result
from semlink.simulator.analysis.statistics import Line
from semlink.simulator.data.class_names import find_classes
from semlink.simulator.figures import curves, loss_states
from semlink.simulator.metrics.regions import Judge, Segmenter
from semlink.simulator.protocols import Variable
from semlink.simulator.study import semantics
from semlink.simulator.values import Session, Stream, Transmission


@pytest.fixture(scope="module")
def experiment():
    with loaded("spic") as module:
        yield module


@pytest.fixture
def flags(experiment, tmp_path):
    """Two pictures with maps of their own."""
    for folder in ("pictures", "maps"):
        (tmp_path / folder).mkdir()
    rng = np.random.default_rng(0)
    for i in range(2):
        levels = rng.integers(0, 255, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(levels).resize((64, 48), Image.Resampling.BICUBIC).save(tmp_path / "pictures" / f"{i}.png")
        Image.fromarray(rng.integers(0, 2, (48, 64), dtype=np.uint8)).save(tmp_path / "maps" / f"{i}.png")
    (tmp_path / "maps" / "classes.json").write_text(json.dumps(["sky", "road"]))
    assert find_classes(tmp_path / "maps")
    return experiment.SpicFlags(
        out=tmp_path / "out",
        data=str(tmp_path / "pictures"),
        labels=tmp_path / "maps",
        codecs=("spic:send_map=false,steps=0", "digital", "sgd_jscc"),
        versus=("digital",),
        metrics=("lpips_alex",),
        snr=(10.0,),
        rho=(1 / 12, 1 / 24),
    )


def test_a_codec_without_weights_for_a_rate_is_left_out_there(experiment, flags, monkeypatch):
    monkeypatch.setattr(semantics, "serves", lambda codec, rho, sizes: codec != "sgd_jscc" or rho == 1 / 24)
    found = experiment.questions(flags)
    assert [question.rho for question in found] == [(1 / 12,), (1 / 24,)]
    assert "sgd_jscc" not in found[0].codecs and "sgd_jscc" in found[1].codecs


def test_serving_is_having_what_a_rate_needs():
    assert semantics.serves("digital", 1 / 7, [(48, 64)])
    assert not semantics.serves("adjscc", 1 / 7, [(48, 64)])
    assert not semantics.serves("spic:weights=/nowhere.safetensors", 1 / 48, [(48, 64)])


def test_what_is_measured(experiment, flags):
    found = experiment.metrics(replace(flags, metrics=("lpips_alex", "kid")))
    assert found == ("miou_truth", "miou_sent", "psnr", "lpips_alex", "kid_inception")
    assert semantics.describe("kid_inception").better == "lower" and semantics.describe("bpp").units == "bit"


def test_the_transmitted_map_is_the_transmitter_s():
    """A judge that sees class 0 everywhere, against a map that was sent as class 1 in the left half."""
    half = torch.zeros(1, 4, 8, dtype=torch.long)
    half[..., :4] = 1
    judge = Judge(lambda x: x[:, 0], segmenter=Segmenter(lambda x: torch.zeros(1, 4, 8).long(), ("a", "b")))
    picture = torch.rand(1, 3, 4, 8)
    assert judge.measure(("miou_sent",), picture, picture)["miou_sent"] == 1
    sent = replace(judge, sent=lambda x: half, _seen={})
    assert sent.measure(("miou_sent",), picture, picture)["miou_sent"] == 0.25  # IoU 1/2 and 0


class Fake:
    """Adds a half for a map and a quarter for a coarse picture."""

    def decode(self, reception):
        there = [stream.payload[0] is not None for stream in reception.streams]
        return torch.full((1, 3, 4, 4), there[0] / 2 + there[1] / 4)

    def views(self, reception):
        return {"map": torch.tensor([[0, 3], [11, 200]])}


def test_every_state_of_loss_is_shown():
    sent = Transmission((Stream("map", "bits", [b"a"]), Stream("coarse", "bits", [b"b"])), Session(4, 4))
    found = [*loss_states.tiles(Fake(), sent, torch.zeros(3, 4, 4))]
    assert [tile.above for tile in found] == [
        "original",
        "map",
        "map and coarse arrived",
        "map arrived",
        "coarse arrived",
        "nothing arrived",
    ]
    assert [float(tile.pixels.max()) for tile in found[2:]] == [0.75, 0.5, 0.25, 0.0]
    assert found[1].pixels[:, 0, 1] == pytest.approx(np.array([128, 64, 128]) / 255)  # road, by CamVid's own colours
    assert (found[1].pixels[:, 1] == 0).all()


def test_a_metric_against_bits_is_at_the_bits_that_were_sent():
    def line(rho, metric, mean, snr=10.0):
        return Result("x", Line("x", "awgn", "", snr, rho, rho, metric, mean, mean, mean, 5, rho), {})

    results = [line(0.1, "psnr", 30.0), line(0.1, "bpp", 0.7), line(0.05, "psnr", 25.0), line(0.05, "bpp", 0.3)]
    results += [line(0.1, "psnr", 10.0, snr=0.0), line(0.1, "bpp", 0.1, snr=0.0)]
    panel = curves.against_bits("awgn", results, "psnr", "bpp", 10.0, Variable())
    assert [(at, value.mean) for at, value in panel.curves["x"]] == [(0.3, 25.0), (0.7, 30.0)]


@pytest.mark.slow
def test_a_small_run(experiment, flags):
    assert experiment.main(replace(flags, codecs=flags.codecs[:2])) == 0
    named = {path.name for path in flags.out.iterdir()}
    assert {"rows.h5", "spic.csv", "summary.csv", "psnr_vs_bpp.png", "states.png"} <= named
