"""Rows: what a sweep measured, merged from block records and kept as one self-describing HDF5 file, `rows.h5`.

Layout: per-image variables (float32) over the dimension scales (codec, channel, rho, snr_db, image), NaN where nothing
was measured; `csi` (channel); `failed`, `error` and notes (codec, channel, rho, snr_db). Opens in xarray by h5netcdf.
The attribute `sha256` tells whether the file is as it was written (`seal`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from semlink.simulator.errors import SemlinkError
from semlink.simulator.files import check_file, write_aside
from semlink.simulator.protocols import Variable
from semlink.simulator.records import frames, seal
from semlink.simulator.records.store import Condition, Record
from semlink.simulator.records.sweep import Sweep
from semlink.simulator.reprs import Shown

if TYPE_CHECKING:  # h5py loads when a file is read or written
    import h5py
    import pandas
    import xarray

AXES = ("codec", "channel", "rho", "snr_db")
ENDS = ("least", "most")  # attributes of a variable that has a range
NUMBER = np.float32  # of measured numbers in the file; 24 bits are far below what any interval can tell


VARIABLES: Mapping[str, Variable] = {
    "mse": Variable("1", "mean squared error, peak 1", "lower", least=0, most=1),
    "psnr_of_mean_mse": Variable("dB", "PSNR of the mean MSE", "higher", least=0),
    "encode_s": Variable("s", "encoding time per image, its share of a block", "lower", least=0),
    "decode_s": Variable("s", "decoding time per image, its share of a block", "lower", least=0),
    "snr_measured_db": Variable("dB", "transmit power over measured noise power"),
    "snr_realised_db": Variable("dB", "received power over noise power, fade included"),
    "papr_db": Variable("dB", "peak to average power of the time signal", "lower"),
    "uses_main": Variable("1", "channel uses of the main stream", "lower", least=0),
    "uses_total": Variable("1", "channel uses of all streams", "lower", least=0),
    "bpp": Variable("bit", "bits of all payloads per pixel", "lower", least=0),
    "uses_on_air": Variable("1", "resource elements on air, pilots and filler included", "lower", least=0),
    "rho_main": Variable("1", "channel uses of the main stream per source dimension", "lower", least=0),
    "rho_total": Variable("1", "channel uses of all streams per source dimension", "lower", least=0),
    "air_time_s": Variable("s", "simulated time on air", "lower", least=0),
    "blocks": Variable("1", "code blocks sent", least=0),
    "block_errors": Variable("1", "code blocks lost", "lower", least=0),
    "block_error_rate": Variable("1", "share of code blocks lost", "lower", least=0, most=1),
}

BYTES = "bytes_"  # begins the name of a stream's exact bytes


def own_variable(name: str) -> Variable | None:
    """What a number of the rows' own is; None for those of metrics."""
    if name.startswith(BYTES):
        return Variable("byte", f"exact bytes of the stream {name.removeprefix(BYTES)}", "lower", least=0)
    return VARIABLES.get(name)


@dataclass(frozen=True)
class Measurement:
    """All images of one condition. values: float64 `[images]` per variable, in data set order. error: why it failed."""

    condition: Condition
    csi: str
    images: tuple[str, ...]
    positions: tuple[int, ...]
    values: Mapping[str, np.ndarray]
    notes: Mapping[str, str] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True, repr=False)
class Rows(Shown):
    """All measurements, sorted by condition; `variables` describes their numbers; `attributes` are text or numbers."""

    measurements: tuple[Measurement, ...]
    variables: Mapping[str, Variable] = field(default_factory=lambda: VARIABLES)
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def to_xarray(self) -> xarray.Dataset:
        """As rows.h5 holds them: float32 over (codec, channel, rho, snr_db, image), NaN where nothing was measured."""
        return frames.dataset(_image(self))

    def to_pandas(self) -> pandas.DataFrame:
        """A line a picture and condition: codec, channel, rho, snr_db, image, image_id, csi, and a column a number."""
        return frames.table(self.to_xarray())

    def _parts(self) -> Iterable[tuple[str, Any]]:
        of = [m.condition for m in self.measurements]
        for name in AXES:
            yield name, sorted({getattr(condition, name) for condition in of})
        yield "images", max((len(m.images) for m in self.measurements), default=0)
        yield "failed", sum(bool(m.error) for m in self.measurements)
        yield "numbers", sorted({name for m in self.measurements for name in m.values})

    def asked_metrics(self) -> tuple[str, ...]:
        """The quality metrics that the last sweep was asked for, by their names in rows: a suffix may tell how."""
        found = {name for m in self.measurements for name in m.values}
        asked = json.loads(self.attributes.get("configuration", "{}")).get("metrics", ())
        return tuple(name for want in asked for name in sorted(n for n in found if _is(n, want)) or (want,))

    def asked(self) -> frozenset[Condition]:
        """What the last sweep was asked for; all that rows hold where they do not tell."""
        told = json.loads(self.attributes.get("configuration", "{}"))
        if not {"codecs", "channels", "snr_db", "rho"} <= told.keys():
            return frozenset(m.condition for m in self.measurements)
        known = {name: told[name] for name in ("codecs", "channels", "snr_db", "rho")}
        return frozenset(Sweep(**known).conditions())

    def stops(self) -> bool:
        """Whether the last sweep measured each condition until it was precise, so on pictures of its own number."""
        told = json.loads(self.attributes.get("configuration", "{}"))
        return any(told.get(name) is not None for name in ("target_ci", "target_lost"))

    def variable(self, name: str) -> Variable:
        """The description of a number; its bare name when nothing is known of it."""
        return self.variables.get(name, Variable(label=name))


