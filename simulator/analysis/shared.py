"""Pictures that all compared conditions were measured on: a run that was stopped with another `--limit` leaves some
conditions with more of them, and means over different pictures compare nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from semlink.simulator.records.rows import Measurement


def shared_places(measurements: Iterable[Measurement], column: str) -> frozenset[int]:
    """Places in the data set where each measurement that has this column has a number.

    Empty where no picture is common to all: then there is nothing to compare on.
    """
    found = [_places(m, column) for m in measurements if not m.error and column in m.values]
    return frozenset.intersection(*filter(None, found)) if any(found) else frozenset()


def on_places(m: Measurement, places: frozenset[int]) -> Measurement:
    """The measurement on these pictures alone; as it is where there are none."""
    kept = [i for i, place in enumerate(m.positions) if place in places]
    if not kept or len(kept) == len(m.positions):
        return m
    values = {name: column[kept] for name, column in m.values.items()}
    images, positions = tuple(m.images[i] for i in kept), tuple(m.positions[i] for i in kept)
    return replace(m, images=images, positions=positions, values=values)


def _places(m: Measurement, column: str) -> frozenset[int]:
    return frozenset(m.positions[i] for i in np.flatnonzero(np.isfinite(m.values[column])))
