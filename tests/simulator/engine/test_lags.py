"""Correlations of the pilots: each lag in time and frequency is asked for once, and lands where it belongs."""

import numpy as np
import pytest

from semlink import channels
from semlink.channels.base.grid import Grid
from semlink.simulator.engine.statistics import Prior, pilot_correlations

GRID = Grid()


@pytest.mark.parametrize("age", [0.0, 1e-3])
def test_each_lag_is_asked_for_once(age: float) -> None:
    tdl, asked = channels.create("tdl", speed=30.0), []

    def correlation(seconds: np.ndarray, hertz: np.ndarray) -> np.ndarray:
        asked.append(np.broadcast(seconds, hertz).size)
        return tdl.correlation(seconds, hertz)

    def phase(seconds: np.ndarray) -> np.ndarray:
        return np.exp(-1e3 * np.abs(seconds))

    among, across = pilot_correlations(Prior(correlation, phase, age=age), GRID)
    lags = (2 * GRID.symbols - 1) * (2 * GRID.subcarriers - 1)
    assert sum(asked) < 2 * lags < across.size / 8
    time, frequency = np.arange(GRID.symbols) * GRID.symbol_time, GRID.frequencies()
    pilots = [(s, k) for s in GRID.pilot_symbols for k in range(GRID.subcarriers)]
    for s, k, p in ((0, 0, 0), (5, 7, 30), (13, 71, 100), (2, 40, 143)):
        later, wider = time[s] - time[pilots[p][0]], frequency[k] - frequency[pilots[p][1]]
        told = tdl.correlation(np.array(later + age), np.array(wider)) * phase(np.array(later))
        assert across[s * GRID.subcarriers + k, p] == told
    assert np.allclose(among, among.conj().T) and np.allclose(among.diagonal(), 1)
