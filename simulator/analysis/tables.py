"""How numbers are written: columns of a CSV file, and aligned text tables for a screen."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from semlink.simulator.analysis.statistics import Interval
from semlink.simulator.files import write_table
from semlink.simulator.protocols import Variable


class Columns(NamedTuple):
    """What a CSV file holds: the names of its columns and its lines."""

    head: Sequence[str]
    lines: Iterable[Sequence[object]]

    def write(self, path: Path) -> None:
        """As CSV at `path`, all or nothing."""
        write_table(path, self.head, self.lines)


def named_ends(name: str, prefix: str = "") -> tuple[str, str, str]:
    """Columns of an interval: its mean, and both ends, which begin with `prefix` or else with the name."""
    return name, f"{prefix or name}_ci95_low", f"{prefix or name}_ci95_high"


def ends(interval: Interval) -> tuple[float, float, float]:
    """The values of `named_ends`."""
    return interval.mean, interval.low, interval.high


def in_units(variable: Variable) -> str:
    """ " (dB)"; nothing for numbers without a unit."""
    return f" ({variable.units})" if variable.units not in ("", "1") else ""


def rate(rho: float) -> str:
    """A rate as people say it: 1/12."""
    return f"1/{1 / rho:.3g}"


def cell(interval: Interval, digits: int, sign: str = "") -> str:
    """A mean and the longer half of its interval, where it has one; "failed" for no interval."""
    if not interval.n:
        return "failed"
    half = max(interval.high - interval.mean, interval.mean - interval.low)
    return f"{interval.mean:{sign}.{digits}f}" + (f" +-{half:.{digits}f}" if math.isfinite(half) else "")


def against_snr(head: str, blocks: Mapping[str, Mapping[str, Mapping[float, str]]], widths: tuple[int, int]) -> str:
    """Under a head a block for each title: SNRs as heads of columns, and for each label a line of cells by SNR.

    widths: of labels and of columns.
    """
    return "\n".join([head, *(line for title, cells in blocks.items() for line in _block(title, cells, *widths))])


def _block(title: str, cells: Mapping[str, Mapping[float, str]], wide: int, column: int) -> list[str]:
    snrs = sorted({snr for line in cells.values() for snr in line})
    head = f"{'':{wide + 2}}" + "".join(f"{f'{snr:g} dB':>{column}}" for snr in snrs)
    lines = {name: "".join(f"{line.get(snr, ''):>{column}}" for snr in snrs) for name, line in cells.items()}
    return ["", title, head, *(f"  {name:{wide}}{line}" for name, line in lines.items())]
