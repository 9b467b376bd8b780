"""Writes a rows file, slab by slab: what is in memory at a time is one slab, not all that was measured.

A slab is one codec, channel and rate under as many SNRs as fit, with all images; it is what the file packs together.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from semlink.simulator.errors import SemlinkError
from semlink.simulator.protocols import Variable
from semlink.simulator.records import seal
from semlink.simulator.records.merging import Measurement
from semlink.simulator.records.store import Condition

if TYPE_CHECKING:  # h5py loads when a file is read or written
    import h5py

AXES = ("codec", "channel", "rho", "snr_db")
ENDS = ("least", "most")  # attributes of a variable that has a range
NUMBER = np.float32  # of measured numbers in the file; 24 bits are far below what any interval can tell
CHUNK = 1 << 16  # numbers that are packed together at most
LEVEL = 4  # of packing: at 9 measured numbers take 1 % less room and twenty times as long

_SCALES = {
    "codec": Variable("", "codec and its settings"),
    "channel": Variable("", "channel and its settings"),
    "rho": Variable("1", "asked rate, channel uses per source dimension"),
    "snr_db": Variable("dB", "Es/N0 per complex symbol, E|h|^2 = 1"),
    "image": Variable("1", "place in the data set"),
}


@dataclass
class Outline:
    """What a file holds, without its numbers: gathered from measurements as they pass.

    conditions: csi, notes and error of each. images: id by place in the data set. names: of variables.
    """

    conditions: dict[Condition, tuple[str, Mapping[str, str], str]] = field(default_factory=dict)
    images: dict[int, str] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    numbers: int = 0
    _last: Sequence[int] = ()

    def add(self, m: Measurement) -> None:
        """Take a measurement in."""
        self.conditions[m.condition] = m.csi, m.notes, m.error
        if m.positions != self._last:  # most have the images of the one before
            self.images.update(zip(m.positions, m.images, strict=True))
            self._last = m.positions
        self.names.update(m.values)
        self.numbers += len(m.positions) * len(m.values)

    def axes(self) -> dict[str, dict[Any, int]]:
        """Per dimension, each coordinate's place; images are keyed by their place in the data set."""
        found = {name: sorted({getattr(c, name) for c in self.conditions}) for name in AXES}
        found["image"] = sorted(self.images)
        return {name: {value: i for i, value in enumerate(values)} for name, values in found.items()}


def outline(measurements: Iterable[Measurement]) -> Outline:
    """The outline of all of them."""
    found = Outline()
    for m in measurements:
        found.add(m)
    return found


def write(
    target: io.IOBase,
    told: Outline,
    measured: Callable[[Condition], Measurement],
    variables: Callable[[str], Variable],
    attributes: Mapping[str, Any],
) -> None:
    """A rows file into an open file. measured: what was measured under a condition of the outline, asked once each.

    variables: what a number is. The same rows give the same bytes.
    """
    import h5py

    with h5py.File(target, "w") as file:
        for name, value in attributes.items():
            file.attrs[name] = value
        axes = told.axes()
        for name, axis in axes.items():
            _scale(file, name, axis)
        _write_texts(file, told, axes)
        _write_numbers(file, told, axes, measured, variables)
        seal.seal(file)
    seal.stamp(target)


