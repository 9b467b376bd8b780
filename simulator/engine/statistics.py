"""What the receiver makes of a channel's statistics: moments of interpolated LS estimates, and the Wiener filter.

With R the correlation between resource elements and white pilot noise N0 (unit pilots), NumPy only:
LS + interpolation h_hat = W (h_p + n) has E[h h_hat*] = (W r)* and E|h_hat|^2 = W R W^H + N0 W W^H, which hold the
interpolation error too.
LMMSE: h = R_gp U (L + N0)^-1 U^H (h_p + n), R_pp = U L U^H (Kay, Estimation Theory, 1993, ch. 12).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from semlink.channels.base.grid import Grid

Correlation = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Prior:
    """What a receiver knows: correlation of the fade, of its mixer's phase, and of a line of sight alone.

    age: of the pilots in seconds; the phase of an old estimate is tracked, its fade is not.
    """

    correlation: Correlation
    phase: Callable[[np.ndarray], np.ndarray] = np.ones_like
    specular: Correlation | None = None
    age: float = 0.0

    def between(self, seconds: np.ndarray, hertz: np.ndarray, age: float = 0.0) -> np.ndarray:
        """E[h h*] of two gains that far apart, the second `age` older; arrays of one shape.

        Worked out once for each lag in time and in frequency, of which a slot has few: these functions take seconds.
        """
        (late, row), (wide, column) = (np.unique(lags, return_inverse=True) for lags in (seconds, hertz))
        return (self.correlation(late[:, None] + age, wide) * self.phase(late)[:, None])[row, column]


@dataclass(frozen=True)
class Moments:
    """Per element, `[symbols, subcarriers]`: cross = W r (complex64), signal = W R W^H, noise = W W^H (float32).

    line: W r of a line of sight alone, the gain at which it comes through interpolation (complex64).
    """

    cross: np.ndarray
    line: np.ndarray
    signal: np.ndarray
    noise: np.ndarray


@dataclass(frozen=True)
class Wiener:
    """basis = U^H `[pilots, pilots]`, spread = (R_gp U)^T `[pilots, elements]`, complex64; eigenvalues L, float32."""

    basis: np.ndarray
    spread: np.ndarray
    eigenvalues: np.ndarray


def moments(prior: Prior, grid: Grid, weights: np.ndarray, comb: np.ndarray | None = None) -> Moments:
    """weights: real interpolation matrix W `[symbols * subcarriers, pilots]`. comb: as in `pilot_correlations`."""
    among, across = pilot_correlations(prior, grid, comb)
    shape = (grid.symbols, grid.subcarriers)
    cross = (weights * across.conj()).sum(1).reshape(shape)
    signal = ((weights @ among) * weights).sum(1).real.reshape(shape)
    noise = (weights**2).sum(1).reshape(shape)
    line = weights.sum(1).reshape(shape)
    if prior.specular is not None:
        alone = pilot_correlations(replace(prior, correlation=prior.specular), grid, comb)[1]
        line = (weights * alone.conj()).sum(1).reshape(shape)
    return Moments(
        cross.astype(np.complex64), line.astype(np.complex64), signal.astype(np.float32), noise.astype(np.float32)
    )


def wiener(prior: Prior, grid: Grid, comb: np.ndarray | None = None, whitening: np.ndarray | None = None) -> Wiener:
    """The Wiener filter's factors; whitening: factors that the pilots are multiplied by before it, float `[pilots]`."""
    among, across = pilot_correlations(prior, grid, comb)
    if whitening is not None:
        among, across = among * whitening * whitening[:, None], across * whitening
    eigenvalues, vectors = np.linalg.eigh(among)
    spread = (across @ vectors).T
    return Wiener(
        vectors.conj().T.astype(np.complex64), spread.astype(np.complex64), eigenvalues.clip(0).astype(np.float32)
    )


def pilot_correlations(prior: Prior, grid: Grid, comb: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """R_pp `[pilots, pilots]` and R_gp `[symbols * subcarriers, pilots]`, pilots in raster order, complex128.

    comb: which of the pilot raster's elements, all by default.
    """
    times = np.arange(grid.symbols) * grid.symbol_time
    frequencies = grid.frequencies()
    time, frequency = (m.ravel() for m in np.meshgrid(times, frequencies, indexing="ij"))
    pilot = np.flatnonzero(np.isin(np.arange(grid.symbols), grid.pilot_symbols).repeat(grid.subcarriers))
    pilot = pilot if comb is None else pilot[comb]
    apart = time[:, None] - time[pilot], frequency[:, None] - frequency[pilot]
    return prior.between(*(v[pilot] for v in apart)), prior.between(*apart, prior.age)
