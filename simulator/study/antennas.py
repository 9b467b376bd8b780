"""Antennas as words, `4x2:layers=2,precoding=svd`, and what a link with them could carry."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from semlink.simulator.analysis.comparison import Result
from semlink.simulator.analysis.statistics import Line, mean_interval
from semlink.simulator.analysis.tables import ends
from semlink.simulator.errors import SemlinkError
from semlink.simulator.protocols import Variable
from semlink.simulator.records.rows import Rows
from semlink.simulator.study.links import link_word
from semlink.simulator.words import Setting, parse

if TYPE_CHECKING:
    import numpy as np

EFFICIENCY = "bits_per_use"
PROBE_SLOTS = 4  # at most, that an image's spectral efficiency is measured on
CSI = "lmmse"  # of every arrangement unless a channel says otherwise: LS serves none that needs feedback


@dataclass(frozen=True)
class Arrangement:
    """Antennas at both ends, layers, and the other settings of the link, csi not among them."""

    tx: int
    rx: int
    layers: int
    settings: Mapping[str, Setting]

    def __str__(self) -> str:
        """A label: 2x2 SVD, 2 layers, waterfilling."""
        shown = {key: value for key, value in self.settings.items() if (key, value) != ("csit", "perfect")}
        svd = " SVD" if shown.pop("precoding", "none") == "svd" else ""
        power = [str(shown.pop("power"))] if "power" in shown else []
        layers = [f"{self.layers} layers"] if self.layers > 1 else []
        return ", ".join([f"{self.tx}x{self.rx}{svd}", *layers, *power, *(f"{k} {v}" for k, v in shown.items())])

    def link(self, channel: str) -> str:
        """The channel word that makes the link; a single antenna at each end is no setting."""
        antennas: dict[str, Setting] = {"tx_antennas": self.tx, "rx_antennas": self.rx, "layers": self.layers}
        more = {key: value for key, value in antennas.items() if value != 1}
        return link_word(channel, CSI, {**self.settings, **more})


def arrangement(text: str) -> Arrangement:
    """Of a word such as `4x2:layers=2,precoding=svd`. SemlinkError when it has another form."""
    from semlink.simulator import power

    word = parse(text)
    found = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", word.name)
    settings = dict(word.settings)
    if not found or word.added or {"rx_antennas", "tx_antennas", "csi"} & settings.keys():
        raise SemlinkError(f"--arrangements {text!r}: write transmit x receive antennas, as in 4x2:precoding=svd")
    tx, rx = (int(number) for number in found.groups())
    svd = settings.get("precoding") == "svd"
    layers = settings.pop("layers", min(tx, rx) if svd else tx)
    if not isinstance(layers, int):
        raise SemlinkError(f"--arrangements {text!r}: layers must be a whole number")
    if svd or power.create(str(settings.get("power", "uniform"))).needs_channel:
        settings.setdefault("csit", "perfect")
    return Arrangement(tx, rx, layers, settings)


def efficiency(word: str, snrs: Sequence[float], images: int, uses: int, seed: int) -> dict[float, np.ndarray]:
    """log2(1 + SINR) summed over layers, mean over the uses of each image, float64 `[images]` by SNR.

    Bits per channel use of Gaussian codewords, imperfect CSI included, pilots not. QPSK symbols without codec are
    sent, over fades of the same seed as the pictures'.
    """
    from semlink.simulator.link.layout import filler
    from semlink.simulator.plugins import make_link
    from semlink.simulator.values import Stream, Transmission

    link = make_link(parse(word))
    symbols = link.layers * min(uses, PROBE_SLOTS * link.grid.data_symbols)
    sent = Transmission((Stream("probe", "analog", filler(symbols).repeat(images, 1)),))
    found = {snr: link(sent, snr, seed).streams[0].a for snr in snrs}
    return {snr: -link.layers * (1 - a.double()).log2().mean(1).numpy() for snr, a in found.items() if a is not None}


def efficiencies(links: Mapping[str, str], channel: str, rows: Rows, snrs: Sequence[float], seed: int) -> list[Result]:
    """Spectral efficiency of links by label, SNR by SNR, with the paired differences to the first of them.

    On as many images and of as many uses as the pictures in rows have; nothing when none was received.
    """
    images = max((len(m.images) for m in rows.measurements), default=0)
    uses = max((int(m.values["uses_main"].max()) for m in rows.measurements if "uses_main" in m.values), default=0)
    measured = {label: efficiency(word, sorted(set(snrs)), images, uses, seed) for label, word in links.items() if uses}
    first = next(iter(measured), "")
    return [
        _efficiency(label, channel, snr, own, {first: measured[first][snr]} if label != first else {})
        for label, found in measured.items()
        for snr, own in found.items()
    ]


def describe(metric: str) -> Variable | None:
    """What the spectral efficiency is; None for other names."""
    return Variable("bit/use", "spectral efficiency", "higher", least=0) if metric == EFFICIENCY else None


def _efficiency(label: str, channel: str, snr_db: float, own: np.ndarray, others: Mapping[str, np.ndarray]) -> Result:
    value, nan = mean_interval(own), math.nan
    line = Line("", channel, "", snr_db, nan, nan, EFFICIENCY, *ends(value), value.n, 0.0)
    return Result(label, line, {name: mean_interval(own - other) for name, other in others.items()})
