"""Channel impulse responses in HDF5: the schema, its writer, and readers that never load a whole file.

Schema "semlink-cir-1", in the root of the file:
    dataset gains    complex64 `[routes, snapshots, rx, tx, paths]`, contiguous (neither chunked nor compressed)
    dataset delays   float64 `[paths]`, seconds after the receiver's timing, 0 or more
    attribute snapshot_interval   seconds between the snapshots of a route
    attribute carrier_frequency   Hz
    attribute schema              "semlink-cir-1"
A route is one continuous measurement. gains is mapped into memory, so the size of a file costs nothing; both datasets
are in the file itself, not behind a link to another. What MATLAB and others write instead is converted once, by
`write_cir_file`, see `_cir_forms`; it adds a checksum of the rest behind it, see `_cir_seal`.
"""

from __future__ import annotations

import hashlib
import math
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from semlink.channels._cir_forms import MATLAB, as_delays, as_gains, as_number, is_complex64
from semlink.channels._cir_seal import check_seal, seal
from semlink.channels.base.names import near_path

SCHEMA = "semlink-cir-1"
PIECES, PIECE = 64, 1 << 13  # of the gains that a fingerprint reads: their number, and taps of each
ATTRIBUTES = ("snapshot_interval", "carrier_frequency", "schema")
LONGEST_DELAY = 1.0  # s
POSSIBLE = {"snapshot_interval": (1e-9, 1e4, "s"), "carrier_frequency": (1e3, 1e13, "Hz")}


@dataclass(frozen=True)
class CirFile:
    """A checked file. size, modified: what `os.stat` said of it; offset: of its gains in bytes."""

    path: str
    size: int
    modified: int
    offset: int
    shape: tuple[int, int, int, int, int]
    delays: tuple[float, ...]
    snapshot_interval: float
    carrier_frequency: float

    def gains(self) -> np.ndarray:
        """The gains of the schema, mapped read-only; ValueError when the file has changed since it was checked."""
        if stamp(self.path) != (self.size, self.modified):
            raise ValueError(f"{self.path} has changed since it was opened: make the channel again")
        return _mapped(self)


def write_cir_file(
    path: str | Path, gains: Any, delays: Any, snapshot_interval: float, carrier_frequency: float
) -> None:
    """Write measured responses in the schema above.

    gains: lists, array or h5py dataset `[routes, snapshots, rx, tx, paths]`, read route by route; complex, or with
    fields real and imag. delays: seconds, `[paths]`, or the same for every route. snapshot_interval in seconds,
    carrier_frequency in Hz. Datasets of a MATLAB file (v7.3) may be given as h5py opens them. The file is written
    aside and renamed. ValueError for wrong shapes, NaN or infinite taps, negative delays, delays that differ between
    routes, or an interval or a carrier that is not positive.
    """
    import h5py

    path, gains = Path(path), as_gains(path, gains)
    delays = as_delays(path, delays, gains.shape)
    snapshot_interval, carrier_frequency = as_number(snapshot_interval), as_number(carrier_frequency)
    check(path, gains.shape, delays, snapshot_interval, carrier_frequency)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=path.name) as folder:
        part = Path(folder) / "part.h5"
        with h5py.File(part, "w") as file:
            stored = file.create_dataset("gains", gains.shape, np.complex64)
            for route in range(gains.shape[0]):
                taps = gains.route(route)
                if not np.isfinite(taps).all():
                    raise ValueError(
                        f"{path}: gains of route {route} hold NaN or infinite taps: leave them out or repair them"
                    )
                stored[route] = taps
            file["delays"] = delays
            file.attrs.update(
                snapshot_interval=float(snapshot_interval), carrier_frequency=float(carrier_frequency), schema=SCHEMA
            )
            offset = stored.id.get_offset()
        seal(part, offset, 8 * math.prod(gains.shape))
        os.replace(part, path)


def open_cir_file(path: str) -> CirFile:
    """Check a file's header against the schema; ValueError, one line with the remedy, for anything wrong."""
    place = str(Path(path).resolve())
    if os.path.exists(place) and not os.path.isfile(place):  # a pipe would be waited for without end
        raise ValueError(f"{path} is a folder, pipe or device, no HDF5 file")
    try:
        return _opened(place, *stamp(place))
    except OSError:
        remedy = f"{near_path(path)}write one with semlink.channels.recorded.write_cir_file"
        raise ValueError(f"no CIR file {path}: {remedy}") from None


def stamp(path: str) -> tuple[int, int]:
    """Size in bytes and time of change in ns."""
    status = os.stat(path)
    return status.st_size, status.st_mtime_ns


@lru_cache(maxsize=64)
def _opened(path: str, size: int, modified: int) -> CirFile:
    try:
        check_seal(path)
        header = _header(path)
    except Exception as error:  # noqa: BLE001 - the library raises many kinds on a damaged file
        said = str(error).partition("\n")[0]
        raise ValueError(f"{path} is no sound HDF5 file ({said}): copy or write it again") from error
    _check_header(path, header)
    shape, offset = header.shape, header.offset
    interval, carrier = (as_number(header.attributes[n]) for n in ("snapshot_interval", "carrier_frequency"))
    delays = as_delays(path, header.delays, shape)
    check(path, shape, delays, interval, carrier)
    if offset is not None and offset + 8 * math.prod(shape) > size:
        raise ValueError(f"{path} ends before its gains do: copy or write it again")
    if offset is None:
        raise ValueError(
            f"{path}: gains must be contiguous, uncompressed complex64 to be mapped into memory; rewrite it with "
            "write_cir_file(new, h5py.File(old)['gains'], ...)"
        )
    form: Any = shape  # of five axes, as `check` found
    return CirFile(path, size, modified, offset, form, tuple(map(float, delays)), float(interval), float(carrier))


