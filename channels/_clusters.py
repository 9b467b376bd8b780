"""Clusters of rays as fades that run on in time: 3GPP TR 38.901 clause 7.5, steps 8, 10 and 11.

Arrays are uniform, linear and horizontal, half a wavelength between elements, all of them vertical and isotropic. The
field term of equation 7.5-22 is then a random phase alone: cross-polar power (XPR) reaches no vertical element.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from semlink.channels.base.fade import RayFade, unit_phasor

HALF_OFFSETS = (0.0447, 0.1413, 0.2492, 0.3715, 0.5129, 0.6797, 0.8844, 1.1481, 1.5195, 2.1551)
OFFSETS = np.array([sign * offset for offset in HALF_OFFSETS for sign in (1, -1)])  # table 7.5-3
RAYS = len(OFFSETS)
SUBCLUSTERS = ((*range(8), 18, 19), (*range(8, 12), 16, 17), tuple(range(12, 16)))  # table 7.5-5, rays from 0
SUBCLUSTER_DELAYS = (0.0, 1.28, 2.56)  # times the cluster's delay spread, equation 7.5-26


@dataclass(frozen=True)
class Rays:
    """Paths of some images, each of RAYS rays (fewer where their power is 0).

    delays: seconds `[images, paths]`, or `[paths]` for all. powers: mean power of each ray, `[images, paths, rays]`.
    aoa, zoa, aod, zod: radians `[images, paths, rays]`, azimuth and zenith from where a ray arrives and to where it
    departs.
    """

    delays: np.ndarray
    powers: np.ndarray
    aoa: np.ndarray
    zoa: np.ndarray
    aod: np.ndarray
    zod: np.ndarray


def ray_fade(
    rng: np.random.Generator,
    rays: Rays,
    max_doppler: float,
    antennas: tuple[int, int] = (1, 1),
    yaws: tuple[np.ndarray | float, np.ndarray | float] = (np.pi, 0.0),
) -> RayFade:
    """Random initial phases, and a receiver that travels horizontally in a random direction, one per image.

    antennas: (receive, transmit). yaws: azimuth of the broadside of either array, radians, a float or `[images]`.
    """
    images = len(rays.powers)
    turns = rng.random(rays.powers.shape)
    travel = 2 * np.pi * rng.random((images, 1, 1))
    if antennas != (1, 1):
        at_rx = array_turns(antennas[0], yaws[0], rays.aoa, rays.zoa)
        at_tx = array_turns(antennas[1], yaws[1], rays.aod, rays.zod)
        turns = turns[:, None, None] + at_rx[:, :, None] + at_tx[:, None]
    amplitudes = np.sqrt(rays.powers).astype(np.float32)
    gains = unit_phasor(turns) * amplitudes.reshape(images, *(1,) * (turns.ndim - 3), *amplitudes.shape[1:])
    return RayFade(rays.delays, gains, max_doppler * np.sin(rays.zoa) * np.cos(rays.aoa - travel))


def array_turns(antennas: int, yaw: np.ndarray | float, azimuth: np.ndarray, zenith: np.ndarray) -> np.ndarray:
    """Phase in turns of each ray `[images, paths, rays]` at each element: float64 `[images, antennas, paths, rays]`."""
    broadside = np.reshape(yaw, (-1, 1, 1))
    step = 0.5 * np.sin(zenith) * np.sin(azimuth - broadside)
    return np.arange(antennas)[:, None, None] * step[:, None]


def coupled(rng: np.random.Generator, angles: np.ndarray, images: int) -> np.ndarray:
    """Step 8: the rays of each cluster in random order, `[clusters, rays]` -> `[images, clusters, rays]`."""
    return rng.permuted(np.broadcast_to(angles, (images, *angles.shape)), axis=-1)


def with_subclusters(rays: Rays, spread: np.ndarray) -> Rays:
    """Step 11: the two strongest clusters as three paths each, delayed by shares of the cluster delay spread.

    rays: a path per cluster, delays `[images, clusters]`. spread: seconds `[images]`. Four paths are added.
    """
    order = np.argsort(-rays.powers.sum(-1), axis=1)
    paths = np.array([0, 0, 0, 1, 1, 1, *range(2, order.shape[1])])
    chosen = order[:, paths]
    members = np.ones((len(paths), RAYS), bool)
    members[:6] = [np.isin(np.arange(RAYS), part) for part in SUBCLUSTERS * 2]
    later = np.zeros(len(paths))
    later[:6] = SUBCLUSTER_DELAYS * 2
    powers, *angles = (
        np.take_along_axis(values, chosen[:, :, None], 1)
        for values in (rays.powers, rays.aoa, rays.zoa, rays.aod, rays.zod)
    )
    return Rays(np.take_along_axis(rays.delays, chosen, 1) + spread[:, None] * later, powers * members, *angles)


def with_line_of_sight(rays: Rays, share: np.ndarray, directions: tuple[np.ndarray, ...]) -> Rays:
    """A first path of delay 0 and one ray that holds `share` `[images]` of the power; the others keep the rest.

    directions: aoa, zoa, aod, zod of that ray, radians `[images]`.
    """
    first = np.zeros((len(share), 1, RAYS))
    first[:, 0, 0] = share
    powers = np.concatenate([first, rays.powers * (1 - share)[:, None, None]], 1)
    angles = (
        np.concatenate([np.broadcast_to(of_ray[:, None, None], first.shape), others], 1)
        for of_ray, others in zip(directions, (rays.aoa, rays.zoa, rays.aod, rays.zod), strict=True)
    )
    return Rays(np.pad(rays.delays, ((0, 0), (1, 0))), powers, *angles)
