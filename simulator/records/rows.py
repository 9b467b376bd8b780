"""Rows: what a sweep measured, merged from block records and kept as one self-describing HDF5 file, `rows.h5`.

Layout: per-image variables (float32) over the dimension scales (codec, channel, rho, snr_db, image), NaN where nothing
was measured; `csi` (channel); `failed`, `error` and notes (codec, channel, rho, snr_db). Opens in xarray by h5netcdf.
The attribute `sha256` tells whether the file is as it was written (`seal`). Numbers that are more than memory should
hold stay in the file, and are read when they are asked for.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semlink.channels.base.names import near_path
from semlink.simulator.errors import SemlinkError
from semlink.simulator.files import check_file, write_aside
from semlink.simulator.protocols import Variable
from semlink.simulator.records import frames, reading, writing
from semlink.simulator.records.merging import Measurement, merge
from semlink.simulator.records.store import Condition, Record
from semlink.simulator.records.sweep import Sweep
from semlink.simulator.records.writing import AXES, NUMBER
from semlink.simulator.reprs import Shown

if TYPE_CHECKING:
    import pandas
    import xarray

__all__ = ["AXES", "Everything", "Measurement", "Rows", "as_kept", "merge", "own_variable", "read", "write"]


UNDECODED = "undecoded"  # only in rows that hold such a picture
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
    UNDECODED: Variable("1", "payloads that arrived and could not be decoded", "lower", least=0),
    "block_error_rate": Variable("1", "share of code blocks lost", "lower", least=0, most=1),
}

WALL = ("encode_s", "decode_s", "wall_")  # begin the names of times that passed, which differ from run to run
BYTES = "bytes_"  # begins the name of a stream's exact bytes


def repeats(name: str) -> bool:
    """Whether a number comes out the same when it is measured again."""
    return not name.startswith(WALL)


def own_variable(name: str) -> Variable | None:
    """What a number of the rows' own is; None for those of metrics."""
    if name.startswith(BYTES):
        return Variable("byte", f"exact bytes of the stream {name.removeprefix(BYTES)}", "lower", least=0)
    return VARIABLES.get(name)


@dataclass(frozen=True, repr=False)
class Rows(Shown):
    """All measurements, sorted by condition; `variables` describes their numbers; `attributes` are text or numbers."""

    measurements: Sequence[Measurement]
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

    def _configuration(self) -> dict[str, Any]:
        """The settings of the last sweep; none where the attribute is not one that a sweep wrote."""
        try:
            told = json.loads(self.attributes.get("configuration", "{}"))
        except (TypeError, ValueError, RecursionError):
            return {}
        lists = ("codecs", "channels", "snr_db", "rho", "metrics")
        sound = isinstance(told, dict) and all(isinstance(told.get(name, []), list) for name in lists)
        return told if sound else {}

    def asked_metrics(self) -> tuple[str, ...]:
        """The quality metrics that the last sweep was asked for, by their names in rows: a suffix may tell how."""
        found = {name for m in self.measurements for name in m.values}
        asked = self._configuration().get("metrics", ())
        return tuple(name for want in asked for name in sorted(n for n in found if _is(n, want)) or (want,))

    def asked(self) -> frozenset[Condition]:
        """What the last sweep was asked for; all that rows hold where they do not tell."""
        told = self._configuration()
        if not {"codecs", "channels", "snr_db", "rho"} <= told.keys():
            return frozenset(m.condition for m in self.measurements)
        known = {name: told[name] for name in ("codecs", "channels", "snr_db", "rho")}
        return frozenset(Sweep(**known).conditions())

    def stops(self) -> bool:
        """Whether the last sweep measured each condition until it was precise, so on pictures of its own number."""
        told = self._configuration()
        return any(told.get(name) is not None for name in ("target_ci", "target_lost"))

    def variable(self, name: str) -> Variable:
        """The description of a number; its bare name when nothing is known of it."""
        return _variable(self.variables, name)


def as_kept(measurements: Iterable[Measurement]) -> tuple[Measurement, ...]:
    """The measurements as a rows file keeps them: numbers rounded to single precision, so that both tell the same."""
    return tuple(
        replace(m, values={name: values.astype(NUMBER).astype(float) for name, values in m.values.items()})
        for m in measurements
    )


