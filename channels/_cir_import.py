"""Impulse responses that Sionna, DeepMIMO and QuaDRiGa computed, as routes of the channel `recorded`.

What each calls its arrays, in a `.npz` or in a `.mat` of any version, says what they are; nothing is unpickled:
    a, tau               Sionna: a `[(batch,) rx, rx_ant, tx, tx_ant, paths, times]`, tau `[(batch,) rx, tx, paths]` or
                         with antennas, seconds, negative where there is no path (`Paths.cir(out_type="numpy")`, `TDL`)
    power, phase, delay  DeepMIMO 4: `[users, paths]` in dBW, degrees and seconds, NaN where there is no path
    coeff, delay         QuaDRiGa: `[rx, tx, paths, snapshots]`, delay also `[paths, snapshots]`
Every receiver, or pair of receiver and transmitter, becomes a route. Delays count from a route's first path on; where
there are too many different ones they are rounded to a grid of `spacing`, whose half turns a path at f from the carrier
by pi f spacing: 1 degree at 0.54 MHz and 10 ns. Paths that meet on a tap add up, so power is what it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from semlink.channels._cir_file import write_cir_file
from semlink.channels._matlab import read_matlab
from semlink.channels.base.names import near_path

SPACING = 10e-9  # s
KEPT = 64  # different delays that are kept as they are
Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Paths:
    """gains: complex `[routes, snapshots, rx, tx, paths]`, 0 where there is no path. delays: seconds, of that shape."""

    gains: np.ndarray
    delays: np.ndarray


@dataclass(frozen=True)
class Imported:
    """What was written. shape, delays: of the file. without: routes that had no path and were left out."""

    shape: tuple[int, ...]
    delays: np.ndarray
    without: int


def import_cir(
    sources: Sequence[Path], out: Path, snapshot_interval: float, carrier_frequency: float, spacing: float = SPACING
) -> Imported:
    """Write the file of `recorded` from files of one program, whose routes follow one behind the other.

    snapshot_interval in s, carrier_frequency in Hz. ValueError, one line, for a file that is none of these, files that
    do not fit each other, no path at all, or impossible numbers; FileNotFoundError.
    """
    whole = joined(sources, [as_paths(source, read_arrays(source)) for source in sources])
    there = (whole.gains != 0).any((1, 2, 3, 4))
    if not there.any():
        raise ValueError(f"{sources[0]}: no path anywhere; was it saved before the paths were computed?")
    gains, delays = on_common_delays(Paths(whole.gains[there], whole.delays[there]), spacing)
    write_cir_file(out, gains, delays, snapshot_interval, carrier_frequency)
    return Imported(gains.shape, delays, int((~there).sum()))


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """All arrays of a `.npz` or `.mat` by name, those within a struct too, with the axes that MATLAB shows."""
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}; {near_path(path)}".rstrip("; "))
    if path.suffix not in (".mat", ".npz"):
        raise ValueError(f"{path} is no .npz or .mat file: save plain arrays in one, see docs/channels.md")
    try:
        if path.suffix == ".mat":
            return read_matlab(path)
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except Exception as error:  # noqa: BLE001 - libraries raise many kinds on a foreign or damaged file
        said = str(error).partition("\n")[0][:200]
        raise ValueError(
            f"{path} is no sound .npz or .mat file ({said}): save plain arrays, see docs/channels.md"
        ) from error


def as_paths(path: Path, arrays: Arrays) -> Paths:
    """The paths that arrays of these names describe; ValueError when they are nobody's, or do not fit each other."""
    for names, reader in READERS.items():
        if arrays.keys() >= set(names):
            try:
                found = reader(*(np.asarray(arrays[name]) for name in names))
            except ValueError as error:
                shapes = ", ".join(f"{name} {list(np.shape(arrays[name]))}" for name in names)
                raise ValueError(f"{path}: {shapes} do not fit each other ({error})") from error
            return cleaned(path, found)
    known = "; ".join(" and ".join(names) for names in READERS)
    raise ValueError(f"{path} holds {', '.join(arrays) or 'nothing'}; it must hold {known}")


def sionna(a: np.ndarray, tau: np.ndarray) -> Paths:
    """Routes are pairs of receiver and transmitter, of each of a batch."""
    batched = a if a.ndim == 7 else a[None]
    if batched.ndim != 7:
        raise ValueError("a has 6 axes, or 7 with a batch")
    routes = np.moveaxis(batched, (1, 3, 6), (1, 2, 3))  # batch, rx, tx, times, rx_ant, tx_ant, paths
    late = tau if a.ndim == 7 else tau[None]
    if late.ndim == 4:  # the same for all antennas
        late = late[:, :, None, :, None]
    late = np.moveaxis(late, 3, 2)[:, :, :, None]
    late = np.broadcast_to(late, routes.shape)
    return Paths(*(part.reshape(-1, *routes.shape[3:]) for part in (routes, late)))


