"""A codec within a codec: its pictures as they arrive, and how far off they are.

The table of errors holds, by codec, rate, pool and picture size, RMS errors over AWGN (experiments/measure_sigma.py).
"""

from __future__ import annotations

import copy
import logging
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from semlink.codecs._learned.received import sound
from semlink.codecs._learned.shipped import TABLES, local
from semlink.simulator import forms
from semlink.simulator.errors import SemlinkError
from semlink.simulator.files import read_json, reading
from semlink.simulator.protocols import decoded
from semlink.simulator.values import Reception
from semlink.simulator.words import parse

log = logging.getLogger(__name__)

TABLE = TABLES / "ddnm_sigma.json"
REFUSED = "ddnm"
LEAST_RELIABLE = 1e-6


@dataclass(frozen=True)
class Carried:
    """What an inner codec received.

    pictures: `[batch, 3, h, w]` within [0, 1]. quality: mean `a` of each one's main stream, `[batch]`; None when that
    has none. undecoded: which of them are none though something arrived.
    """

    pictures: Tensor
    quality: Tensor | None
    undecoded: tuple[bool, ...]

    @property
    def arrived(self) -> Tensor:
        """Which of them are pictures, bool `[batch]`."""
        there = ~torch.tensor(self.undecoded, device=self.pictures.device)
        return there if self.quality is None else there & (self.quality > 0)


@dataclass(frozen=True)
class Inner:
    """The codec of a word at a rate, behind the block means of pool x pool pixels.

    word: its settings are separated by semicolons. sigma_y: RMS error of its pictures (peak 1), None: the table's.
    """

    word: str
    rho: float
    pool: int = 1
    sigma_y: float | None = None
    codec: Any = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.sigma_y is not None and self.sigma_y < 0:
            raise SemlinkError(f"sigma_y {self.sigma_y:g}: need sigma >= 0")
        object.__setattr__(self, "codec", inner_codec(self.word, self.rho))

    def at(self, rho: float) -> Inner:
        """The same with the codec, which shares its networks, at a rate a little below its own."""
        other, codec = copy.copy(self), copy.copy(self.codec)
        codec.rho = rho
        object.__setattr__(other, "codec", codec)
        return other

    def files(self) -> tuple[Path, ...]:
        """What its pictures and their errors depend on."""
        return (*files_of(self.codec), *(() if self.sigma_y is not None else (TABLE,)))

    def received(self, reception: Reception) -> Carried:
        """What it makes of a reception."""
        heard = sound(reception)
        with torch.no_grad():
            pictures, undecoded = decoded(self.codec, heard)
        a = heard.streams[0].a
        within = pictures.float().nan_to_num(0.5).clamp(0, 1)
        return Carried(within, None if a is None else a.mean(1), undecoded)

    def uncertainty(self, quality: Tensor | None, batch: int, side: int) -> Tensor:
        """RMS error of each picture, float32 `[batch]`, from the mean `a` of each; side: of the pictures, in px.

        SemlinkError when nothing tells it.
        """
        if self.sigma_y is not None:
            return torch.full((batch,), float(self.sigma_y))
        levels, errors = measured_errors(self.word, self.rho, self.pool, side)
        if quality is None:
            raise SemlinkError(f"{self.word} has no analog stream that tells its quality; give sigma_y=")
        snr_db = forms.snr_db(quality.double().cpu().numpy(), LEAST_RELIABLE)
        told_beyond(self.word, snr_db, levels)
        return torch.from_numpy(np.interp(snr_db, levels, errors)).float()


def inner_codec(word: str, rho: float) -> Any:
    """The codec of a word such as "roi_jscc:importance=none;share=0.5" at that rate."""
    from semlink import codecs

    parsed = parse(word.replace(";", ","))
    if parsed.name == REFUSED:
        raise SemlinkError(f"{REFUSED} cannot carry itself; choose another inner codec, e.g. inner=adjscc")
    return codecs.create(parsed.name, rho=rho, **dict(parsed.settings))


def check_inner(codec: Any, height: int, width: int) -> None:
    """What a codec checks of pictures of that size; others' may check nothing."""
    getattr(codec, "check", lambda height, width: None)(height, width)


def files_of(part: Any) -> tuple[Path, ...]:
    """What a codec or a captioner declares; those of others may declare nothing."""
    return local(*getattr(part, "files", tuple)())


def measured_errors(inner: str, rho: float, pool: int, side: int) -> tuple[list[float], list[float]]:
    """SNRs in dB, rising, and RMS errors of the coarse picture there, measured at the nearest size.

    SemlinkError when the table lacks that codec, rate or pool.
    """
    fits = [e for e in _table() if e["inner"] == inner and e["pool"] == pool and abs(e["rho"] / rho - 1) < 0.02]
    if not fits:
        raise SemlinkError(
            f"no measured error of {inner} at rho {rho:.4f} behind pool {pool}; run python experiments/measure_sigma.py"
            f' --inner "{inner}" --rho {rho:.4f} --pools {pool}, or give sigma_y=, or ddnm mode=paper'
        )
    entry = min(fits, key=lambda e: abs(np.log(e["side"] / side)))
    return entry["snr_db"], entry["sigma"]


def nearest_errors(inner: str, rho: float, side: int) -> tuple[list[float], list[float]]:
    """The same of whole pictures at the nearest rate and size measured, and with own weights those of the codec itself.

    A start of a chain needs no more than that. SemlinkError when the table lacks the codec.
    """
    known = [e for e in _table() if e["pool"] == 1]
    own = [e for e in known if e["inner"] == inner] or [e for e in known if e["inner"] == inner.partition(":")[0]]
    if not own:
        raise SemlinkError(
            f'no measured error of {inner}; run python experiments/measure_sigma.py --inner "{inner}" --rho {rho:.4f} '
            f"--pools 1, or give start= its RMS error"
        )
    entry = min(own, key=lambda e: (round(abs(np.log(e["rho"] / rho)), 2), abs(np.log(e["side"] / side))))
    return entry["snr_db"], entry["sigma"]


def told_beyond(word: str, snr_db: np.ndarray, levels: list[float]) -> None:
    """Log how many SNRs lie beyond those that were measured."""
    beyond = (snr_db < levels[0]) | (snr_db > levels[-1])
    if beyond.any():
        ends = f"{levels[0]:g} to {levels[-1]:g} dB"
        log.warning("%s: SNR of %d pictures beyond %s; the ends hold", word, beyond.sum(), ends)


@lru_cache(maxsize=1)
def _table() -> list[dict[str, Any]]:
    wrong = "no table of errors; experiments/measure_sigma.py makes one"
    with reading(TABLE, wrong):
        found = read_json(TABLE, wrong)["entries"]
        for entry in found:
            _check(entry)
        return found


def _check(entry: Any) -> None:
    """ValueError, or nearly anything, for what is no entry of the table."""
    numbers = [entry["rho"], entry["pool"], entry["side"], *entry["snr_db"], *entry["sigma"]]
    finite = np.isfinite(np.array(numbers, float)).all() and min(entry["rho"], entry["side"]) > 0
    if not isinstance(entry["inner"], str) or len(entry["snr_db"]) != len(entry["sigma"]) or not finite:
        raise ValueError(f"entry {str(entry)[:60]}")