class Careful(io.RawIOBase):
    """A file that HDF5 writes, for which the disk never fails: the library crashes when it does.

    `error` is what the disk has said; what is written after that is lost.
    """

    def __init__(self, path: Path) -> None:
        self.error: OSError | None = None
        self._file = open(path, "w+b", buffering=0)  # noqa: SIM115 - closed by `close`

    def write(self, content: Any) -> int:
        """As of any file."""
        left = memoryview(content).cast("B")
        size = len(left)
        while self.error is None and len(left):
            try:
                left = left[self._file.write(left) :]
            except OSError as error:
                self.error = error
        return size

    def readinto(self, target: Any) -> int:
        """As of any file; zeros beyond its end."""
        view = memoryview(target).cast("B")
        found = self._file.readinto(view) or 0
        view[found:] = bytes(len(view) - found)
        return len(view)

    def seek(self, offset: int, whence: int = 0) -> int:
        """As of any file."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """As of any file."""
        return self._file.tell()

    def truncate(self, size: int | None = None) -> int:
        """As of any file."""
        try:
            return self._file.truncate(size) if self.error is None else size or 0
        except OSError as error:
            self.error = error
            return size or 0

    def flush(self) -> None:
        """Nothing waits here."""

    def close(self) -> None:
        """Raises what the disk has said."""
        if self.closed:
            return
        super().close()
        self._file.close()
        if self.error is not None:
            raise self.error


def _scale(file: h5py.File, name: str, axis: Mapping[Any, int]) -> None:
    values = list(axis)
    data = np.array(values, dtype=object) if values and isinstance(values[0], str) else np.array(values)
    dataset = _dataset(file, name, data)
    dataset.make_scale(name)
    _describe(dataset, _SCALES[name])


def _dataset(file: h5py.File, name: str, data: np.ndarray) -> h5py.Dataset:
    import h5py

    if data.dtype == object:
        return file.create_dataset(name, data=data, dtype=h5py.string_dtype())
    return file.create_dataset(name, data=data, **(_packed() if data.size > 1 else {}))


def _packed() -> dict[str, Any]:
    return {"compression": "gzip", "compression_opts": LEVEL, "shuffle": True}


def _describe(dataset: h5py.Dataset, variable: Variable) -> None:
    dataset.attrs["units"] = variable.units
    dataset.attrs["long_name"] = variable.label
    if variable.better:
        dataset.attrs["better"] = variable.better
    for name, end in zip(ENDS, (variable.least, variable.most), strict=True):
        if math.isfinite(end):
            dataset.attrs[name] = float(end)


def _attach(file: h5py.File, dataset: h5py.Dataset, dimensions: Sequence[str]) -> None:
    for place, name in enumerate(dimensions):
        dataset.dims[place].attach_scale(file[name])


def _write_texts(file: h5py.File, told: Outline, axes: Mapping[str, Mapping[Any, int]]) -> None:
    csi = {c.channel: csi for c, (csi, _, _) in told.conditions.items() if csi}
    names = sorted({name for _, notes, _ in told.conditions.values() for name in notes})
    texts = {name: {c: notes.get(name, "") for c, (_, notes, _) in told.conditions.items()} for name in names}
    texts["error"] = {c: error for c, (_, _, error) in told.conditions.items()}
    ids = np.array([told.images[place] for place in axes["image"]], dtype=object)
    _put(file, "image_id", ids, ("image",), "image")
    known = np.array([csi.get(name, "") for name in axes["channel"]], dtype=object)
    _put(file, "csi", known, ("channel",), "channel state information")
    failed = _grid(axes, {c: int(bool(error)) for c, (_, _, error) in told.conditions.items()}, 0, np.int8)
    _put(file, "failed", failed, AXES, "1 where the condition failed")
    for name, by_condition in texts.items():
        _put(file, name, _grid(axes, by_condition, "", object), AXES, name)


def _grid(
    axes: Mapping[str, Mapping[Any, int]], by_condition: Mapping[Condition, Any], empty: Any, dtype: Any
) -> np.ndarray:
    grid = np.full([len(axes[name]) for name in AXES], empty, dtype=dtype)
    for condition, value in by_condition.items():
        grid[_place(axes, condition)] = value
    return grid


def _put(file: h5py.File, name: str, data: np.ndarray, dimensions: Sequence[str], label: str) -> None:
    dataset = _dataset(file, name, data)
    _attach(file, dataset, dimensions)
    _describe(dataset, Variable("", label))


def _place(axes: Mapping[str, Mapping[Any, int]], condition: Condition) -> tuple[int, ...]:
    return tuple(axes[name][getattr(condition, name)] for name in AXES)


def _write_numbers(
    file: h5py.File,
    told: Outline,
    axes: Mapping[str, Mapping[Any, int]],
    measured: Callable[[Condition], Measurement],
    variables: Callable[[str], Variable],
) -> None:
    shape = tuple(len(axes[name]) for name in (*AXES, "image"))
    chunk = _chunk(shape)
    columns = np.array(list(axes["image"]), int)
    datasets = {name: _empty(file, name, shape, chunk, variables(name)) for name in sorted(told.names)}
    at = {_place(axes, condition): condition for condition in told.conditions}
    for place in _slabs(shape, chunk):
        inside = [(s, at[*place[:3], s]) for s in range(*place[3].indices(shape[3])) if (*place[:3], s) in at]
        slabs = {name: np.full((place[3].stop - place[3].start, shape[4]), np.nan, NUMBER) for name in datasets}
        for s, condition in inside:
            m = measured(condition)
            own = _columns(columns, m)
            for name, values in m.values.items():
                slabs[name][s - place[3].start, own] = values
        for name, slab in slabs.items():
            datasets[name][place] = slab


def _columns(columns: np.ndarray, m: Measurement) -> np.ndarray:
    """The column of each picture. SemlinkError where one is new, as when a worker of a killed run still writes."""
    places = np.asarray(m.positions, int)
    own = np.searchsorted(columns, places)
    if (own >= len(columns)).any() or (columns[own] != places).any():
        raise SemlinkError(f"{m.condition} has changed while it was published; give the same command again")
    return own


def _empty(file: h5py.File, name: str, shape: Sequence[int], chunk: tuple[int, ...], what: Variable) -> h5py.Dataset:
    packed = {**_packed(), "chunks": chunk, "fillvalue": NUMBER(np.nan)} if math.prod(shape) > 1 else {}
    dataset = file.create_dataset(name, shape, NUMBER, **packed)
    _attach(file, dataset, (*AXES, "image"))
    _describe(dataset, what)
    return dataset


def _chunk(shape: Sequence[int]) -> tuple[int, ...]:
    """One codec, channel and rate under as many SNRs as fit; of more images than fit, some under one SNR."""
    images = max(1, min(shape[4], CHUNK))
    return 1, 1, 1, max(1, min(shape[3], CHUNK // images)), images


def _slabs(shape: Sequence[int], chunk: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    for place in np.ndindex(*shape[:3]):
        for first in range(0, shape[3], chunk[3]):
            yield (*place, slice(first, min(first + chunk[3], shape[3])))
