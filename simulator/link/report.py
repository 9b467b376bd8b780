"""What the simulator measured on the air, for the rows (definitions.md: SNR, rate, PAPR, air time)."""

from __future__ import annotations

from collections import Counter

import numpy as np
from torch import Tensor

from semlink.channels.base.grid import Grid
from semlink.simulator.link.code_blocks import schemes
from semlink.simulator.link.sending import Prepared
from semlink.simulator.link.settings import LinkSettings
from semlink.simulator.values import LinkReport, Reception, Stream

OVERSAMPLING = 4  # of the time signal in which the peak is looked for


def make_report(
    prepared: Prepared, reception: Reception, symbols: Tensor, powers: np.ndarray, settings: LinkSettings
) -> LinkReport:
    """symbols: as sent `[images, total]`. powers `[images, 3]`: the mean power sent, behind the fade per receive
    antenna, and of the noise, over all resource elements. Layers share a channel use.
    """
    counts, streams, grid = prepared.layout.counts, prepared.sent.streams, settings.grid
    slots = prepared.layout.slots.tolist()
    verdicts = [[v for s in reception.streams if s.blocks_ok for v in s.blocks_ok[i]] for i in range(len(powers))]
    return LinkReport(
        uses={s.name: tuple(-(-int(c) // settings.layers) for c in counts[i]) for i, s in enumerate(streams)},
        uses_on_air=tuple(n * grid.symbols * grid.subcarriers for n in slots),
        air_time_s=tuple(n * grid.slot_time for n in slots),
        snr_measured_db=tuple(decibels(powers[:, 0] / powers[:, 2])),
        snr_realised_db=tuple(decibels(powers[:, 1] / powers[:, 2])),
        papr_db=tuple(papr(symbols.detach().numpy()[:, :: settings.layers], grid)),
        mcs={s.name: Counter(m.name for m in schemes(s)).most_common(1)[0][0] for s in streams if is_coded(s)},
        blocks=tuple(len(v) for v in verdicts),
        block_errors=tuple(v.count(False) for v in verdicts),
    )


def is_coded(stream: Stream) -> bool:
    """Whether its bits are really coded."""
    return stream.kind == "bits" and not stream.ideal


def papr(symbols: np.ndarray, grid: Grid) -> np.ndarray:
    """Peak over mean power in dB of each image's first slot in time, 4 times oversampled; data symbols only."""
    first = symbols[:, : grid.data_symbols].reshape(len(symbols), -1, grid.subcarriers)
    power = np.abs(np.fft.ifft(first, OVERSAMPLING * grid.subcarriers, axis=-1)) ** 2
    return decibels(power.max((1, 2)) / power.mean((1, 2)))


def decibels(ratio: np.ndarray) -> np.ndarray:
    """10 log10 of a power ratio; -inf at 0."""
    with np.errstate(divide="ignore"):
        return 10 * np.log10(ratio)