@dataclass(frozen=True)
class Header:
    """What a file says, unchecked: what it lacks, what lies in another file, and whether MATLAB wrote it."""

    lost: tuple[str, ...]
    away: tuple[str, ...]
    matlab: bool
    attributes: Mapping[str, Any]
    shape: tuple[int, ...] = ()
    offset: int | None = None
    delays: Any = None


def _header(path: str) -> Header:
    import h5py

    with h5py.File(path, "r") as file:
        found = {n: file.get(n) for n in ("gains", "delays")}
        lost = [n for n, item in found.items() if not isinstance(item, h5py.Dataset)]
        lost += [n for n in ATTRIBUTES if n not in file.attrs]
        matlab = any(MATLAB in part.attrs for part in map(file.get, file) if part is not None)
        if lost or matlab:
            return Header(tuple(lost), (), matlab, {})
        away = tuple(n for n, item in found.items() if not os.path.samefile(item.file.filename, path))
        told = {n: file.attrs[n] for n in ATTRIBUTES}
        gains, delays = found["gains"], np.asarray(found["delays"][()])
        return Header((), away, False, told, gains.shape or (), _offset(gains), delays)


def _check_header(path: str, header: Header) -> None:
    if header.matlab:
        raise ValueError(
            f"{path} is a MATLAB file: convert it once, with h5py.File({path!r}) as f: write_cir_file(NEW, "
            "f['gains'], f['delays'], f['snapshot_interval'], f['carrier_frequency'])"
        )
    if header.lost:
        lost = ", ".join(header.lost)
        raise ValueError(f"{path} lacks {lost}: write it with semlink.channels.recorded.write_cir_file")
    if header.away:
        raise ValueError(f"{path}: {', '.join(header.away)} are links to another file: write it with write_cir_file")
    schema = header.attributes["schema"]
    if not isinstance(schema, str | bytes) or schema not in (SCHEMA, SCHEMA.encode()):
        raise ValueError(f"{path} has schema {_said(schema)}, not {SCHEMA!r}: write it with write_cir_file")


def _said(value: Any) -> str:
    """A value of any kind in a line."""
    return " ".join(repr(value).split())[:60]


def _offset(gains: Any) -> int | None:
    """Where the taps begin in the file, or None where they do not lie there as they are in memory."""
    plain = is_complex64(gains.dtype) and gains.chunks is None and not gains.external and not gains.is_virtual
    return gains.id.get_offset() if plain else None


def check(path: str | Path, shape: tuple[int, ...], delays: Any, interval: Any, carrier: Any) -> None:
    """ValueError unless shapes agree and delays, interval and carrier are possible."""
    if len(shape) != 5 or 0 in shape:
        raise ValueError(f"{path}: gains are {list(shape)}, must be [routes, snapshots, rx, tx, paths], none of them 0")
    if np.shape(delays) != shape[4:]:
        raise ValueError(f"{path}: delays are {list(np.shape(delays))}, must be one per path: [{shape[4]}]")
    if delays.dtype.kind not in "fiu" or not ((delays >= 0) & (delays <= LONGEST_DELAY)).all():
        raise ValueError(
            f"{path}: delays must be finite and not negative, {LONGEST_DELAY:g} s at most: count them in seconds from "
            "the first path on"
        )
    for name, value in (("snapshot_interval", interval), ("carrier_frequency", carrier)):
        least, most, unit = POSSIBLE[name]
        number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
        if not number or not least <= value <= most:
            raise ValueError(
                f"{path}: {name} is {_said(value)}, must be a positive number of {unit}, {least:g} to {most:g}"
            )


@lru_cache(maxsize=64)
def fingerprint(file: CirFile) -> str:
    """16 hexadecimal digits of what a file holds, wherever it lies: its header, and pieces from all over its gains."""
    told = (file.shape, file.delays, file.snapshot_interval, file.carrier_frequency)
    digest = hashlib.sha256(repr(told).encode())
    gains = _mapped(file).reshape(-1)
    for start in np.linspace(0, max(0, len(gains) - PIECE), PIECES).astype(int):
        digest.update(gains[start : start + PIECE].tobytes())
    return digest.hexdigest()[:16]


@lru_cache(maxsize=16)
def _mapped(file: CirFile) -> np.ndarray:
    return np.memmap(file.path, np.complex64, "r", file.offset, file.shape)


def taps(file: CirFile, route: np.ndarray, snapshot: np.ndarray) -> np.ndarray:
    """Gains of some snapshots: complex64 `[..., rx, tx, paths]` for indices `[...]`."""
    return np.asarray(file.gains()[route, snapshot])


def reflected(position: np.ndarray, snapshots: int) -> np.ndarray:
    """Positions along a route that turns around at its ends, in units of snapshots: into 0 to snapshots - 1."""
    period = max(2 * (snapshots - 1), 1)
    inside = np.mod(position, period)
    return np.minimum(inside, period - inside) if snapshots > 1 else np.zeros_like(inside)
