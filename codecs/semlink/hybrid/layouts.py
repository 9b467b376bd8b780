"""How channel uses may be shared between base and analog symbols: a short menu from which each picture gets its own.

All of them for a base, as `digital` does; all for analog planes; or both. What is on the menu follows from link
statistics and from the quality that training pictures had (`quality`); which of it a picture gets, from the picture
itself (`choosing`), and a header tells. A base that is lost leaves a thumbnail, where there is one, else grey; a layout
counts with the mean of two: PSNR, as papers report it, and PSNR of the mean error, which bad pictures decide.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from semlink.codecs._learned.shipped import is_small
from semlink.codecs._sources.ladder import FLAT_BYTES
from semlink.codecs.semlink.hybrid import thumbnail
from semlink.codecs.semlink.hybrid.quality import Quality, measured
from semlink.simulator import forms
from semlink.simulator.bits.framing import room
from semlink.simulator.bits.mcs import TABLE, Mcs, get
from semlink.simulator.values import LinkStatistics

LEAST = 1 / 16  # share of the uses that analog symbols beside a base have at least
LEAST_RELIABLE = 1e-6  # and at most 1 less that: what a fade counts with
HEADERS = ((get("qpsk-0.25"), 64), (get("qpsk-0.25x2"), 128))  # scheme and uses, of one byte
SURE = 0.998  # chance of arrival that a header needs, and in every class of fades a base without a thumbnail
HYBRIDS = 2  # on a menu
WITHIN = {"psnr": 1.5, "lpips": 0.0}  # of the best: what is worth being on the menu
MENU_FROM = 4096  # uses; of fewer a header takes too much


@dataclass(frozen=True)
class Layout:
    """base: uses of the base, 0 for none, in scheme `mcs`. analog: uses of analog symbols behind it, 0 for none."""

    base: int
    mcs: Mcs
    analog: int

    @property
    def budget(self) -> int:
        """Bytes of the base, its header byte taken off."""
        return room(self.base, self.mcs) - 1 if self.base else 0


@dataclass(frozen=True)
class Fades:
    """What the transmitter expects of the channel, by class of fades: SNR in dB, and chances of arrival."""

    snr_db: np.ndarray
    statistics: LinkStatistics

    @property
    def design_db(self) -> float:
        """SNR that powers are made for: that of the mean reliability."""
        return _decibels(np.array([np.mean(self.statistics.reliability)])).item()

    def arrival(self, layout: Layout) -> np.ndarray:
        """Chance that the base arrives; 1 where there is none."""
        if not layout.base:
            return np.ones_like(self.snr_db)
        size = min(self.statistics.arrival, key=lambda size: abs(size - layout.base))
        return np.asarray(self.statistics.arrival[size][layout.mcs.name])


@dataclass(frozen=True)
class Menu:
    """layouts: at least one. header: scheme and uses of the byte that tells which, None where there is one alone.

    thumbnail: its uses, 0 for none. snr_db: that powers are made for.
    """

    layouts: tuple[Layout, ...]
    header: tuple[Mcs, int] | None
    thumbnail: int
    snr_db: float

    def constants(self) -> dict[str, float | str]:
        """What both ends know of it, for a session."""
        told = ",".join(f"{own.base} {own.mcs.name} {own.analog}" for own in self.layouts)
        return {"layouts": told, "thumbnail": self.thumbnail, "design_db": self.snr_db}


def layouts_of(told: str) -> tuple[Layout, ...]:
    """The layouts that a session's constant tells."""
    parts = (own.split() for own in told.split(","))
    return tuple(Layout(int(base), get(mcs), int(analog)) for base, mcs, analog in parts)


def fades_of(statistics: LinkStatistics) -> Fades:
    """Classes of fades; each counts with the SNR of its mean reliability, as linear estimates do."""
    return Fades(_decibels(np.asarray(statistics.reliability)), statistics)


