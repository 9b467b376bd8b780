"""What a sweep has measured, as append-only checksummed block files under `--out`, and its run.json.

One file holds one condition on one block of images: JSON with the SHA-256 of its record. It is written aside, synced
and renamed, so a kill leaves whole files only; a file damaged later is found by its checksum and measured again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from semlink.simulator.errors import SemlinkError
from semlink.simulator.files import ASIDE, check_file, is_left_over, mending, slug, write_aside

FORMAT = 1


@dataclass(frozen=True, order=True)
class Condition:
    """What a curve point is measured under. codec and channel are canonical words; rho is the asked rate; SNR in dB."""

    codec: str
    rho: float
    channel: str
    snr_db: float

    def __str__(self) -> str:
        return f"{self.codec} rho {self.rho:.4g} {self.channel} {self.snr_db:+g} dB"

    def slug(self) -> str:
        """A name for files."""
        return slug(f"{self.codec}_rho{self.rho:.4g}_{self.channel}_{self.snr_db:+g}dB")


@dataclass(frozen=True)
class Identity:
    """What every record of a folder agrees on. files: SHA-256 of the weights and other files that plug-ins read."""

    data: str
    seed: int
    block_size: int
    semlink: str
    files: Mapping[str, str] = field(default_factory=dict)

    def differences(self, other: Identity) -> list[str]:
        """One phrase for each thing in which `other` (what is stored) differs from this."""
        names = [
            name for name in ("data", "seed", "block_size", "semlink") if getattr(self, name) != getattr(other, name)
        ]
        found = [f"{name} {getattr(other, name)!r}, now {getattr(self, name)!r}" for name in names]
        changed = [name for name in self.files if other.files.get(name, self.files[name]) != self.files[name]]
        return found + [f"{name} with other contents" for name in sorted(changed)]


@dataclass(frozen=True)
class Record:
    """One condition on one block. images and positions: id and place in the data set of each image.

    values: one number per image and variable. error: why the condition failed, else empty; with values, why the codec
    refused every picture of the block: they are those of grey pictures. notes: text for the rows, such as the MCS.
    """

    identity: Identity
    condition: Condition
    block: int
    images: tuple[str, ...]
    positions: tuple[int, ...]
    metrics: tuple[str, ...]
    csi: str = ""
    values: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)
    error: str = ""

    def key(self) -> str:
        """Hash of everything that the result depends on."""
        depends = [_fields(self.identity), _fields(self.condition), self.block, self.images, self.metrics]
        return hashlib.sha256(_canonical(depends).encode()).hexdigest()[:16]


class Store:
    """The block files of one folder. Making a store makes the folder; OSErrors become one-line SemlinkErrors."""

    def __init__(self, out: str | Path, report: Callable[[str], None] = print) -> None:
        self.out = Path(out)
        self._report = report
        self._reported: set[Path] = set()
        with mending(self.out):
            self.blocks.mkdir(parents=True, exist_ok=True)

    @property
    def blocks(self) -> Path:
        """Folder of the block files."""
        return self.out / "blocks"

    def path(self, record: Record) -> Path:
        """Where this record is kept."""
        return self.blocks / record.condition.slug() / f"{record.block:06d}-{record.key()}.json"

    def write(self, record: Record) -> None:
        """Keep a record; it is on the disk when this returns."""
        path, text = self.path(record), _text(record)
        with mending(self.out):
            path.parent.mkdir(parents=True, exist_ok=True)
        write_aside(path, lambda aside: aside.write_text(text))

    def records(self) -> Iterator[Record]:
        """All whole records, in the order of their file names; each damaged file is reported once and left out."""
        return (record for folder in self.folders() for record in self.within(folder))

    def folders(self) -> list[str]:
        """Names of the folders of records: all of a condition are in the same one, which may hold others, too."""
        with mending(self.out):
            return sorted(entry.name for entry in os.scandir(self.blocks) if entry.is_dir())

    def within(self, folder: str) -> Iterator[Record]:
        """All whole records of a folder."""
        with mending(self.out):
            names = sorted(name for name in os.listdir(self.blocks / folder) if name.endswith(".json"))
        found = (self._read(self.blocks / folder / name) for name in names)
        return (record for record in found if record is not None)

    def find(self, record: Record) -> Record | None:
        """What is kept of a record that is asked for, if that succeeded."""
        path = self.path(record)
        found = self._read(path) if path.exists() else None
        return found if found is not None and not found.error else None

    def clean(self) -> None:
        """Remove what a killed run had half written, not what a worker of it that still runs writes."""
        for folder in ("", "blocks/*/", "pictures/", "features/*/*/", "weights/"):
            for path in filter(is_left_over, self.out.glob(f"{folder}*{ASIDE}-*")):
                path.unlink(missing_ok=True)

    def _read(self, path: Path) -> Record | None:
        try:
            return _read(path)
        except OSError as error:
            raise SemlinkError(f"cannot read {path}: {error.strerror or error}") from error
        except Exception:  # noqa: BLE001 - JSON that nests too deep, values of any kind in place of others, pipes
            self._damaged(path)
            return None

    def _damaged(self, path: Path) -> None:
        if path not in self._reported:
            self._reported.add(path)
            self._report(f"damaged block file, left out and measured again where it is asked for: {path}")


def check_same(identity: Identity, records: Iterable[Record], out: str | Path) -> None:
    """SemlinkError that names the difference when a record was made with another configuration."""
    for record in records:
        found = identity.differences(record.identity)
        if found:
            raise SemlinkError(
                f"{out} holds results of another configuration ({'; '.join(found)}); choose another --out"
            )


def picture_path(out: Path, condition: Condition | None) -> Path:
    """Where the first picture of the set is kept as received under a condition; None for the original."""
    return out / "pictures" / ("original.png" if condition is None else f"{condition.slug()}.png")


def _fields(value: Identity | Condition | Record) -> dict[str, Any]:
    """What a frozen value holds, by name; `asdict` copies every number."""
    return {each.name: getattr(value, each.name) for each in fields(value)}


def _text(record: Record) -> str:
    """The contents of a block file: canonical JSON of the record and of its checksum."""
    own = {"identity": _fields(record.identity), "condition": _fields(record.condition)}
    plain = _canonical({"format": FORMAT, **_fields(record), **own})
    return f'{_HEAD}{plain}{_TAIL}{hashlib.sha256(plain.encode()).hexdigest()}"}}'


_HEAD, _TAIL = '{"record":', ',"sha256":"'  # of what `_text` makes


def _read(path: Path) -> Record:
    check_file(path)
    plain = _checked(path.read_text())
    if plain.pop("format") != FORMAT:
        raise ValueError(f"{path}: another format")
    record = Record(**{**plain, **_typed(plain)})
    _check_numbers(record)
    return record


def _checked(text: str) -> Any:
    """The record of a block file. ValueError unless its checksum is right."""
    plain, found, told = text.removeprefix(_HEAD).rpartition(_TAIL)
    if not text.startswith(_HEAD) or not found or told != hashlib.sha256(plain.encode()).hexdigest() + '"}':
        raise ValueError("checksum differs")
    return json.loads(plain)


def _check_numbers(record: Record) -> None:
    """ValueError unless every image has an id, a place and a number of each kind."""
    count = len(record.images)
    columns = [record.positions, *record.values.values()]
    named = all(isinstance(image, str) for image in record.images)
    counted = all(isinstance(value, int | float) for column in columns for value in column)
    if not named or not counted or any(len(column) != count for column in columns):
        raise ValueError("values that do not belong to the images")


def _typed(plain: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "identity": Identity(**plain["identity"]),
        "condition": Condition(**plain["condition"]),
        "images": tuple(plain["images"]),
        "positions": tuple(plain["positions"]),
        "metrics": tuple(plain["metrics"]),
        "values": {name: tuple(values) for name, values in plain["values"].items()},
    }


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
