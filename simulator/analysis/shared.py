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
    shared: frozenset[int] | None = None
    for m in measurements:
        if not m.error and column in m.values and (own := _places(m, column)):
            shared = own if shared is None else shared & own
    return shared or frozenset()


def on_places(m: Measurement, places: frozenset[int]) -> Measurement:
    """The measurement on these pictures alone; as it is where there are none."""
    if places.issuperset(m.positions):
        return m
    kept = [i for i, place in enumerate(m.positions) if place in places]
    if not kept:
        return m
    values = {name: column[kept] for name, column in m.values.items()}
    images, positions = tuple(m.images[i] for i in kept), tuple(m.positions[i] for i in kept)
    return replace(m, images=images, positions=positions, values=values)


def _places(m: Measurement, column: str) -> frozenset[int]:
    return frozenset(m.positions[i] for i in np.flatnonzero(np.isfinite(m.values[column])))
