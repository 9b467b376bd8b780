"""The best of others at no more channel uses, on made-up rows."""

import numpy as np
import pytest

from semlink.simulator.analysis.equal_uses import points, verdict
from semlink.simulator.records.rows import Measurement, Rows
from semlink.simulator.records.store import Condition

OURS, OTHERS = "ours", ("a", "b")


def measured(codec, psnr, p5, uses, rho=0.02, images=("x", "y"), error=""):
    values = {name: np.array(v, float) for name, v in (("psnr", psnr), ("psnr_p5", p5), ("uses_total", uses))}
    return Measurement(Condition(codec, rho, "awgn", 10.0), "perfect", images, range(len(images)), values, error=error)


def found(*measurements):
    return list(points(Rows(measurements), OURS, OTHERS, ("psnr", "psnr_p5")))


def test_the_best_is_chosen_clip_by_clip_and_metric_by_metric():
    x, y = found(
        measured(OURS, [30, 28], [25, 20], [100, 100]),
        measured("a", [29, 27], [21, 21], [100, 90]),
        measured("b", [28, 29], [24, 19], [101, 90]),
    )
    assert (x.clip, x.best, x.better, x.dearer) == ("x", {"psnr": "a", "psnr_p5": "b"}, True, False)
    assert x.gain == pytest.approx({"psnr": 1, "psnr_p5": 1})
    assert (y.best, y.better) == ({"psnr": "b", "psnr_p5": "a"}, False)
    assert y.gain == pytest.approx({"psnr": -1, "psnr_p5": -1})


def test_who_spends_more_is_met_only_where_nobody_spends_as_little():
    x, y = found(
        measured(OURS, [30, 30], [25, 25], [100, 100]),
        measured("a", [40, 40], [40, 40], [103, 103]),
        measured("b", [29, 29], [24, 24], [100, 110]),
    )
    assert (x.best["psnr"], x.dearer) == ("b", False)
    assert (y.best["psnr"], y.dearer, y.better) == ("a", True, False)


def test_other_rates_failures_and_missing_clips_are_not_met():
    own = measured(OURS, [30, 30], [25, 25], [100, 100])
    assert found(own, measured("a", [1], [1], [1], rho=0.03), measured("b", [1], [1], [1], error="no")) == []
    assert len(found(own, measured("a", [29], [24], [99], images=("x",)))) == 1


def test_a_verdict_is_of_all_points():
    told = verdict(
        found(
            measured(OURS, [30, 28], [25, 20], [100, 100]),
            measured("a", [29, 28.5], [24, 19], [100, 100]),
        )
    )
    assert (told.points, told.better, told.dearer) == (2, 0.5, 0)
    assert told.worst == pytest.approx({"psnr": -0.5, "psnr_p5": 1})
    assert told.gain["psnr"].mean == pytest.approx(0.25) and told.gain["psnr"].low < -0.5
