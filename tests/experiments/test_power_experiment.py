"""experiments/power.py on a link of one line: the best rule wins, old CSI loses, pairs are pairs, figures are drawn."""

import csv
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from scripts import loaded

from semlink.channels.base.fade import complex_normal
from semlink.simulator import SemlinkError, power
from semlink.simulator.figures import style
from semlink.simulator.rng import generator
from semlink.simulator.study import symbols
from semlink.simulator.sweep import runner
from semlink.simulator.values import LinkReport, LinkResult, ReceivedStream, Reception
from semlink.simulator.words import parse


@pytest.fixture(scope="module")
def experiment():
    with loaded("power") as module:
        yield module


@dataclass(frozen=True)
class FlatLink:
    """Rayleigh gains per symbol, allocated by what the transmitter knows, and the LMMSE estimate of each symbol."""

    power: str
    csi: str
    csit: str = "none"
    csit_delay: int = 4
    csit_bits: int = 3

    def run(self, transmission, snr_db, seed=0, first_image=0):
        (stream,) = transmission.streams
        (n, k), n0 = stream.payload.shape, 10 ** (-snr_db / 10)
        assert stream.importance_known
        fades, noise = (
            torch.stack([draw(k, name, seed, first_image + i) for i in range(n)]) for name in ("fade", "noise")
        )
        old = torch.stack([draw(k, "old", seed, first_image + i) for i in range(n)])
        kept = 0.9**self.csit_delay if self.csit == "delayed" else 1.0
        told = (kept * fades + (1 - kept**2) ** 0.5 * old).abs().square()
        rule = power.create(self.power)
        assert rule.needs_channel == (self.csit != "none")
        p = rule.allocate(told, stream.importance, torch.full((n,), n0), torch.ones(n, k, dtype=torch.bool))
        h = p.sqrt() * fades
        x_hat = h.conj() * (h * stream.payload + n0**0.5 * noise) / (h.abs().square() + n0)
        return LinkResult(Reception((ReceivedStream("symbols", "analog", x_hat, x_hat.abs()),)), report(n, k, snr_db))


def draw(k, *key):
    return torch.from_numpy(complex_normal(generator(*key), (k,)))


def report(n, k, snr_db):
    same = (float(snr_db),) * n
    return LinkReport({"symbols": (k,) * n}, (k,) * n, (1e-3,) * n, same, same, same)


def flat_link(word):
    channel, settings = word.split(("power", "csi", "csit", "csit_delay", "csit_bits"))
    if channel.name == "broken":
        raise ValueError("no such thing")
    return FlatLink(**settings)


@pytest.fixture(scope="module")
def measured(experiment, tmp_path_factory):
    flags = experiment.PowerFlags(
        out=tmp_path_factory.mktemp("power"),
        channels=("flat",),
        csit=("perfect", "delayed:slots=1", "delayed:slots=20"),
        snr=(0.0, 15.0),
        limit=40,
    )
    parts = replace(symbols.parts(flags.profile, flags.slots, flags.seed), link=flat_link)
    outcome = runner.run(experiment.question(flags), flags.out, 1, parts)
    return flags, outcome, experiment.paired(flags, outcome.rows)


def by_case(compared):
    """Results by channel, CSIT, rule and SNR."""
    return {(*case, r.label, r.line.snr_db): r for case, results in compared.items() for r in results}


def test_best_rule_wins_with_fresh_knowledge_and_old_knowledge_costs(experiment, measured):
    flags, outcome, compared = measured
    found = {at[1:]: r for at, r in by_case(compared).items()}
    assert not outcome.failures and len(found) == 3 * 5 * 2
    for rule in set(flags.rules) - {experiment.BEST}:
        assert all(found["perfect", rule, snr].more.low > 0 for snr in flags.snr)
    for snr in flags.snr:
        errors = [found[csit, experiment.BEST, snr].value.mean for csit in flags.csit]
        assert errors == sorted(errors) and errors[2] > 1.1 * errors[0]
        blind = [found[csit, "uniform", snr].value for csit in flags.csit]
        assert blind[0] == blind[1] == blind[2], "a rule that needs no channel is measured once"


