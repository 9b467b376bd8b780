"""The values that travel from a codec's encoder over the link to its decoder; nothing else does.

All are frozen dataclasses that pickle. Analog payloads are complex64 `[batch, k]` torch tensors with mean
power 1 per image; a bits payload is one `bytes` object per image. Conventions: definitions.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from semlink.simulator.reprs import Shown

if TYPE_CHECKING:  # importing the values must not import torch
    from torch import Tensor

SNR_LIMITS_DB = (-30.0, 60.0)  # what is taken for an SNR and not for a mistake
Kind = Literal["analog", "bits"]
Protection = Literal["robust", "normal", "payload"]


@dataclass(frozen=True, repr=False)
class Stream(Shown):
    """One named stream of a transmission, for every image of the batch.

    payload: complex64 `[batch, k]` with mean |x|^2 = 1 per image (analog), or a list of `bytes`, one per image (bits).
    importance: float32 `[batch, k]`, non-negative, on one scale with that of other streams (1 where there is none);
    known to the transmitter alone, unless `importance_known` says that both ends know it as a session constant, the
    same for all images, or `importance_told_by` names a bits stream of the transmission whose payload tells all of it.
    Power and placement rules that use it otherwise make the link send it along as a stream of its own, which is
    charged.
    protection: class of a bits stream that the link maps to a scheme when `mcs` is None.
    mcs: name of a modulation and coding scheme (`simulator.bits.mcs`); a session constant, the same for all images.
    uses: channel uses reserved for a bits stream in every image (the rest is filler, and charged); None: as needed. Of
    an analog stream, how many of an image's symbols are sent; None: all.
    told_by: name of a bits stream before this one whose payload tells `mcs` and `uses` of each image, which may then be
    tuples with one entry an image. Where that is lost, so is this stream.
    ideal: deliver the bits without error and charge `uses`; for capacity bounds only.
    """

    name: str
    kind: Kind
    payload: Tensor | Sequence[bytes]
    importance: Tensor | None = None
    protection: Protection = "normal"
    mcs: str | tuple[str, ...] | None = None
    uses: int | tuple[int, ...] | None = None
    ideal: bool = False
    told_by: str = ""
    importance_known: bool = False
    importance_told_by: str = ""


@dataclass(frozen=True, repr=False)
class Session(Shown):
    """What both ends know for a whole run, free of charge: the picture size in pixels and codec constants."""

    height: int = 0
    width: int = 0
    constants: Mapping[str, int | float | str] = field(default_factory=dict)


@dataclass(frozen=True, repr=False)
class Transmission(Shown):
    """The streams of a batch of images, sent in this order on each image's own slots; the first is the main one."""

    streams: tuple[Stream, ...]
    session: Session = Session()


@dataclass(frozen=True, repr=False)
class LinkStatistics(Shown):
    """What link adaptation knows about payloads of up to `uses` symbols, from fades that no test meets.

    information: mean mutual information in bits per use, log2(1 + SINR), one value per sampled image.
    reliability: mean `a` of the symbols in each of a few classes of sampled images of equal number, rising.
    arrival: by number of symbols (`uses`, and fewer for payloads sent ahead of the rest) and MCS name, the probability
    that all blocks of such a payload arrive, one value per class.
    """

    uses: int
    information: tuple[float, ...]
    reliability: tuple[float, ...]
    arrival: Mapping[int, Mapping[str, tuple[float, ...]]]

    @property
    def success(self) -> dict[str, float]:
        """By MCS name, the probability that a payload of all `uses` arrives."""
        return self.chances(self.uses)

    def chances(self, symbols: int) -> dict[str, float]:
        """By MCS name, the probability that a payload of the first `symbols` arrives; KeyError for an unknown size."""
        return {name: sum(chance) / len(chance) for name, chance in self.arrival[symbols].items()}


@dataclass(frozen=True, repr=False)
class TxInfo(Shown):
    """What a transmitter may know before it encodes.

    snr_db: nominal (or fed back) SNR, a float or one value per image; None when unknown.
    uses: channel uses that the codec may spend per image, or None for its own rate.
    statistics: long-term statistics of this link at this SNR, or None when the transmitter has none.
    public_seed: randomness that both ends share; never a key of fade or noise.
    """

    snr_db: float | Sequence[float] | Tensor | None = None
    uses: int | None = None
    statistics: LinkStatistics | None = None
    public_seed: int = 0


@dataclass(frozen=True, repr=False)
class ReceivedStream(Shown):
    """One stream after the receiver's PHY.

    analog: `x_hat` complex64 and `a` float32, both `[batch, k]`, with x_hat = a x + noise of variance a (1 - a), and 0
    where nothing was sent.
    bits: `payload` holds the bytes of each image or None where a block was lost, `ok` the same as booleans, and
    `blocks_ok` the verdict of each code block of each image.
    """

    name: str
    kind: Kind
    x_hat: Tensor | None = None
    a: Tensor | None = None
    payload: tuple[bytes | None, ...] | None = None
    ok: tuple[bool, ...] | None = None
    blocks_ok: tuple[tuple[bool, ...], ...] | None = None


@dataclass(frozen=True, repr=False)
class Reception(Shown):
    """All that a decoder gets. `public_seed` seeds its randomness."""

    streams: tuple[ReceivedStream, ...]
    session: Session = Session()
    public_seed: int = 0

    def stream(self, name: str) -> ReceivedStream:
        """The stream of that name; KeyError that lists the names otherwise."""
        for stream in self.streams:
            if stream.name == name:
                return stream
        raise KeyError(f"no stream {name!r}; received: {', '.join(s.name for s in self.streams)}")


@dataclass(frozen=True, repr=False)
class LinkReport(Shown):
    """What the simulator measured while the transmission was on the air; rows get it, decoders never.

    uses: channel uses per stream name, one number per image (payload, CRC, code and padding; no pilots).
    uses_on_air: resource elements of each image, pilots and filler included. air_time_s: duration of those slots.
    snr_measured_db, snr_realised_db: per image, without and with the fade's gain.
    papr_db: per image, of the time signal.
    mcs: scheme per bits stream, the most frequent one where images differ. blocks, block_errors: per image, summed over
    bits streams.
    """

    uses: Mapping[str, tuple[int, ...]]
    uses_on_air: tuple[int, ...]
    air_time_s: tuple[float, ...]
    snr_measured_db: tuple[float, ...]
    snr_realised_db: tuple[float, ...]
    papr_db: tuple[float, ...]
    mcs: Mapping[str, str] = field(default_factory=dict)
    blocks: tuple[int, ...] = ()
    block_errors: tuple[int, ...] = ()


@dataclass(frozen=True, repr=False)
class LinkResult(Shown):
    """`reception` for the decoder, `report` for the rows."""

    reception: Reception
    report: LinkReport
