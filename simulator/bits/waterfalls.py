"""Curves of block error rates over AWGN, 0.5 erfc((snr - centre) / (sqrt(2) width)) in dB, from measured points."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.optimize import curve_fit
from scipy.special import erfc, erfcinv


def fit(points: Mapping[str, Mapping[str, float]]) -> dict[str, tuple[float, float]]:
    """Centre and width in dB of 0.5 erfc((snr - centre) / (sqrt(2) width)) by block size, of one scheme.

    Widths go as 1 / sqrt(symbols), as the dispersion of a finite block does (Polyanskiy, Poor and Verdu 2010), with one
    factor for all sizes: curves of long blocks fall between two points and do not tell their own (see `deepened`).
    """
    sizes = list(points)
    where = np.concatenate([np.full(len(points[size]), i) for i, size in enumerate(sizes)])
    snr = np.array([float(s) for size in sizes for s in points[size]])
    rates = np.array([rate for size in sizes for rate in points[size].values()])
    roots = np.sqrt([float(size) for size in sizes])

    def curve(x: np.ndarray, factor: float, *centres: float) -> np.ndarray:
        return 0.5 * erfc((x - np.asarray(centres)[where]) / (np.sqrt(2) * factor / roots[where]))

    own = [np.interp(-0.5, -rates[where == i], snr[where == i]) for i in range(len(sizes))]
    (factor, *centres), _ = curve_fit(curve, snr, rates, p0=(8.0, *own))
    pairs = zip(sizes, centres, factor / roots, strict=True)
    return {size: (round(float(centre), 3), round(float(width), 3)) for size, centre, width in pairs}


def deepened(curve: tuple[float, float], tail: tuple[float, float]) -> tuple[float, float]:
    """The curve with the width that a point (SNR, error rate) of its tail tells; it never gets narrower."""
    (centre, width), (snr, rate) = curve, tail
    deep = np.sqrt(2) * erfcinv(2 * min(rate, 0.4)) if rate else np.inf
    return centre, max(width, round(float((snr - centre) / deep), 3))
