"""experiments/mimo.py on stand-ins: equal channel uses, words of links, paired gains, table, figure, mistakes."""

import csv
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from scripts import loaded
from sweep_fakes import fake_data, fake_describe, fake_measure

from semlink.simulator import SemlinkError
from semlink.simulator.analysis import comparison
from semlink.simulator.analysis.statistics import NOTHING
from semlink.simulator.figures import style
from semlink.simulator.plugins import LINK_SETTINGS, make_link
from semlink.simulator.study import antennas, closing
from semlink.simulator.sweep import runner
from semlink.simulator.sweep.trial import Parts
from semlink.simulator.values import (
    LinkReport,
    LinkResult,
    ReceivedStream,
    Reception,
    Session,
    Stream,
    Transmission,
    TxInfo,
)
from semlink.simulator.words import parse


@pytest.fixture(scope="module")
def experiment():
    with loaded("mimo") as module:
        yield module


class Repeating:
    """Each real number of a picture `24 rho` times: the decoder's mean has so much less noise."""

    encodes_on = "nothing"

    def __init__(self, word, rho):
        self.times = round(24 * rho)

    def uses(self, height, width):
        return self.times * 3 * height * width // 2

    def encode(self, images, tx=None):
        symbols = torch.view_as_complex(images.flatten(1).reshape(len(images), -1, 2))
        session = Session(*images.shape[-2:])
        return Transmission((Stream("pixels", "analog", symbols.repeat(1, self.times)),), session)

    def decode(self, reception):
        x = reception.streams[0].x_hat.reshape(len(reception.streams[0].x_hat), self.times, -1).mean(1)
        height, width = reception.session.height, reception.session.width
        return torch.view_as_real(x).reshape(len(x), 3, height, width).clamp(0, 1)