def menu(statistics: LinkStatistics, height: int, width: int, aim: str) -> Menu:
    """The layouts worth choosing from for pictures of that size, the best expected first; aim: "psnr" or "lpips"."""
    fades, quality = fades_of(statistics), measured(is_small(height, width), aim)
    header = _header(statistics) if statistics.uses >= MENU_FROM else None
    planes = (Layout(0, TABLE[0], statistics.uses),)
    options: list[tuple[float, int, tuple[Layout, ...]]] = []
    for thumb in (0, thumbnail.uses_of(height, width)):
        left = statistics.uses - thumb - (header[1] if header else 0)
        if left < 1:
            continue
        scored = sorted(_scored(fades, quality, height * width, left, bool(thumb), aim), key=lambda own: -own[0])
        listed = _short_list(scored, WITHIN[aim])[: None if header else 1]
        if thumb or all(fades.arrival(layout).min() >= SURE for layout in listed):  # a lost base is never grey
            options.append((scored[0][0], thumb, listed))
    _, thumb, chosen = max(options, key=lambda option: option[0], default=(0.0, 0, planes))
    if len(chosen) == 1 or header is None:  # the uses of a header that is not needed go to the layout
        header, best = None, chosen[0]
        left = statistics.uses - thumb
        chosen = (Layout(best.base, best.mcs, left - best.base) if best.analog else Layout(left, best.mcs, 0),)
    return Menu(chosen, header, thumb, fades.design_db)


def score(arrival: np.ndarray, arrived: np.ndarray, lost: np.ndarray, aim: str) -> float:
    """What quality counts for, the higher the better: arrived with that chance in each class of fades, and lost."""
    if aim == "lpips":
        return -float((arrival * arrived + (1 - arrival) * lost).mean())
    mean = float((arrival * arrived + (1 - arrival) * lost).mean())
    error = float((arrival * 10 ** (-arrived / 10) + (1 - arrival) * 10 ** (-lost / 10)).mean())
    return (mean - 10 * np.log10(error)) / 2


def _scored(
    fades: Fades, quality: Quality, pixels: int, uses: int, thumb: bool, aim: str
) -> Iterator[tuple[float, Layout]]:
    lost, layouts = quality.of_loss(thumb, fades.snr_db), [*_possible(fades, uses)]
    bpp = np.array([8 * layout.budget / pixels for layout in layouts])
    rate = np.array([layout.analog / (3 * pixels) for layout in layouts])
    for layout, arrived in zip(layouts, quality.of_layouts(bpp, rate, fades.snr_db), strict=True):
        yield score(fades.arrival(layout), arrived, lost, aim), layout


def _possible(fades: Fades, uses: int) -> Iterator[Layout]:
    """All ways of sharing `uses` that statistics know of."""
    yield Layout(0, TABLE[0], uses)
    heads = [size for size in fades.statistics.arrival if size <= (1 - LEAST) * uses]
    for layout in (Layout(base, mcs, uses - base) for base in (*heads, uses) for mcs in TABLE):
        if layout.budget >= FLAT_BYTES and fades.arrival(layout).max() > 0:
            yield layout


def _short_list(scored: Sequence[tuple[float, Layout]], within: float) -> tuple[Layout, ...]:
    """The best all-digital layout, the planes, and the best hybrid ones of different bases, none far from the best."""
    best, found, bases = scored[0][0], list[Layout](), set[int]()
    for own, layout in scored:
        hybrid = bool(layout.base and layout.analog)
        kind = layout.base if hybrid else -1 if layout.base else 0
        if best - own <= within and kind not in bases and (not hybrid or len([b for b in bases if b > 0]) < HYBRIDS):
            bases.add(kind)
            found.append(layout)
    return tuple(found)


def _header(statistics: LinkStatistics) -> tuple[Mcs, int] | None:
    """The shortest header that arrives; None where none surely does, because it has no time to meet another fade."""
    for mcs, uses in HEADERS:
        arrival = statistics.arrival.get(uses, {}).get(mcs.name, (0.0,))
        if sum(arrival) / len(arrival) >= SURE:
            return mcs, uses
    return None


def _decibels(reliability: np.ndarray) -> np.ndarray:
    return forms.snr_db(np.asarray(reliability), LEAST_RELIABLE)
