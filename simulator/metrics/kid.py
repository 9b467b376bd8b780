"""Kernel distance between two sets of deep features: KID (Binkowski et al., "Demystifying MMD GANs", ICLR 2018).

The unbiased squared maximum mean discrepancy of the kernel k(x, y) = (x . y / d + 1)^3, d the features' dimension. Its
expectation does not depend on how many features there are; it may come out below 0.
"""

from __future__ import annotations

import numpy as np

from semlink.simulator.errors import SemlinkError


def kernel(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """k between features `[n, d]` and `[m, d]`, float64 `[n, m]`."""
    x, y = np.asarray(first, float), np.asarray(second, float)
    return (x @ y.T / x.shape[1] + 1) ** 3


def mmd(first: np.ndarray, second: np.ndarray, cross: np.ndarray) -> float:
    """Squared MMD, unbiased, from kernels within the sets, `[n, n]` and `[m, m]`, and between them, `[n, m]`.

    SemlinkError for fewer than two features in a set.
    """
    if min(cross.shape) < 2:
        raise SemlinkError(f"a kernel distance needs two features in each set, got {cross.shape[0]}, {cross.shape[1]}")
    return _mean_of_pairs(first) + _mean_of_pairs(second) - 2 * float(cross.mean())


def mmd_of_pairs(first: np.ndarray, second: np.ndarray, cross: np.ndarray) -> float:
    """Squared MMD, unbiased where feature i of both sets is of the same picture: such pairs are left out between the
    sets, too (Gretton et al., "A kernel two-sample test", JMLR 2012, lemma 6). Kernels are `[n, n]`.
    Errors as `mmd`."""
    if len(cross) < 2:
        raise SemlinkError(f"a kernel distance needs two features in each set, got {len(cross)}")
    return _mean_of_pairs(first) + _mean_of_pairs(second) - 2 * _mean_of_pairs(cross)


def distance_of_features(first: np.ndarray, second: np.ndarray) -> float:
    """Squared MMD of features `[n, d]` and `[m, d]`, n, m >= 2."""
    return mmd(kernel(first, first), kernel(second, second), kernel(first, second))


def _mean_of_pairs(own: np.ndarray) -> float:
    """Mean over pairs of different features."""
    n = len(own)
    return float(own.sum() - np.trace(own)) / (n * (n - 1))
