"""Tracing a built-in scene with Sionna RT (Mitsuba on LLVM): one mast, and users at random places on open ground.

`python -m semlink.channels._tracing --scene munich --out paths.npz` writes the table of a scenario; without `--scene`
it makes the table that the package ships, channels/tables/ray_traced-simple_street_canyon.npz.
Paths are the line of sight, specular reflections and diffraction; nothing passes through walls.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np

from semlink.channels._path_cache import PathTable, Scenario, scenes, write_table

GROUND = ("floor", "ground", "plane", "terrain")  # names of what users stand on, in lower case
MAST = 10.0  # height of the transmitter in metres, near the middle of the scene (38.901, UMi street canyon)
USER = 1.5  # height of users in metres
NEAREST, FARTHEST = 10.0, 200.0  # horizontal distance of users from the mast in metres
WEAKEST = 35.0  # dB below the strongest path of a user at which paths are dropped
SAMPLES = 1_000_000  # rays shot from the mast
POINTS = 100_000  # random points of a scene, of which those on open ground are places for mast and users
ROUNDS = 8  # sets of places that are tried to find users whom the mast reaches
SEED = 38901


def trace(scenario: Scenario) -> PathTable:
    """Trace a scenario. ValueError when there is no LLVM, no such scene, no open ground, or hardly any path."""
    rt = engine()
    scene = rt.load_scene(getattr(rt.scene, scenario.scene))
    scene.frequency = scenario.carrier_frequency
    scene.tx_array = scene.rx_array = rt.PlanarArray(num_rows=1, num_cols=1, pattern="iso", polarization="V")
    mast, places = sites(scene, ROUNDS * scenario.users, np.random.default_rng(SEED))
    scene.add(rt.Transmitter("mast", mast.tolist()))
    found: list[PathTable] = []
    for batch in np.array_split(places, max(1, len(places) // scenario.users)):
        found.append(reached(solve(scene, batch, scenario.max_depth), batch, mast))
        if sum(len(t.positions) for t in found) >= scenario.users:
            return joined(found, scenario.users)
    raise ValueError(
        f"paths reach only {sum(len(t.positions) for t in found)} places: raise max_depth or ask for fewer users"
    )


def engine() -> Any:
    """sionna.rt on Mitsuba's LLVM variant, also where there is a GPU, so that every machine finds the same paths."""
    try:
        mitsuba().set_variant("llvm_ad_mono_polarized")
        import sionna.rt as rt
    except ImportError as error:
        raise ValueError(
            "needs sionna-rt and the LLVM library (libLLVM.so of any LLVM from 8 on, e.g. apt install libllvm15; "
            "DRJIT_LIBLLVM_PATH names its place); scene=simple_street_canyon with its defaults needs neither "
            f"({str(error).splitlines()[0]})"
        ) from error
    return rt


def mitsuba() -> Any:
    """The module by its name: type checkers stumble over its stubs."""
    return importlib.import_module("mitsuba")


