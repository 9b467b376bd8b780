"""Timing side by side: every side works once a round, so that whatever else a machine does slows all of them alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

Told = TypeVar("Told")
SIGNIFICANT = 4.0  # standard errors: of twenty differences by chance one in a thousand runs has one as large


@dataclass(frozen=True)
class Spread:
    """Least, median and most of the values of all rounds."""

    least: float
    median: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Of at least one value."""
        return cls(float(np.min(values)), float(np.median(values)), float(np.max(values)))


@dataclass(frozen=True)
class Difference:
    """A mean difference and its standard error, both in the unit of the values."""

    mean: float
    error: float

    def by_chance(self, allowed: float = 0.0) -> bool:
        """Whether it is at most `allowed` but for what the sample explains."""
        return abs(self.mean) <= allowed + SIGNIFICANT * self.error


def alternate(sides: Mapping[str, Callable[[int], Told]], rounds: int) -> dict[str, list[Told]]:
    """What each side told in each round. Sides get the round's number; who begins changes from round to round."""
    told: dict[str, list[Told]] = {name: [] for name in sides}
    for turn in range(rounds):
        names = list(sides)
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            told[name].append(sides[name](turn))
    return told


def speeds(seconds: Mapping[str, Sequence[float]], base: str) -> dict[str, Spread]:
    """How many times as fast as `base` each side is: seconds of `base` over its own of the same round."""
    first = np.asarray(seconds[base])
    return {name: Spread.of(first / np.asarray(own)) for name, own in seconds.items()}


def difference(own: Sequence[float], other: Sequence[float]) -> Difference:
    """Mean of `own` minus `other`, value by value, of at least two independent pairs."""
    gaps = np.asarray(own, np.float64) - np.asarray(other, np.float64)
    return Difference(float(gaps.mean()), float(gaps.std(ddof=1) / len(gaps) ** 0.5))