def merge(records: Iterable[Record]) -> tuple[Measurement, ...]:
    """One measurement per condition. A block measured twice (with more images or metrics) counts once.

    A condition of which a block failed and never succeeded carries that error; but a block of which the codec refused
    all pictures is grey pictures beside blocks that succeeded.
    """
    groups: dict[Condition, list[Record]] = {}
    for record in records:
        groups.setdefault(record.condition, []).append(record)
    return tuple(_merged(condition, groups[condition]) for condition in sorted(groups))


def as_kept(measurements: Iterable[Measurement]) -> tuple[Measurement, ...]:
    """The measurements as a rows file keeps them: numbers rounded to single precision, so that both tell the same."""
    return tuple(
        replace(m, values={name: values.astype(NUMBER).astype(float) for name, values in m.values.items()})
        for m in measurements
    )


def write(rows: Rows, path: Path) -> None:
    """`rows` as HDF5 at `path`, all or nothing; the same rows give the same bytes."""
    image = _image(rows)
    write_aside(path, lambda aside: aside.write_bytes(image))


def read(path: Path) -> Rows:
    """The rows of a file. SemlinkError when it is missing, damaged or another kind of file."""
    import h5py

    if not path.exists():
        raise SemlinkError(f"{path}: no such file; run the experiment first")
    check_file(path)
    try:
        with h5py.File(path) as file:
            seal.check(file)
            return _read(file)
    except Exception as error:  # noqa: BLE001 - the library raises many kinds on a damaged file
        raise SemlinkError(
            f"{path}: damaged, or not a rows file; give the experiment's command again to rebuild it"
        ) from error


read_rows = read  # its public name in `semlink.simulator`


def _is(name: str, metric: str) -> bool:
    return name == metric or name.startswith(f"{metric}_up")


def _merged(condition: Condition, records: Sequence[Record]) -> Measurement:
    whole = sorted((r for r in records if not r.error), key=lambda r: (len(r.images), len(r.metrics), r.key()))
    covered = {record.block for record in whole}
    failed = [record for record in records if record.error and record.block not in covered]
    if whole:
        whole += (refused := [record for record in failed if record.values])
        failed = [record for record in failed if record not in refused]
    ids = {place: image for record in whole for place, image in zip(record.positions, record.images, strict=True)}
    places = tuple(sorted(ids))
    last = (whole or failed)[-1]
    values = {name: _column(whole, name, places) for name in sorted({n for r in whole for n in r.values})}
    error = failed[0].error if failed else ""
    return Measurement(condition, last.csi, tuple(ids[p] for p in places), places, values, _notes(whole), error)


def _column(records: Sequence[Record], name: str, places: Sequence[int]) -> np.ndarray:
    found = {p: v for r in records for p, v in zip(r.positions, r.values.get(name, ()), strict=False)}
    return np.array([found.get(place, np.nan) for place in places], dtype=float)


def _notes(records: Sequence[Record]) -> dict[str, str]:
    names = sorted({name for record in records for name in record.notes})
    return {name: "; ".join(sorted({r.notes[name] for r in records if name in r.notes})) for name in names}


def _image(rows: Rows) -> bytes:
    """The file's bytes, made in memory: the HDF5 library crashes when the disk is full."""
    import h5py

    with h5py.File("rows.h5", "w", driver="core", backing_store=False) as file:
        for name, value in rows.attributes.items():
            file.attrs[name] = value
        axes = _axes(rows.measurements)
        for name, axis in axes.items():
            _scale(file, name, axis)
        _write_texts(file, rows.measurements, axes)
        for name in sorted({name for m in rows.measurements for name in m.values}):
            _write_variable(file, name, rows, axes)
        seal.seal(file)
        file.flush()
        return file.id.get_file_image()


def _axes(measurements: Sequence[Measurement]) -> dict[str, dict[Any, int]]:
    """Per dimension, each coordinate's place; images are keyed by their place in the data set."""
    axes = {name: sorted({getattr(m.condition, name) for m in measurements}) for name in AXES}
    places = sorted({place for m in measurements for place in m.positions})
    return {name: {value: i for i, value in enumerate(values)} for name, values in {**axes, "image": places}.items()}