def test_uniform_error_is_what_theory_says(measured):
    """E[1 / (1 + s g)] for exponential g is e^(1/s) E1(1/s) / s."""
    from scipy.special import exp1

    for (*_, rule, snr_db), result in by_case(measured[2]).items():
        if rule == "uniform":
            n0 = 10 ** (-snr_db / 10)
            assert result.value.mean == pytest.approx(n0 * np.exp(n0) * exp1(n0), rel=0.04)


def test_differences_are_paired(measured):
    """The interval of a paired difference is much narrower than those of the two errors."""
    for (_, csit, rule, _), result in by_case(measured[2]).items():
        if rule == "importance" and csit == "perfect":
            assert result.more.high - result.more.low < 0.8 * (result.value.high - result.value.low)
            assert result.more.n == 40


def test_leaves_a_table_a_csv_and_a_figure(experiment, measured, tmp_path):
    flags, outcome, compared = measured
    results = list(by_case(compared).values())
    text = experiment.table(compared)
    assert text.count("flat, CSIT") == 3 and "failed" not in text
    experiment.answer(flags, outcome.rows).csv["power.csv"].write(tmp_path / "power.csv")
    with open(tmp_path / "power.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == len(results) and float(lines[0]["weighted_mse"]) == pytest.approx(
        results[0].value.mean, rel=5e-6
    )
    figure = experiment.figure(compared, above=False)
    assert len(figure.axes) == 3 and all(len(axes.lines) == 5 for axes in figure.axes)
    drawn = figure.axes[0].lines[0].get_ydata()
    assert drawn == pytest.approx([10 * np.log10(r.value.mean) for r in results[:2]])
    above = experiment.figure(compared, above=True).axes[0].lines
    assert [(line.get_ydata() > 0).all() for line in above] == [True] * 4 + [False] and not above[4].get_ydata().any()
    assert all(path.stat().st_size > 5000 for path in style.save(figure, tmp_path / "figure"))
    assert {"rows.h5", "summary.csv", "run.json"} <= {path.name for path in flags.out.iterdir()}


def test_a_failed_condition_is_an_empty_result(experiment, measured, tmp_path):
    flags = replace(measured[0], channels=("flat", "broken"), csit=("perfect",), snr=(5.0,), limit=3, out=tmp_path)
    parts = replace(symbols.parts(flags.profile, flags.slots, flags.seed), link=flat_link)
    outcome = runner.run(experiment.question(flags), tmp_path, 1, parts)
    compared = experiment.paired(flags, outcome.rows)
    assert {channel for (channel, *_), r in by_case(compared).items() if not r.value.n} == {"broken"}
    assert experiment.table(compared).count("failed") == 5
    assert all(experiment.figure(compared, above).axes for above in (False, True))


def test_link_words(experiment):
    word = experiment.link_of("tdl:model=C+cfo:hertz=200", "delayed:slots=8", "mmse")
    assert word == "tdl:csi=perfect,csit=delayed,csit_delay=8,model=C,power=mmse+cfo:hertz=200"
    assert experiment.link_of("awgn:csi=ls", "quantised:bits=2", "importance") == "awgn:csi=ls,power=importance"
    assert parse(experiment.link_of("awgn", "quantised:bits=2", "mmse")).split(("csit_bits",))[1] == {"csit_bits": 2}


def test_profiles():
    roi = symbols.weights("roi:share=0.25,weight=8", 1000)
    assert (roi == 8).sum() == 250 and (roi == 1).sum() == 750
    decibels = 10 * symbols.weights("lognormal:db=3", 20000).log10()
    assert decibels.std() == pytest.approx(3, rel=0.03) and decibels.mean().abs() < 0.1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"csit": ("psychic",)}, "unknown csit 'psychic'; known: perfect, delayed, quantised"),
        ({"csit": ("delayed:bits=3",)}, "give delayed positive numbers for slots"),
        ({"profile": "roi:share=-1"}, "give roi positive numbers for share, weight"),
        ({"rules": ("magic",)}, "unknown power rule 'magic'"),
        ({"channels": ("tld",)}, "unknown channel 'tld'"),
        ({"snr": ()}, "--snr needs a value"),
    ],
)
def test_mistakes_are_named(experiment, change, message):
    with pytest.raises(SemlinkError, match=message):
        experiment.check(replace(experiment.PowerFlags(), **change))