def deepmimo(power: np.ndarray, phase: np.ndarray, delay: np.ndarray) -> Paths:
    """Routes are users, who stand still."""
    gains = 10 ** (power / 20) * np.exp(1j * np.deg2rad(phase))
    gains, late = np.broadcast_arrays(gains, delay)
    users, paths = gains.shape
    return Paths(gains.reshape(users, 1, 1, 1, paths), late.reshape(users, 1, 1, 1, paths))


def quadriga(coeff: np.ndarray, delay: np.ndarray) -> Paths:
    """One route; MATLAB drops axes of length 1 at the end."""
    gains = coeff.reshape(*coeff.shape, *[1] * (4 - coeff.ndim))
    shape = gains.shape[2:] if delay.size == gains[0, 0].size else gains.shape
    late = np.broadcast_to(delay.reshape(shape), gains.shape)
    return Paths(*(part.transpose(3, 0, 1, 2)[None] for part in (gains, late)))


READERS: Mapping[tuple[str, ...], Callable[..., Paths]] = {
    ("a", "tau"): sionna,
    ("power", "phase", "delay"): deepmimo,
    ("coeff", "delay"): quadriga,
}


def cleaned(path: Path, paths: Paths) -> Paths:
    """Gains 0 where a path is missing: NaN, or a negative delay. ValueError for infinite ones."""
    if np.isinf(paths.gains).any() or np.isinf(paths.delays).any():
        raise ValueError(f"{path} holds infinite gains or delays: leave them out or repair them")
    missing = np.isnan(paths.gains) | np.isnan(paths.delays) | (paths.delays < 0)
    gains = np.where(missing, 0, paths.gains)
    return Paths(gains.astype(np.complex64), np.where(missing, 0, paths.delays).astype(np.float64))


def joined(sources: Sequence[Path], parts: Sequence[Paths]) -> Paths:
    """Routes of several files; ValueError when snapshots or antennas differ."""
    width = max(part.gains.shape[4] for part in parts)
    for source, part in zip(sources, parts, strict=True):
        if part.gains.shape[1:4] != parts[0].gains.shape[1:4]:
            found, first = (list(one.gains.shape[1:4]) for one in (part, parts[0]))
            raise ValueError(f"{source}: snapshots, rx and tx are {found}, in {sources[0]} {first}; import them apart")
    return Paths(*(_padded((getattr(p, name) for p in parts), width) for name in ("gains", "delays")))


def _padded(arrays: Iterable[np.ndarray], width: int) -> np.ndarray:
    return np.concatenate([np.pad(one, [(0, 0)] * 4 + [(0, width - one.shape[4])]) for one in arrays])


def on_common_delays(paths: Paths, spacing: float = SPACING) -> tuple[np.ndarray, np.ndarray]:
    """Gains complex64 `[routes, snapshots, rx, tx, taps]` and delays `[taps]` in s, from each route's first path on.

    Every route must have a path. ValueError for a spacing that is not positive.
    """
    if not spacing > 0:
        raise ValueError(f"spacing is {spacing!r}, must be a positive number of seconds, {SPACING:g} by default")
    there = paths.gains != 0
    first = np.where(there, paths.delays, np.inf).min((1, 2, 3, 4), keepdims=True)
    excess = np.where(there, paths.delays - first, 0.0)
    delays = np.round(excess, 13)
    if len(np.unique(delays[there])) > KEPT:
        delays = np.round(excess / spacing) * spacing
    taps, at = np.unique(delays, return_inverse=True)
    return gathered(paths.gains, at.reshape(delays.shape), len(taps)), taps


def gathered(gains: np.ndarray, at: np.ndarray, taps: int) -> np.ndarray:
    """Sums of the gains at each tap: complex64 `[..., taps]` of gains and indices `[..., paths]`."""
    rows = int(np.prod(gains.shape[:-1]))
    found = np.zeros((rows, taps), np.complex128)
    np.add.at(found, (np.arange(rows)[:, None], at.reshape(rows, -1)), gains.reshape(rows, -1))
    return found.reshape(*gains.shape[:-1], taps).astype(np.complex64)
