"""Intervals against scipy and against their own promise: 95 % of them hold the truth."""

from __future__ import annotations

import csv
import json
import math

import numpy as np
import pytest
import scipy.stats

from semlink.simulator.analysis.comparison import Entry, compare, paired_table
from semlink.simulator.analysis.statistics import (
    COLUMNS,
    lost,
    mean_interval,
    paired_difference,
    psnr_of_mean_mse,
    summarise,
    table,
    write_csv,
)
from semlink.simulator.errors import SemlinkError
from semlink.simulator.figures.curves import curves
from semlink.simulator.protocols import Variable
from semlink.simulator.records.rows import Measurement, Rows
from semlink.simulator.records.store import Condition


def measurement(values, codec="a", snr=0.0, error="", positions=None):
    n = len(next(iter(values.values()), ()))
    places = tuple(range(n)) if positions is None else positions
    arrays = {name: np.array(column, float) for name, column in values.items()}
    return Measurement(
        Condition(codec, 1 / 12, "awgn", snr), "perfect", tuple(map(str, places)), places, arrays, {}, error
    )


def test_mean_interval_is_students_t_of_scipy():
    values = np.random.default_rng(0).normal(30, 2, 24)
    found = mean_interval(values)
    low, high = scipy.stats.t.interval(0.95, 23, values.mean(), scipy.stats.sem(values))
    assert (found.mean, found.low, found.high) == pytest.approx((values.mean(), low, high), rel=1e-12)
    assert found.n == 24


def test_intervals_hold_the_truth_95_percent_of_the_time():
    draws = np.random.default_rng(1).normal(5, 3, (4000, 6))
    held = [i.low <= 5 <= i.high for i in map(mean_interval, draws)]
    assert np.mean(held) == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / 4000))


def test_one_value_has_a_mean_and_no_interval():
    found = mean_interval(np.array([3.0]))
    assert found.mean == 3 and found.n == 1 and math.isnan(found.low) and math.isnan(found.high)


@pytest.mark.parametrize("values", [[], [1.0, math.nan], [1.0, math.inf]])
def test_nothing_is_made_up(values):
    found = mean_interval(np.array(values))
    assert found.n == 0 and math.isnan(found.mean)


def test_psnr_of_mean_mse_agrees_with_the_bootstrap():
    mse = np.random.default_rng(2).lognormal(-7, 0.5, 400)
    found = psnr_of_mean_mse(mse)
    assert found.mean == pytest.approx(-10 * np.log10(mse.mean()), rel=1e-12)
    assert found.mean < (-10 * np.log10(mse)).mean()
    ours = scipy.stats.bootstrap(
        (mse,), lambda x, axis: -10 * np.log10(x.mean(axis=axis)), rng=np.random.default_rng(3)
    )
    assert found.low == pytest.approx(ours.confidence_interval.low, abs=0.06)
    assert found.high == pytest.approx(ours.confidence_interval.high, abs=0.06)


def test_pairing_removes_what_images_have_in_common():
    rng = np.random.default_rng(4)
    common = rng.normal(30, 5, 50)
    first = measurement({"psnr": common + rng.normal(0.5, 0.1, 50)})
    second = measurement({"psnr": common}, codec="b")
    found = paired_difference(first, second, "psnr")
    expected = scipy.stats.ttest_rel(first.values["psnr"], second.values["psnr"]).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=1e-9)
    alone = mean_interval(first.values["psnr"])
    assert found.high - found.low < (alone.high - alone.low) / 10


def test_pairing_is_by_image():
    first = measurement({"psnr": [1, 2, 3]}, positions=(0, 1, 2))
    second = measurement({"psnr": [10, 20, 30]}, codec="b", positions=(2, 1, 5))
    assert paired_difference(first, second, "psnr").mean == pytest.approx(((3 - 10) + (2 - 20)) / 2)
    with pytest.raises(SemlinkError, match="different images"):
        paired_difference(first, measurement({"psnr": [1.0]}, positions=(9,)), "psnr")


VALUES = {
    "psnr": [30, 32],
    "mse": [1e-3, 10**-3.2],
    "rho_main": [0.08, 0.08],
    "rho_total": [0.08, 0.1],
    "blocks": [4, 4],
    "block_errors": [1, 0],
}
ASKED = {"configuration": json.dumps({"metrics": ["psnr"]})}


def test_summary_has_its_columns_and_pooled_metrics(tmp_path):
    lines = summarise(Rows((measurement(VALUES),), attributes=ASKED))
    write_csv(lines, tmp_path / "summary.csv")
    with open(tmp_path / "summary.csv") as handle:
        read = {row["metric"]: row for row in csv.DictReader(handle)}
        handle.seek(0)
        assert (
            handle.readline().strip() == "codec,channel,csi,snr_db,rho_main,rho_total,metric,mean,ci95_low,ci95_high,n"
        )
    assert COLUMNS[0] == "codec" and set(read) == {"psnr", "psnr_of_mean_mse", "block_error_rate"}
    assert float(read["psnr"]["mean"]) == 31 and read["psnr"]["n"] == "2" and float(read["psnr"]["rho_total"]) == 0.09
    assert float(read["psnr_of_mean_mse"]["mean"]) == pytest.approx(-10 * math.log10(np.mean(VALUES["mse"])), rel=1e-6)
    assert float(read["block_error_rate"]["mean"]) == 0.125


def test_a_failed_condition_is_never_averaged():
    failed = measurement(VALUES, snr=5.0, error="ValueError: x")
    lines = {
        (line.snr_db, line.metric): line for line in summarise(Rows((measurement(VALUES), failed), attributes=ASKED))
    }
    assert lines[5.0, "psnr"].n == 0 and math.isnan(lines[5.0, "psnr"].mean)
    assert lines[0.0, "psnr"].mean == 31


