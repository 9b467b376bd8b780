"""Reads a rows file: all of it where it is small, else what it holds and its numbers as they are asked for."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from semlink.simulator.protocols import Variable
from semlink.simulator.records import seal
from semlink.simulator.records.merging import Measurement
from semlink.simulator.records.store import Condition
from semlink.simulator.records.writing import AXES, ENDS

if TYPE_CHECKING:  # h5py loads when a file is read or written
    import h5py

MOST = 1 << 23  # numbers that are held in memory: 64 MB

Told = tuple[tuple[Measurement, ...], dict[str, Variable], dict[str, Any]]


def read(path: Path, most: int = MOST) -> Told:
    """Measurements, what their numbers are, and attributes. Whatever h5py raises, or ValueError, on a damaged file.

    Where there are more numbers than `most`, the file stays open as long as anyone refers to a measurement.
    """
    import h5py

    stamped = seal.is_stamped(path)
    file = h5py.File(path, "r")
    try:
        if not stamped:
            seal.check(file)
        numbers = {name: item for name, item in file.items() if item.ndim == 5}
        large = sum(dataset.size for dataset in numbers.values()) > most
        data = numbers if large else {name: dataset[()] for name, dataset in numbers.items()}
        measurements = tuple(_measurements(file, data, large))
        variables = {name: _variable(dict(dataset.attrs)) for name, dataset in numbers.items()}
        attributes = {name: value for name, value in file.attrs.items() if name != seal.NAME}
    except BaseException:
        file.close()
        raise
    if not large:
        file.close()
    return measurements, variables, attributes


@dataclass(frozen=True, eq=False)
class Columns(Mapping[str, np.ndarray]):
    """The numbers of a condition, float64 `[images]`, each read from the file whenever it is asked for."""

    file: h5py.File
    names: tuple[str, ...]
    at: tuple[int, ...]
    found: np.ndarray

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self.names:
            raise KeyError(name)
        return self.file[name][self.at][self.found].astype(float)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


class _Shared:
    """Ids and places of pictures, which most conditions share, once."""

    def __init__(self, ids: list[str], places: np.ndarray) -> None:
        self._ids, self._places = ids, places
        self._last: tuple[np.ndarray, tuple[str, ...], tuple[int, ...]] = (np.array([], int), (), ())

    def get(self, found: np.ndarray) -> tuple[np.ndarray, tuple[str, ...], tuple[int, ...]]:
        """`found` itself, ids and places of the pictures with these numbers."""
        if not np.array_equal(found, self._last[0]):
            self._last = found, tuple(self._ids[i] for i in found), tuple(self._places[found].tolist())
        return self._last


def _variable(attributes: Mapping[str, Any]) -> Variable:
    units, label, better = (str(attributes.get(name, "")) for name in ("units", "long_name", "better"))
    least, most = (float(attributes.get(name, end)) for name, end in zip(ENDS, (-math.inf, math.inf), strict=True))
    return Variable(units, label, better, least=least, most=most)


def _measurements(file: h5py.File, data: Mapping[str, Any], large: bool) -> Iterator[Measurement]:
    coordinates = {
        name: _strings(file[name]) if file[name].dtype == object else file[name][()].tolist() for name in AXES
    }
    shared, csi = _Shared(_strings(file["image_id"]), file["image"][()]), _strings(file["csi"])
    errors = file["error"].asstr()[()]
    notes = {n: d.asstr()[()] for n, d in file.items() if d.ndim == 4 and d.dtype == object and n != "error"}
    for at in np.ndindex(*errors.shape):
        finite = {name: np.isfinite(column[at]) for name, column in data.items()}
        found = np.flatnonzero(np.any(list(finite.values()), axis=0)) if finite else np.array([], int)
        if len(found) == 0 and not errors[at]:
            continue
        found, images, positions = shared.get(found)
        settings: dict[str, Any] = {name: coordinates[name][i] for name, i in zip(AXES, at, strict=True)}
        names = tuple(name for name, known in finite.items() if known.any())
        values = Columns(file, names, at, found) if large else {n: data[n][at][found].astype(float) for n in names}
        texts = {name: str(text[at]) for name, text in notes.items() if text[at]}
        yield Measurement(Condition(**settings), csi[at[1]], images, positions, values, texts, str(errors[at]))


def _strings(dataset: h5py.Dataset) -> list[str]:
    return [str(text) for text in dataset.asstr()[()]]