_SCALES = {
    "codec": Variable("", "codec and its settings"),
    "channel": Variable("", "channel and its settings"),
    "rho": Variable("1", "asked rate, channel uses per source dimension"),
    "snr_db": Variable("dB", "Es/N0 per complex symbol, E|h|^2 = 1"),
    "image": Variable("1", "place in the data set"),
}


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
    packed = {"compression": "gzip", "compression_opts": 9, "shuffle": True} if data.size > 1 else {}
    return file.create_dataset(name, data=data, **packed)


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


def _write_texts(file: h5py.File, measurements: Sequence[Measurement], axes: Mapping[str, Mapping[Any, int]]) -> None:
    ids = {place: image for m in measurements for place, image in zip(m.positions, m.images, strict=True)}
    csi = {m.condition.channel: m.csi for m in measurements if m.csi}
    texts = {name: {m.condition: m.notes.get(name, "") for m in measurements} for name in _note_names(measurements)}
    texts["error"] = {m.condition: m.error for m in measurements}
    _put(file, "image_id", np.array([ids[place] for place in axes["image"]], dtype=object), ("image",), "image")
    _put(
        file,
        "csi",
        np.array([csi.get(name, "") for name in axes["channel"]], dtype=object),
        ("channel",),
        "channel state information",
    )
    failed = _grid(axes, {m.condition: int(bool(m.error)) for m in measurements}, 0, np.int8)
    _put(file, "failed", failed, AXES, "1 where the condition failed")
    for name, by_condition in texts.items():
        _put(file, name, _grid(axes, by_condition, "", object), AXES, name)


def _note_names(measurements: Sequence[Measurement]) -> list[str]:
    return sorted({name for m in measurements for name in m.notes})


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


def _write_variable(file: h5py.File, name: str, rows: Rows, axes: Mapping[str, Mapping[Any, int]]) -> None:
    data = np.full([len(axes[axis]) for axis in (*AXES, "image")], np.nan, NUMBER)
    for measurement in rows.measurements:
        if name in measurement.values:
            columns = [axes["image"][place] for place in measurement.positions]
            data[_place(axes, measurement.condition)][columns] = measurement.values[name]
    dataset = _dataset(file, name, data)
    _attach(file, dataset, (*AXES, "image"))
    _describe(dataset, rows.variable(name))


def _read(file: h5py.File) -> Rows:
    names = [name for name, item in file.items() if item.ndim == 5]
    data = {name: file[name][()] for name in names}
    measured = np.any([np.isfinite(column) for column in data.values()], axis=0) if data else None
    measurements = tuple(_read_measurements(file, data, measured))
    variables = {name: _variable(file[name].attrs) for name in names}
    return Rows(measurements, {**VARIABLES, **variables}, _told(file))


def _variable(attributes: Mapping[str, Any]) -> Variable:
    units, label, better = (str(attributes.get(name, "")) for name in ("units", "long_name", "better"))
    least, most = (float(attributes.get(name, end)) for name, end in zip(ENDS, (-math.inf, math.inf), strict=True))
    return Variable(units, label, better, least=least, most=most)


def _told(file: h5py.File) -> dict[str, Any]:
    return {name: value for name, value in file.attrs.items() if name != seal.NAME}


def _read_measurements(
    file: h5py.File, data: Mapping[str, np.ndarray], measured: np.ndarray | None
) -> Iterable[Measurement]:
    coordinates = {
        name: _strings(file[name]) if file[name].dtype == object else file[name][()].tolist() for name in AXES
    }
    ids, csi, places = _strings(file["image_id"]), _strings(file["csi"]), file["image"][()]
    errors = file["error"].asstr()[()]
    notes = {n: d.asstr()[()] for n, d in file.items() if d.ndim == 4 and d.dtype == object and n != "error"}
    shape = errors.shape
    for at in np.ndindex(*shape):
        found = np.flatnonzero(measured[at]) if measured is not None else np.array([], int)
        if len(found) == 0 and not errors[at]:
            continue
        settings: dict[str, Any] = {name: coordinates[name][i] for name, i in zip(AXES, at, strict=True)}
        condition = Condition(**settings)
        own = {name: column[at][found].astype(float) for name, column in data.items()}
        values = {name: column for name, column in own.items() if np.isfinite(column).any()}
        texts = {name: str(text[at]) for name, text in notes.items() if text[at]}
        images = tuple(ids[i] for i in found)
        yield Measurement(condition, csi[at[1]], images, tuple(places[found].tolist()), values, texts, str(errors[at]))


def _strings(dataset: h5py.Dataset) -> list[str]:
    return [str(text) for text in dataset.asstr()[()]]
