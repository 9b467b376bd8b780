"""Pictures that a codec refuses are grey and counted; the other pictures of their condition are as if it took all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sweep_fakes import PARTS, RED, FakeData

from semlink.simulator.analysis.statistics import summarise
from semlink.simulator.records.sweep import Sweep
from semlink.simulator.sweep import runner

SWEEP = Sweep(("x",), ("awgn",), (10.0,), (0.5,), ("psnr",), data="fake", limit=40)


def measured(out, fails: str, **changes):
    """The only measurement of a sweep of a codec that fails so."""
    word = f"x:fails={fails}" if fails else "x"
    outcome = runner.run(replace(SWEEP, codecs=(word,), **changes), out, 1, PARTS)
    (found,) = outcome.rows.measurements
    return found, outcome


def red_pictures() -> np.ndarray:
    return np.array([float(FakeData(40).batch([i])[0, 0, 0, 0]) > RED for i in range(40)])


@pytest.mark.parametrize("fails", ["red", "late red"])
def test_pictures_that_raise_are_grey_and_the_others_as_they_were(tmp_path, fails: str, capsys) -> None:
    """Of each block some: sent again alone they meet the fades and the noise that they met in the batch."""
    (whole, _), (found, outcome) = measured(tmp_path / "whole", ""), measured(tmp_path / "part", fails)
    lost = np.isnan(found.values["papr_db"])  # nothing was on the air
    assert fails == "late red" or np.array_equal(lost, red_pictures())
    assert 0 < lost.sum() < 30 and found.images == whole.images and not outcome.failures
    kept = ~lost
    for name in ("psnr", "mse", "snr_realised_db", "uses_total"):
        assert np.allclose(found.values[name][kept], whole.values[name][kept], rtol=1e-5), name
    grey = [float((FakeData(40).batch([i]) - 0.5).square().mean()) for i in np.flatnonzero(lost).tolist()]
    assert np.allclose(found.values["mse"][lost], grey, rtol=1e-5)
    assert (found.values["block_errors"][lost] == 1).all() and (found.values["blocks"][lost] == 1).all()
    assert "too red (and" in found.notes["refused"]
    assert "grey, counted as lost: x:fails" in capsys.readouterr().err


def test_a_size_that_is_refused_is_grey_beside_the_others(tmp_path, capsys) -> None:
    """All portraits are blocks of their own; they count as lost, and the condition has not failed."""
    found, outcome = measured(tmp_path, "portrait")
    portraits = np.array([i % 3 == 2 for i in range(40)])
    assert not outcome.failures and not found.error and len(found.images) == 40
    assert np.array_equal(np.isnan(found.values["papr_db"]), portraits)
    assert (found.values["block_errors"][portraits] == 1).all()
    assert (found.values["uses_total"][portraits] == 36).all(), "the budget"
    (line,) = [line for line in summarise(outcome.rows) if line.metric == "psnr"]
    assert line.n == 40 and np.isfinite(line.mean)
    assert "no portraits" in found.notes["refused"] and "failed" not in capsys.readouterr().err


def test_what_arrives_and_is_no_picture_is_in_the_mean_and_told(tmp_path) -> None:
    """As the codec says; rows of codecs that do not say so stay as they are."""
    sweep = replace(SWEEP, codecs=("marks", "x"))
    found, plain = runner.run(sweep, tmp_path, 1, PARTS).rows.measurements
    undecoded = np.nan_to_num(found.values["undecoded"]) > 0
    grey = [float((FakeData(40).batch([i]) - 0.5).square().mean()) for i in np.flatnonzero(undecoded).tolist()]
    assert 5 < undecoded.sum() < 35 and np.allclose(found.values["mse"][undecoded], grey, rtol=1e-5)
    assert np.isfinite(found.values["psnr"]).all() and "undecoded" not in plain.values


def test_one_picture_alone(tmp_path) -> None:
    """The third picture is the only portrait: a block of one."""
    found, outcome = measured(tmp_path, "portrait", limit=3)
    assert np.isnan(found.values["papr_db"]).tolist() == [False, False, True] and not outcome.failures


@pytest.mark.parametrize(("fails", "said"), [("broken portrait", "RuntimeError"), ("encode", "RuntimeError")])
def test_a_fault_on_whole_blocks_fails_the_condition(tmp_path, fails: str, said: str, capsys) -> None:
    found, outcome = measured(tmp_path, fails)
    assert said in found.error and len(outcome.failures) == 1
    assert "failed: x:fails" in capsys.readouterr().err


def test_a_condition_without_any_picture_has_failed(tmp_path) -> None:
    """Such as one whose weights are missing: no table is made of grey pictures alone."""
    parts = replace(PARTS, dataset=_portraits)
    outcome = runner.run(replace(SWEEP, codecs=("x:fails=portrait",)), tmp_path, 1, parts)
    (found,) = outcome.rows.measurements
    assert outcome.failures and "no portraits" in found.error and not found.images
    assert "nan,nan,nan,0" in (tmp_path / "summary.csv").read_text()


class _Portraits(FakeData):
    def sizes(self):
        return [(6, 4)] * self.n


def _portraits(data, limit):
    return _Portraits(limit or 40)


@pytest.mark.parametrize("codec", ["roi_jscc", "deepjscc"])
def test_a_thumbnail_among_photographs(tmp_path, codec: str) -> None:
    """Our own codecs and the real link: 7x5 px leave roi_jscc no room for its mask; the photographs stay."""
    from PIL import Image

    folder = tmp_path / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name, (height, width) in {"a": (64, 64), "b": (5, 7), "c": (64, 64)}.items():
        Image.fromarray(rng.integers(0, 255, (height, width, 3), np.uint8)).save(folder / f"{name}.png")
    sweep = Sweep((codec,), ("awgn",), (10.0,), (1 / 12,), ("psnr",), data=str(folder))
    outcome = runner.run(sweep, tmp_path / "out")
    (found,) = outcome.rows.measurements
    assert not outcome.failures and len(found.images) == 3
    assert np.isnan(found.values["papr_db"]).tolist() == [False, codec == "roi_jscc", False]