def test_everything_failed_still_has_lines():
    (line, pooled) = summarise(Rows((measurement({}, error="no"),), attributes=ASKED))
    assert (line.metric, line.n, pooled.metric) == ("psnr", 0, "psnr_of_mean_mse")


def test_images_measured_without_a_metric_do_not_count():
    found = measurement({"psnr": [30, 32, 34], "ssim": [0.5, 0.7, math.nan]})
    lines = {line.metric: line for line in summarise(Rows((found,)))}
    assert lines["ssim"].mean == pytest.approx(0.6) and lines["ssim"].n == 2 and lines["psnr"].n == 3


def test_table_is_aligned():
    found = (measurement(VALUES), measurement(VALUES, snr=5.0, error="x"), measurement(VALUES, codec="longer", snr=5.0))
    title, head, *body = table(summarise(Rows(found, attributes=ASKED)), "psnr", "dB").splitlines()
    assert "psnr (dB)" in title and "2 images" in title
    assert head.split() == ["channel", "csi", "codec", "rho", "0", "dB", "5", "dB"]
    assert body[0].split() == ["awgn", "perfect", "a", "0.08333", "31.00", "+-12.71", "failed"]
    assert body[1].endswith("31.00 +-12.71") and len({len(line) for line in (head, *body)}) == 1


def test_two_codecs_of_one_file_name_are_two_lines_of_a_table():
    codecs = [f"adjscc:weights=/{folder}/mine.st" for folder in ("one", "two")]
    rows = Rows(tuple(measurement({"psnr": [20.0 + i, 21.0 + i]}, codec) for i, codec in enumerate(codecs)))
    text = table(summarise(rows), "psnr", "dB")
    assert "weights=one/mine.st" in text and "weights=two/mine.st" in text and "20.50" in text and "21.50" in text


def test_lines_count_the_pictures_that_lost_bits():
    values = {"psnr": [20.0, 21.0, 30.0], "blocks": [2.0, 2, 2], "block_errors": [1.0, 2, 0]}
    (line,) = (x for x in summarise(Rows((measurement(values),))) if x.metric == "psnr")
    assert line.lost == 2 and lost(measurement(values, positions=(4, 5, 9))) == (4, 5)
    assert lost(measurement({"psnr": [1.0]})) == ()


def test_what_arrives_and_is_no_picture_counts_as_lost_once():
    values = {"psnr": [20.0, 21, 30, 31], "block_errors": [1.0, 1, 0, 0], "undecoded": [np.nan, 1, 1, 0]}
    assert lost(measurement(values)) == (0, 1, 2)
    (line,) = (x for x in summarise(Rows((measurement(values),))) if x.metric == "psnr")
    assert line.lost == 3 and "undecoded" not in {x.metric for x in summarise(Rows((measurement(values),)))}


def after_another_limit(**numbers):
    """A was measured on pictures 0 to 3, then a run with more of them was stopped behind A at 5 dB."""
    first, more = [30.0, 32, 34, 36], [40.0, 42, 44, 46, 90]
    return Rows(
        (
            measurement({"psnr": first, "rho_main": [0.1] * 4, "rho_total": [0.1] * 4}),
            measurement({"psnr": more, "rho_main": [0.1] * 5, "rho_total": [0.1] * 5}, snr=5.0),
            *numbers.get("others", ()),
        ),
        attributes=numbers.get("attributes", {}),
    )


def test_means_are_over_the_pictures_that_all_have():
    lines = {line.snr_db: line for line in summarise(after_another_limit()) if line.metric == "psnr"}
    assert lines[5.0].mean == 43 and lines[5.0].n == 4 and lines[5.0].measured == 5
    title = table(list(lines.values()), "psnr", "dB").splitlines()[0]
    assert title.endswith("over 4 images that all were measured on (of up to 5)")


def test_what_nobody_asks_for_now_takes_no_pictures_away():
    old = measurement({"psnr": [10.0]}, codec="old", positions=(3,))
    asked = {"codecs": ["a"], "channels": ["awgn"], "snr_db": [0.0, 5.0], "rho": [1 / 12], "metrics": ["psnr"]}
    found = after_another_limit(others=(old,), attributes={"configuration": json.dumps(asked)})
    counts = {(line.codec, line.snr_db): line.n for line in summarise(found) if line.metric == "psnr"}
    assert counts == {("a", 0.0): 4, ("a", 5.0): 4, ("old", 0.0): 1}


def test_pictures_of_which_none_is_common_are_left_as_they_are():
    other = measurement({"psnr": [10.0, 12.0]}, codec="b", positions=(8, 9))
    counts = [line.n for line in summarise(after_another_limit(others=(other,))) if line.metric == "psnr"]
    assert counts == [4, 5, 2]


def test_compared_means_are_over_common_pictures_too():
    entries = [Entry("a", "a", "awgn")]
    found = {r.line.snr_db: r for r in compare(after_another_limit(), entries, (), ("psnr",), (1 / 12,), (0.0, 5.0))}
    assert found[5.0].value.mean == 43 and found[5.0].value.n == 4
    text = paired_table(list(found.values()), Variable("dB", "PSNR", "higher"), "awgn")
    assert "4 images that all were measured on (of up to 5): mean" in text


def test_curves_say_what_they_leave_out():
    lines = [line for line in summarise(after_another_limit()) if line.metric == "psnr"]
    figure = curves(lines, "psnr", Variable("dB", "PSNR", "higher"))
    assert figure.get_suptitle() == "n = 4 that all were measured on (of up to 5)"
    even = [line for line in lines if line.snr_db == 0]
    assert curves(even, "psnr", Variable("dB", "PSNR", "higher")).get_suptitle() == "n = 4"