class Everything:
    """All that a store holds, as measurements by condition: in memory while it is small, else read again when asked.

    folders: names of what holds records; within: the records of one. wanted: which measurements count.
    """

    def __init__(
        self,
        folders: Iterable[str],
        within: Callable[[str], Iterable[Record]],
        wanted: Callable[[Measurement], bool] = lambda m: True,
        most: int = reading.MOST,
    ) -> None:
        self.outline = writing.Outline()
        self._within = within
        self._folder: dict[Condition, str] = {}
        self._last: tuple[str, dict[Condition, Measurement]] = ("", {})
        kept: dict[Condition, Measurement] | None = {}
        for folder in folders:
            for m in filter(wanted, merge(within(folder))):
                self.outline.add(m)
                self._folder[m.condition] = folder
                kept = _with(kept, m) if self.outline.numbers <= most else None
        self._kept = kept

    def __getitem__(self, condition: Condition) -> Measurement:
        """What was measured under a condition."""
        if self._kept is not None:
            return self._kept[condition]
        folder = self._folder[condition]
        if self._last[0] != folder:
            self._last = folder, {m.condition: m for m in merge(self._within(folder))}
        return self._last[1][condition]

    @property
    def all(self) -> tuple[Measurement, ...] | None:
        """All of them, sorted by condition; None where they are more than memory should hold."""
        return None if self._kept is None else tuple(self._kept[condition] for condition in sorted(self._kept))


def _with(kept: dict[Condition, Measurement] | None, m: Measurement) -> dict[Condition, Measurement] | None:
    if kept is not None:
        kept[m.condition] = m
    return kept


def publish(held: Everything, variables: Mapping[str, Variable], attributes: Mapping[str, Any], path: Path) -> Rows:
    """Write what a store holds as HDF5 at `path`, all or nothing, and return it; what is large stays in that file."""
    _write(path, held.outline, held.__getitem__, variables, attributes)
    found = as_kept(held.all) if held.all is not None else tuple(sorted(read(path).measurements, key=_condition))
    return Rows(found, variables, attributes)


def write(rows: Rows, path: Path) -> None:
    """`rows` as HDF5 at `path`, all or nothing; the same rows give the same bytes."""
    _write(path, *_parts(rows), rows.variables, rows.attributes)


def _write(
    path: Path,
    told: writing.Outline,
    measured: Callable[[Condition], Measurement],
    variables: Mapping[str, Variable],
    attributes: Mapping[str, Any],
) -> None:
    def write_to(aside: Path) -> None:
        target = writing.Careful(aside)
        try:
            writing.write(target, told, measured, partial(_variable, variables), attributes)
        finally:
            target.close()  # whose error is what went wrong first

    write_aside(path, write_to)


def _parts(rows: Rows) -> tuple[writing.Outline, Callable[[Condition], Measurement]]:
    return writing.outline(rows.measurements), {m.condition: m for m in rows.measurements}.__getitem__


def _variable(variables: Mapping[str, Variable], name: str) -> Variable:
    return variables.get(name, Variable(label=name))


def _condition(m: Measurement) -> Condition:
    return m.condition


def _image(rows: Rows) -> bytes:
    """The file's bytes, made in memory."""
    target = io.BytesIO()
    writing.write(target, *_parts(rows), rows.variable, rows.attributes)
    return target.getvalue()


def read(path: str | Path) -> Rows:
    """The rows of a file. SemlinkError when it is missing, damaged or another kind of file."""
    path = Path(path)
    if not path.exists():
        raise SemlinkError(f"{path}: no such file; {near_path(path)}run the experiment first")
    check_file(path)
    try:
        measurements, variables, attributes = reading.read(path)
    except Exception as error:  # noqa: BLE001 - the library raises many kinds on a damaged file
        raise SemlinkError(
            f"{path}: damaged, or not a rows file; give the experiment's command again to rebuild it"
        ) from error
    return Rows(measurements, {**VARIABLES, **variables}, attributes)


read_rows = read  # its public name in `semlink.simulator`


def _is(name: str, metric: str) -> bool:
    return name == metric or name.startswith(f"{metric}_up")