def sites(scene: Any, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The mast `[3]` and up to `count` places for users `[places, 3]` under the open sky, float64 metres."""
    box = scene.mi_scene.bbox()
    low, high = np.array(box.min, float), np.array(box.max, float)
    ground = on_ground(scene, low[:2] + (high - low)[:2] * rng.random((POINTS, 2)), float(high[2]) + 1)
    if not len(ground):
        raise ValueError("it has no open ground for users; try simple_street_canyon, munich, etoile or florence")
    middle = np.linalg.norm(ground[:, :2] - (low + high)[:2] / 2, axis=1).argmin()
    distance = np.linalg.norm(ground[:, :2] - ground[middle, :2], axis=1)
    places = ground[(distance >= NEAREST) & (distance <= FARTHEST)][:count]
    if not len(places):
        raise ValueError(f"it is too small for users {NEAREST:g} m from a mast; try simple_street_canyon or munich")
    return ground[middle] + [0, 0, MAST], places + [0, 0, USER]


def on_ground(scene: Any, places: np.ndarray, top: float) -> np.ndarray:
    """Those of `places` `[n, 2]` where the first thing below the sky is ground, with its height: `[m, 3]`."""
    mi = mitsuba()
    x, y = (mi.Float(places[:, axis]) for axis in (0, 1))
    hit = scene.mi_scene.ray_intersect(mi.Ray3f(mi.Point3f(x, y, top), mi.Vector3f(0, 0, -1)))
    ground = np.zeros(len(places), bool)
    for name, thing in scene.objects.items():
        if name.lower() in GROUND:
            ground |= np.array(hit.is_valid() & (hit.shape == mi.ShapePtr(thing.mi_mesh)))
    return np.column_stack([places, np.array(hit.p.z)])[ground]


def solve(scene: Any, places: np.ndarray, max_depth: int, **devices: Any) -> Any:
    """Sionna's paths from the mast to receivers at `places`, which then leave again. devices: their settings."""
    import sionna.rt as rt

    names = [f"user-{i}" for i in range(len(places))]
    for name, place in zip(names, places.tolist(), strict=True):
        scene.add(rt.Receiver(name, place, **devices))
    solver = rt.PathSolver()
    paths = solver(scene, max_depth=max_depth, samples_per_src=SAMPLES, refraction=False, diffraction=max_depth > 0)
    for name in names:
        scene.remove(name)
    return paths


def reached(paths: Any, places: np.ndarray, mast: np.ndarray) -> PathTable:
    """The places that any path reaches, with their paths within WEAKEST of the strongest, strongest first."""
    real, imaginary = (part.numpy()[:, 0, 0, 0] for part in paths.a)
    valid = paths.valid.numpy()[:, 0]
    amplitudes = np.where(valid, np.hypot(real, imaginary), 0)
    amplitudes[amplitudes < amplitudes.max(1, keepdims=True, initial=0) * 10 ** (-WEAKEST / 20)] = 0
    users, order = amplitudes.any(1), np.argsort(-amplitudes, 1, kind="stable")

    def chosen(values: np.ndarray) -> np.ndarray:
        values = np.where(amplitudes > 0, values, 0)
        return np.take_along_axis(values, order, 1)[users]

    angles = [chosen(getattr(paths, f"{name}_{end}").numpy()[:, 0]) for end in "rt" for name in ("theta", "phi")]
    arrival, departure = np.stack(angles[:2], -1), np.stack(angles[2:], -1)
    return PathTable(mast, places[users], chosen(amplitudes), chosen(paths.tau.numpy()[:, 0]), arrival, departure)


def joined(tables: list[PathTable], users: int) -> PathTable:
    """The first `users` users of several tables of one mast."""
    width = max(int((t.amplitudes > 0).sum(1).max(initial=0)) for t in tables)

    def rows(name: str) -> np.ndarray:
        parts = [getattr(t, name)[:, :width] for t in tables]
        spare = [[(0, 0), (0, width - p.shape[1]), *[(0, 0)] * (p.ndim - 2)] for p in parts]
        return np.concatenate([np.pad(p, s) for p, s in zip(parts, spare, strict=True)])[:users]

    positions = np.concatenate([t.positions for t in tables])[:users]
    padded = (rows(name) for name in ("amplitudes", "delays", "arrival", "departure"))
    return PathTable(tables[0].transmitter, positions, *padded)


def main() -> None:
    """Trace the scenario of the command line into `--out`."""
    parser = argparse.ArgumentParser(description="Trace a built-in scene of Sionna RT and write its table of paths.")
    parser.add_argument("--scene", choices=scenes(), default="simple_street_canyon")
    parser.add_argument("--users", type=int, default=128)
    parser.add_argument("--carrier-frequency", type=float, default=3.5e9)
    parser.add_argument("--max-depth", type=int, default=3)
    parser.add_argument("--out", type=Path, required=True)
    given = vars(parser.parse_args())
    out, scenario = given.pop("out"), Scenario(**given)
    try:
        write_table(out, scenario, trace(scenario))
    except ValueError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
