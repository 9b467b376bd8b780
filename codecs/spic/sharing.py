"""How channel uses are shared between map and coarse picture, and how well each is protected.

All pictures of a session share alike, so that nothing need be told. Chosen is what is best on average over the fades
that the transmitter expects: of each of the four things that may arrive (both, one of them, nothing) it knows how
likely it is and how good the picture then was on validation pictures (experiments/measure_spic.py). The map arrives at
least as surely as the coarse picture, and is left out only where the uses carry none; the coarse picture is left out
where a map alone is worth more than with as small a one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from semlink.codecs._learned.shipped import TABLES
from semlink.codecs._sources.separated import over_awgn
from semlink.simulator.bits.framing import room
from semlink.simulator.bits.mcs import TABLE, Mcs
from semlink.simulator.files import read_json
from semlink.simulator.values import TxInfo

QUALITY = TABLES / "spic.json"
AIMS = {"both": (1.0, -1.0), "miou": (1.0, 0.0), "lpips": (0.0, -1.0)}  # weights of mIoU and LPIPS
HEADS = (1 / 16, 1 / 8, 3 / 16, 1 / 4, 3 / 8, 1 / 2, 5 / 8, 3 / 4)  # of the uses, without link statistics
STEP = 32  # symbols
LEAST_USES = 64  # of either part

Arrival = Mapping[int, Mapping[str, Sequence[float]]]


@dataclass(frozen=True)
class Sharing:
    """Uses and schemes; map_uses 0: no map, coarse_uses 0: no coarse picture."""

    map_uses: int
    map_mcs: Mcs
    coarse_uses: int
    coarse_mcs: Mcs

    @property
    def rooms(self) -> tuple[int, int]:
        """Bytes of map and coarse picture."""
        return _room(self.map_uses, self.map_mcs), _room(self.coarse_uses, self.coarse_mcs)


@dataclass(frozen=True)
class Allowed:
    """What a codec's settings leave to choose: whether there is a map, the schemes of both parts, and whether a map may
    go alone."""

    with_map: bool = True
    map_schemes: tuple[Mcs, ...] = TABLE
    coarse_schemes: tuple[Mcs, ...] = TABLE
    aim: str = "both"
    map_alone: bool = True


def shared(tx: TxInfo | None, uses: int, pixels: int, allowed: Allowed) -> Sharing:
    """The best sharing of `uses` for pictures of so many pixels."""
    arrival = arrival_of(tx, uses)
    heads = [uses] if allowed.map_alone else []
    heads += [size for size in arrival if LEAST_USES <= size <= uses - LEAST_USES]
    options = [_best(arrival, head, uses - head, pixels, allowed) for head in heads if allowed.with_map]
    least = quality(allowed.aim).map_bpp[0]  # of fewer bits nothing was measured, and hardly a map fits
    useful = [option for option in options if 8 * option[1].rooms[0] / pixels >= least]
    return max(useful or [_best(arrival, 0, uses, pixels, allowed)], key=lambda option: option[0])[1]


def arrival_of(tx: TxInfo | None, uses: int) -> Arrival:
    """Chances by size of a payload and scheme, one per class of fades; over AWGN where there are no statistics."""
    if tx is not None and tx.statistics is not None and tx.statistics.uses == uses:
        return tx.statistics.arrival
    sizes = {max(STEP, int(share * uses) // STEP * STEP) for share in HEADS}
    return {size: {name: (chance,) for name, chance in over_awgn(tx, size).items()} for size in (*sorted(sizes), uses)}


def _best(arrival: Arrival, map_uses: int, coarse_uses: int, pixels: int, allowed: Allowed) -> tuple[float, Sharing]:
    """The best schemes of one sharing, with their expected score."""
    first = _Part.of(arrival, map_uses, pixels, allowed.map_schemes)
    second = _Part.of(arrival, coarse_uses, pixels, allowed.coarse_schemes)
    score = expected(first, second, quality(allowed.aim))
    fair = first.chance.mean(1)[:, None] >= second.chance.mean(1) - 1e-9
    score = np.where(fair | (0 in (map_uses, coarse_uses)), score, -np.inf)
    i, j = np.unravel_index(int(score.argmax()), score.shape)
    return float(score[i, j]), Sharing(map_uses, allowed.map_schemes[i], coarse_uses, allowed.coarse_schemes[j])


@dataclass(frozen=True)
class _Part:
    """Of each scheme: chance of arrival `[schemes, classes]`, and bits per pixel `[schemes]`."""

    chance: np.ndarray
    bpp: np.ndarray

    @classmethod
    def of(cls, arrival: Arrival, uses: int, pixels: int, schemes: Sequence[Mcs]) -> _Part:
        size = min(arrival, key=lambda size: abs(size - uses))
        chance = np.array([arrival[size][scheme.name] for scheme in schemes])
        return cls(chance, np.array([8 * _room(uses, scheme) / pixels for scheme in schemes]))


def _room(uses: int, mcs: Mcs) -> int:
    return room(uses, mcs) if uses else 0


def expected(first: _Part, second: _Part, levels: Levels) -> np.ndarray:
    """Mean score `[map schemes, coarse schemes]` over the classes of fades."""
    both, alone = levels.at(first.bpp, second.bpp), levels.at(first.bpp, np.zeros(1))
    other, nothing = levels.at(np.zeros(1), second.bpp), levels.at(np.zeros(1), np.zeros(1))
    a, b = first.chance, second.chance
    classes = a.shape[1]
    joint = a @ b.T / classes
    only_first, only_second = a.mean(1)[:, None] - joint, b.mean(1)[None] - joint
    neither = 1 - joint - only_first - only_second
    return joint * both + only_first * alone + only_second * other + neither * nothing


@dataclass(frozen=True)
class Levels:
    """Scores `[map rates + 1, coarse rates + 1]` at rising rates in bits per pixel; the first of each: without it."""

    map_bpp: np.ndarray
    coarse_bpp: np.ndarray
    scores: np.ndarray

    def at(self, map_bpp: np.ndarray, coarse_bpp: np.ndarray) -> np.ndarray:
        """Scores `[map rates, coarse rates]`, between the measured ones by logarithms of rates.

        Below the lowest measured rate nothing is there; above the highest nothing gets better.
        """
        rows, columns = _places(map_bpp, self.map_bpp), _places(coarse_bpp, self.coarse_bpp)
        by_row = _between(self.scores, rows)
        return _between(by_row.T, columns).T


def _places(bpp: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Where rates are among 0 (none) and 1, 2, ... (the known ones)."""
    inside = 1 + np.interp(np.log2(np.maximum(bpp, 1e-9)), np.log2(known), np.arange(len(known)))
    return np.where(bpp < known[0], 0.0, inside)


def _between(values: np.ndarray, places: np.ndarray) -> np.ndarray:
    low = np.minimum(places.astype(int), len(values) - 2)
    share = (places - low)[:, None]
    return (1 - share) * values[low] + share * values[low + 1]


@cache
def quality(aim: str) -> Levels:
    """What the network made of validation pictures, as one score."""
    table = read_json(QUALITY, "a damaged table; take it from the package again")
    weights = AIMS[aim]
    scores = weights[0] * np.array(table["miou"]) + weights[1] * np.array(table["lpips"])
    return Levels(np.array(table["map_bpp"]), np.array(table["coarse_bpp"]), scores)
