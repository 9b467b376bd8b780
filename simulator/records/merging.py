"""Records of blocks become measurements of conditions, one condition in memory at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from semlink.simulator.records.store import Condition, Record


@dataclass(frozen=True)
class Measurement:
    """All images of one condition. values: float64 `[images]` per variable, in data set order. error: why it failed."""

    condition: Condition
    csi: str
    images: Sequence[str]
    positions: Sequence[int]
    values: Mapping[str, np.ndarray]
    notes: Mapping[str, str] = field(default_factory=dict)
    error: str = ""


def merge(records: Iterable[Record]) -> tuple[Measurement, ...]:
    """One measurement per condition. A block measured twice (with more images or metrics) counts once.

    A condition of which a block failed and never succeeded carries that error; but a block of which the codec refused
    all pictures is grey pictures beside blocks that succeeded.
    """
    groups: dict[Condition, list[Record]] = {}
    for record in records:
        groups.setdefault(record.condition, []).append(_compact(record))
    return tuple(_merged(condition, groups[condition]) for condition in sorted(groups))


def _compact(record: Record) -> Record:
    """With arrays in place of numbers of Python's own, which take four times the memory."""
    values: dict[str, Any] = {name: np.array(column, float) for name, column in record.values.items()}
    return replace(record, values=values)


def _merged(condition: Condition, records: Sequence[Record]) -> Measurement:
    whole = sorted((r for r in records if not r.error), key=lambda r: (len(r.images), len(r.metrics), r.key()))
    covered = {record.block for record in whole}
    failed = [record for record in records if record.error and record.block not in covered]
    if whole:
        whole += [record for record in failed if record.values]
        failed = [record for record in failed if not record.values]
    ids = {place: image for record in whole for place, image in zip(record.positions, record.images, strict=True)}
    places = np.array(sorted(ids), int)
    last = (whole or failed)[-1]
    values = {name: _column(whole, name, places) for name in sorted({n for r in whole for n in r.values})}
    error = failed[0].error if failed else ""
    at = tuple(places.tolist())
    return Measurement(condition, last.csi, tuple(ids[p] for p in at), at, values, _notes(whole), error)


def _column(records: Sequence[Record], name: str, places: np.ndarray) -> np.ndarray:
    """Of a picture that was measured twice, the later record's."""
    found = np.full(len(places), np.nan)
    for record in records:
        if name in record.values:
            found[np.searchsorted(places, record.positions)] = record.values[name]
    return found


def _notes(records: Sequence[Record]) -> dict[str, str]:
    names = sorted({name for record in records for name in record.notes})
    return {name: "; ".join(sorted({r.notes[name] for r in records if name in r.notes})) for name in names}
