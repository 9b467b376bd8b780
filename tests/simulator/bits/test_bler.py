"""The table of block error rates against information theory, and how its curves are fitted."""

import json

import numpy as np
import pytest
from scipy.special import erfc, erfcinv

from semlink.simulator.bits import success
from semlink.simulator.bits.information import GRID_DB, mutual_information
from semlink.simulator.bits.mcs import TABLE
from semlink.simulator.bits.waterfalls import deepened, fit
from semlink.simulator.engine.block_errors import measure, waterfall

BLER = json.loads(success.BLER.read_text())


def test_every_shape_is_measured_and_none_beats_the_mutual_information() -> None:
    for scheme in TABLE:
        curves = BLER["waterfall"][scheme.name]
        assert set(curves) == {str(size) for size in scheme.block_sizes()}
        assert (np.array([width for _, width in curves.values()]) > 0).all()
        centre, _ = curves[str(scheme.block_sizes()[0])]
        once = scheme.bits_per_symbol * scheme.rate
        limit = np.interp(once, mutual_information(scheme.order), GRID_DB) - 10 * np.log10(scheme.repeat)
        assert 0.2 < centre - limit < 2.0, (scheme.name, centre, limit)


def test_faster_schemes_of_an_order_need_a_higher_snr() -> None:
    for order in (4, 16, 64, 256):
        centres = [BLER["waterfall"][m.name]["1024"][0] for m in TABLE if m.order == order]
        assert centres == sorted(centres)


def test_longer_blocks_fall_more_steeply() -> None:
    for scheme in TABLE:
        widths = [width for _, width in BLER["waterfall"][scheme.name].values()]
        assert widths[0] < widths[-1] / 2


def test_a_fit_finds_the_curves_that_points_come_from() -> None:
    rng = np.random.default_rng(0)
    truth = {"512": (3.1, 0.35), "128": (2.9, 0.7), "2048": (3.2, 0.175)}
    points = {}
    for size, (centre, width) in truth.items():
        snr = np.arange(centre - 1.4, centre + 1.5, 0.4)
        rates = rng.binomial(128, 0.5 * erfc((snr - centre) / (np.sqrt(2) * width))) / 128
        points[size] = {str(s): float(r) for s, r in zip(snr, rates, strict=True)}
    for size, (centre, width) in fit(points).items():
        assert centre == pytest.approx(truth[size][0], abs=0.1) and width == pytest.approx(truth[size][1], rel=0.12)


def test_a_tail_widens_a_curve_and_never_narrows_it() -> None:
    centre, width = 2.0, 0.2
    above = centre + 2 * width
    true = float(0.5 * erfc(2 / np.sqrt(2)))
    assert deepened((centre, width), (above, true)) == (centre, pytest.approx(width, abs=0.001))
    wider = deepened((centre, width), (above, 0.05))
    assert wider[1] == pytest.approx(2 * width / (np.sqrt(2) * erfcinv(0.1)), abs=0.001)
    assert deepened((centre, width), (above, 0.001)) == deepened((centre, width), (above, 0.0)) == (centre, width)


def test_measuring_gives_the_points_of_the_table() -> None:
    """The smallest shape of the first scheme: the same blocks and noise, but for rounding of the SNR."""
    scheme = TABLE[0]
    size = min(BLER["points"][scheme.name], key=int)
    points = {float(snr): rate for snr, rate in BLER["points"][scheme.name][size].items()}
    middle = min(points, key=lambda snr: abs(points[snr] - 0.5))
    assert 0.05 < points[middle] < 0.95
    assert measure(scheme, int(size), middle, BLER["blocks"], seed=0) == pytest.approx(points[middle], abs=0.04)


def test_a_waterfall_spans_from_all_blocks_to_none() -> None:
    scheme = TABLE[0]
    found = waterfall(scheme, scheme.block_sizes()[-1], 1.5, 32, seed=0)
    rates = [*found.values()]
    assert [*found] == sorted(found) and rates[0] >= 0.9 and rates[-1] <= 0.02
