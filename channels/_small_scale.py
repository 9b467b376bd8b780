"""Clusters and rays of users, 3GPP TR 38.901 clause 7.5, steps 5 to 8; numbers are drawn in Sionna's order.

Step 9, cross-polar power, is left out with its numbers: it reaches no vertical element.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from semlink.channels._clusters import OFFSETS, RAYS
from semlink.channels._philox import Philox
from semlink.channels._scenario_3gpp import INDOORS, LOS, Site, Table

FAINTEST_ANGLE = 1e-6  # of the strongest cluster's power: angles of weaker ones grow no further
EVEN = 1 / 7  # deviation of a cluster's angle, of the spread


@dataclass(frozen=True)
class LargeScale:
    """Step 4, arrays `[users]`: delay spread in s, angular spreads in degrees, shadow fading and K as ratios."""

    ds: np.ndarray
    asd: np.ndarray
    asa: np.ndarray
    sf: np.ndarray
    k: np.ndarray
    zsa: np.ndarray
    zsd: np.ndarray


@dataclass(frozen=True)
class Departure:
    """What a scenario says of zenith angles of departure, degrees `[users]`: their offset, 0 in line of sight, and the
    spread of the rays of a cluster.
    """

    offset: np.ndarray
    spread: np.ndarray


@dataclass(frozen=True)
class Clusters:
    """delays in s and powers `[users, clusters]`; angles in radians `[users, clusters, rays]`, coupled at random."""

    delays: np.ndarray
    powers: np.ndarray
    aoa: np.ndarray
    zoa: np.ndarray
    aod: np.ndarray
    zod: np.ndarray


def draw_clusters(
    numbers: Philox, site: Site, state: np.ndarray, table: Table, large: LargeScale, departure: Departure
) -> Clusters:
    """All clusters of users; those that a state does not have come last and have no power."""
    of = {name: table.numbers[name][state][:, None] for name in ("rTau", "zeta", "cASA", "cASD", "cZSA")}
    los, k = (state == LOS)[:, None], large.k[:, None]
    k_db = 10 * np.log10(k)
    missing = np.arange(table.clusters.max()) >= table.clusters[state][:, None]
    delays = _delays(numbers, missing, of["rTau"] * large.ds[:, None])
    powers = _powers(numbers, missing, delays, of, large.ds[:, None])
    share = np.where(los, powers / (k + 1), powers)
    share[:, :1] += np.where(los, k / (k + 1), 0)
    fall = -np.log((share / share.max(1, keepdims=True)).clip(FAINTEST_ANGLE))
    azimuths = np.sqrt(fall) / (table.numbers["CPhiNLoS"][state][:, None] * _azimuth_scaling(k_db, los))
    zeniths = fall / (table.numbers["CThetaNLoS"][state][:, None] * _zenith_scaling(k_db, los))
    aod, zod = np.degrees(site.azimuth), np.degrees(site.zenith)
    zoa = np.where(state == INDOORS, 90.0, zod + 180)
    centres = (
        _centres(numbers, azimuths / 0.7, large.asa, los, aod + 180),
        _centres(numbers, azimuths / 0.7, large.asd, los, aod),
        _centres(numbers, zeniths, large.zsa, los, zoa),
        _centres(numbers, zeniths, large.zsd, los, zod + departure.offset),
    )
    numbers.skip(*missing.shape, RAYS)  # step 9
    spreads = (of["cASA"], of["cASD"], of["cZSA"], departure.spread[:, None])
    aoa, aod, zoa, zod = (_rays(numbers, c, s) for c, s in zip(centres, spreads, strict=True))
    scaled = np.where(los, delays / _delay_scaling(k_db), delays)
    return Clusters(scaled, powers, aoa, _folded(zoa), aod, _folded(zod))


def _delays(numbers: Philox, missing: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Step 5: exponential, sorted, the first at 0, s; those of missing clusters are about a second."""
    drawn = numbers.uniform(*missing.shape) * np.float32(1 - 1e-6) + np.float32(1e-6)
    delays = np.where(missing, 1.0, -mean * np.log(drawn.astype(float)))
    return np.sort(delays - delays.min(1, keepdims=True), 1)


def _powers(
    numbers: Philox, missing: np.ndarray, delays: np.ndarray, of: dict[str, np.ndarray], ds: np.ndarray
) -> np.ndarray:
    """Step 6 without the line of sight: falling with delay, with a shadowing for each cluster; their sum is 1."""
    shadows = numbers.normal(*missing.shape) * of["zeta"]
    powers = np.exp(-delays * (of["rTau"] - 1) / (of["rTau"] * ds)) * 10 ** (-shadows / 10)
    powers[missing] = 0
    return powers / powers.sum(1, keepdims=True)


def _delay_scaling(k_db: np.ndarray) -> np.ndarray:
    """Equation 7.5-3."""
    return 0.7705 - 0.0433 * k_db + 0.0002 * k_db**2 + 0.000017 * k_db**3


def _azimuth_scaling(k_db: np.ndarray, los: np.ndarray) -> np.ndarray:
    """Equation 7.5-10."""
    return np.where(los, 1.1035 - 0.028 * k_db - 0.002 * k_db**2 + 0.0001 * k_db**3, 1)


def _zenith_scaling(k_db: np.ndarray, los: np.ndarray) -> np.ndarray:
    """Equation 7.5-15."""
    return np.where(los, 1.3086 + 0.0339 * k_db - 0.0077 * k_db**2 + 0.0002 * k_db**3, 1)


def _centres(
    numbers: Philox, growth: np.ndarray, spread: np.ndarray, los: np.ndarray, middle: np.ndarray
) -> np.ndarray:
    """Step 7: angles of clusters in degrees about `middle`, where the first one is in line of sight."""
    signs, spread = numbers.signs(*growth.shape), spread[:, None]
    centres = signs * growth * spread + numbers.normal(*growth.shape) * (spread * EVEN)
    return centres - np.where(los, centres[:, :1], 0) + middle[:, None]


def _rays(numbers: Philox, centres: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """Steps 7 and 8: angles of rays in radians, in random order within their cluster."""
    order = np.argsort(numbers.normal(*centres.shape, RAYS), -1)
    return np.radians(centres)[:, :, None] + np.radians(spread)[:, :, None] * OFFSETS[order]


def _folded(zenith: np.ndarray) -> np.ndarray:
    """Zenith angles within 0 and pi, radians."""
    return np.abs(zenith - 2 * np.pi * np.rint(zenith / (2 * np.pi)))