class Wires:
    """Noise falls with the number of receive antennas; a 3x3 arrangement is broken."""

    def __init__(self, word):
        _, settings = word.split((*LINK_SETTINGS, "rx_antennas", "tx_antennas"))
        self.csi, self.layers = settings["csi"], settings.get("layers", 1)
        self.rx = settings.get("rx_antennas", 1)

    def tx_info(self, snr_db, uses=None, seed=0, statistics=False):
        return TxInfo(snr_db=snr_db)

    def run(self, transmission, snr_db, seed=0, first_image=0):
        if self.rx == 3:
            raise RuntimeError("wires crossed")
        x, n = transmission.streams[0].payload, len(transmission.streams[0].payload)
        noise = torch.randn(x.shape, dtype=x.dtype, generator=torch.Generator().manual_seed(first_image))
        x_hat = x + noise * 10 ** (-snr_db / 20) / self.rx**0.5
        reception = Reception((ReceivedStream("pixels", "analog", x_hat, torch.ones(x.shape)),), transmission.session)
        same = (float(snr_db),) * n
        uses = {"pixels": (x.shape[1] // self.layers,) * n}
        return LinkResult(reception, LinkReport(uses, (100,) * n, (1e-3,) * n, same, same, same))


ARRANGEMENTS = ("1x1", "1x2", "2x2", "4x2:precoding=svd", "3x3")


@pytest.fixture(scope="module")
def measured(experiment, tmp_path_factory):
    flags = experiment.MimoFlags(
        out=tmp_path_factory.mktemp("mimo"),
        arrangements=ARRANGEMENTS,
        codecs=("repeating",),
        channels=("tdl:speed=3",),
        snr=(10.0, 0.0),
        metrics=("psnr",),
        limit=40,
        rho=(1 / 12,),
    )
    parts = Parts(fake_data, Repeating, Wires, fake_measure, fake_describe)
    rows = [runner.run(question, flags.out, 1, parts) for question in experiment.questions(flags)][-1].rows
    return flags, rows, experiment.paired(flags, rows)


def results_of(compared):
    """All results, whatever their panel."""
    return [result for results in compared.values() for result in results]


def test_every_arrangement_has_the_same_channel_uses(experiment, measured):
    flags, rows, _ = measured
    assert [(q.rho, len(q.channels)) for q in experiment.questions(flags)] == [
        ((1 / 12,), 2), ((1 / 6,), 2), ((1 / 4,), 1),
    ]  # fmt: skip
    worked = [m for m in rows.measurements if not m.error]
    assert len(worked) == 2 * 4 and len(rows.measurements) == 2 * 5
    assert np.ptp([m.values["rho_total"] for m in worked]) == 0
    assert {m.condition.rho for m in worked} == {1 / 12, 1 / 6}


def test_gains_are_paired_with_the_first_arrangement(measured):
    flags, rows, compared = measured
    results = results_of(compared)
    found = {(r.label, r.line.snr_db): r for r in results}
    assert len(found) == len(results) == 5 * 2
    by_word = {(m.condition.channel, m.condition.snr_db): m for m in rows.measurements}
    for snr in flags.snr:
        base, two = found["1x1", snr], found["1x2", snr]
        one, other = (
            by_word[f"tdl:csi=lmmse,{antennas}speed=3", snr].values["psnr"] for antennas in ("", "rx_antennas=2,")
        )
        assert base.more == NOTHING and two.more.n == 40
        assert two.more.mean == pytest.approx((other - one).mean()) and two.more.low > 0
        assert two.more.high - two.more.low < 0.5 * (two.value.high - two.value.low)
        assert found["2x2, 2 layers", snr].value.mean > two.value.mean
        assert found["3x3, 3 layers", snr].value == NOTHING == found["3x3, 3 layers", snr].more


def test_leaves_a_table_a_csv_and_a_figure(experiment, measured, tmp_path):
    flags, rows, compared = measured
    results = results_of(compared)
    bits = [replace(r, line=replace(r.line, metric=antennas.EFFICIENCY, mean=2.0)) for r in results]
    both = {**compared, experiment.Case("tdl:speed=3"): bits}
    efficiency = antennas.describe(antennas.EFFICIENCY)
    variables = {"psnr": rows.variable("psnr"), antennas.EFFICIENCY: efficiency}
    text = experiment.table(both, "psnr", variables["psnr"])
    assert text.startswith("PSNR (dB)") and "tdl:speed=3, repeating, rho_total 1/12 over 40 images" in text
    assert text.count("failed") == 2 and "4x2 SVD, 2 layers" in text and text.index("0 dB") < text.index("10 dB")
    comparison.case_columns(experiment.HEAD, both, "first").write(tmp_path / "mimo.csv")
    with open(tmp_path / "mimo.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 20 and float(lines[0]["mean"]) == pytest.approx(results[0].value.mean, rel=5e-6)
    figure = experiment.figure(both, variables)
    quality, efficiency = figure.axes
    assert [line.get_label() for line in quality.lines] == [r.label for r in results[::2]]
    assert quality.lines[0].get_ydata() == pytest.approx([r.value.mean for r in results[:2]])
    assert set(efficiency.lines[0].get_ydata()) == {2.0} and "bit/use" in efficiency.get_ylabel()
    assert all(path.stat().st_size > 5000 for path in style.save(figure, tmp_path / "mimo"))


def test_run_json_has_all_arrangements(experiment, measured):
    import json

    flags = measured[0]
    failed, links = {"a condition": "wires crossed"}, experiment.links_of(flags)
    closing.whole_run(flags.out, asdict(flags), 1.5, failed, {"links": links})
    said = json.loads((flags.out / "run.json").read_text())
    assert said["configuration"]["arrangements"] == list(ARRANGEMENTS) and said["duration_s"] == 1.5
    assert "out" not in said["configuration"], "results would carry a path of the machine"
    assert said["links"]["4x2 SVD, 2 layers"]["layers"] == 2 and said["versions"]["semlink"]
    assert said["failures"] == {"a condition": "wires crossed"}


@pytest.mark.parametrize(
    ("text", "label", "link"),
    [
        ("1x1", "1x1", "tdl:csi=lmmse,speed=3"),
        ("1x2", "1x2", "tdl:csi=lmmse,rx_antennas=2,speed=3"),
        ("2x2", "2x2, 2 layers", "tdl:csi=lmmse,layers=2,rx_antennas=2,speed=3,tx_antennas=2"),
        (
            "4x2:precoding=svd,power=mmse",
            "4x2 SVD, 2 layers, mmse",
            "tdl:csi=lmmse,csit=perfect,layers=2,power=mmse,precoding=svd,rx_antennas=2,speed=3,tx_antennas=4",
        ),
        (
            "4x4:precoding=svd,layers=1,csit=quantised,csit_bits=2",
            "4x4 SVD, csit quantised, csit_bits 2",
            "tdl:csi=lmmse,csit=quantised,csit_bits=2,precoding=svd,rx_antennas=4,speed=3,tx_antennas=4",
        ),
        ("1x1:power=waterfilling", "1x1, waterfilling", "tdl:csi=lmmse,csit=perfect,power=waterfilling,speed=3"),
    ],
)
def test_arrangements_are_links(text, label, link):
    found = antennas.arrangement(text)
    assert str(found) == label and found.link("tdl:speed=3") == link
    assert make_link(parse(link)).layers == found.layers


def test_a_channel_keeps_its_csi_and_impairments():
    word = antennas.arrangement("1x2").link("tdl:csi=perfect+cfo:hertz=100")
    assert word == "tdl:csi=perfect,rx_antennas=2+cfo:hertz=100"


def test_spectral_efficiency_of_one_antenna_is_shannons():
    found = antennas.efficiency("awgn:csi=perfect", [0.0, 10.0], images=5, uses=10**6, seed=0)
    for snr, bits in found.items():
        assert bits == pytest.approx(np.log2(1 + 10 ** (snr / 10)), rel=1e-4) and bits.shape == (5,)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"arrangements": ()}, "--arrangements needs at least one value"),
        ({"arrangements": ("two",)}, "write transmit x receive antennas, as in 4x2:precoding=svd"),
        ({"arrangements": ("0x2",)}, "write transmit x receive antennas"),
        ({"arrangements": ("2x2:csi=ls",)}, "write transmit x receive antennas"),
        ({"arrangements": ("2x2:layers=many",)}, "layers must be a whole number"),
        ({"arrangements": ("2x2:layers=3,precoding=svd",)}, "layers=3 over 2 receive and 2 transmit antennas"),
        ({"arrangements": ("2x1",)}, "layers=2 over 1 receive and 2 transmit antennas"),
        ({"channels": ("tdl:rx_antennas=2",)}, "--channels tdl:rx_antennas=2: give rx_antennas with --arrangements"),
        ({"channels": ("awgn",)}, "awgn.*rx_antennas"),
        ({"metrics": ("beauty",)}, "beauty"),
    ],
)
def test_mistakes_are_named(experiment, change, message):
    with pytest.raises(SemlinkError, match=message):
        experiment.check(replace(experiment.MimoFlags(channels=("tdl",)), **change))
