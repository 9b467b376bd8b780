"""Frechet distance between two sets of deep features, taken for Gaussian: FID (Heusel et al., NeurIPS 2017, eq. 6).

d = |m1 - m2|^2 + tr C1 + tr C2 - 2 tr (C1 C2)^(1/2). With factors C = F^T F the last trace is the sum of the singular
values of F1 F2^T, so that no root of a matrix is taken and fewer features than dimensions do no harm.
"""

from __future__ import annotations

import numpy as np

from semlink.simulator.errors import SemlinkError


def frechet_distance(mean1: np.ndarray, cov1: np.ndarray, mean2: np.ndarray, cov2: np.ndarray) -> float:
    """Squared Frechet (2-Wasserstein) distance of two Gaussians: means `[d]`, covariances `[d, d]`.

    SemlinkError for shapes that do not fit, numbers that are not finite, or a covariance that is not symmetric.
    """
    for mean, cov in ((mean1, cov1), (mean2, cov2)):
        if np.ndim(mean) != 1 or np.shape(mean1) != np.shape(mean) or np.shape(cov) != 2 * np.shape(mean):
            raise SemlinkError(f"means {np.shape(mean1)}, {np.shape(mean2)} and covariance {np.shape(cov)} do not fit")
        if not (np.isfinite(mean).all() and np.isfinite(cov).all() and np.allclose(cov, np.transpose(cov))):
            raise SemlinkError("a Frechet distance needs finite means and symmetric finite covariances")
    return _distance(np.asarray(mean1, float), _root(cov1), np.asarray(mean2, float), _root(cov2))


def distance_of_features(first: np.ndarray, second: np.ndarray) -> float:
    """`frechet_distance` of the sample means and (unbiased) covariances of features `[n, d]` and `[m, d]`, n, m >= 2.

    It falls with the number of features, by about 1 / n: compare sets of one size only.
    """
    return _distance(*_moments(first), *_moments(second))


def _moments(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean and a factor F `[r, d]` of the covariance F^T F, r = min(n, d)."""
    features = np.asarray(features, float)
    mean = features.mean(0)
    factor = (features - mean) / np.sqrt(len(features) - 1)
    if len(factor) > len(mean):
        factor = np.asarray(np.linalg.qr(factor, mode="r"))
    return mean, factor


def _root(cov: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(np.asarray(cov, float))
    return np.sqrt(np.maximum(values, 0))[:, None] * vectors.T


def _distance(mean1: np.ndarray, factor1: np.ndarray, mean2: np.ndarray, factor2: np.ndarray) -> float:
    shared = np.linalg.svd(factor1 @ factor2.T, compute_uv=False).sum()
    spread = np.square(factor1).sum() + np.square(factor2).sum()
    return float(np.square(mean1 - mean2).sum() + spread - 2 * shared)
