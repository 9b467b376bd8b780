"""Modulation and coding schemes: QAM order, code rate, block sizes. Pure tables, no signal processing.

A block is one CRC-protected 5G LDPC code word of `symbols` channel uses. Block sizes form a small fixed set, because
every shape compiles once (architecture.md). Information of a block is a whole number of bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

from semlink.channels.base.names import unknown
from semlink.simulator.errors import SemlinkError

BLOCK_SYMBOLS = (2048, 1024, 512, 256, 128, 64, 32)
MAX_INFORMATION = 8448  # bits with CRC: the largest 5G LDPC block
LONG_CRC_FROM = 3824  # bits, 3GPP TS 38.212, 7.2.1


@dataclass(frozen=True)
class Mcs:
    """order: QAM points. rate: code rate. repeat: each coded symbol is sent so often (for the lowest SNRs)."""

    name: str
    order: int
    rate: float
    repeat: int = 1

    @property
    def bits_per_symbol(self) -> int:
        """log2 of the QAM order."""
        return self.order.bit_length() - 1

    @property
    def efficiency(self) -> float:
        """Coded information bits per channel use, CRC included."""
        return self.bits_per_symbol * self.rate / self.repeat

    def coded_bits(self, symbols: int) -> int:
        """Bits of the code word n."""
        return symbols // self.repeat * self.bits_per_symbol

    def crc(self, symbols: int) -> int:
        """CRC bits: 24 for long blocks, else 16."""
        return 24 if self.rate * self.coded_bits(symbols) - 24 >= LONG_CRC_FROM else 16

    def information_bytes(self, symbols: int) -> int:
        """Payload bytes of one block; 0 when a block of that size cannot exist."""
        room = int(self.rate * self.coded_bits(symbols) + 1e-9) - self.crc(symbols)
        return max(0, room // 8) if room + self.crc(symbols) <= MAX_INFORMATION else 0

    def block_sizes(self) -> tuple[int, ...]:
        """Possible block sizes in channel uses, largest first."""
        return tuple(s for s in BLOCK_SYMBOLS if self.information_bytes(s) >= 1)


def _scheme(order: int, rate: float, repeat: int = 1) -> Mcs:
    family = "qpsk" if order == 4 else f"{order}qam"
    return Mcs(f"{family}-{rate:.2f}" + (f"x{repeat}" if repeat > 1 else ""), order, rate, repeat)


TABLE = (  # about 0.5 dB apart, finer than the tables of 3GPP TS 38.214, so that no codec wins by its SNR's luck
    _scheme(4, 0.25, repeat=2),
    *(_scheme(4, r) for r in (0.25, 0.28, 0.31, 0.34, 0.38, 0.41, 0.44, 0.47, 0.50, 0.54, 0.58, 0.62, 0.65, 0.70)),
    *(_scheme(16, r) for r in (0.37, 0.40, 0.42, 0.45, 0.47, 0.50, 0.53, 0.57, 0.59, 0.62, 0.65, 0.69, 0.72, 0.75)),
    *(_scheme(64, r) for r in (0.53, 0.55, 0.58, 0.60, 0.63, 0.67, 0.69, 0.71, 0.73, 0.75, 0.80, 0.85)),
    *(_scheme(256, r) for r in (0.70, 0.75, 0.80, 0.90)),
)
PROTECTION = {"robust": "qpsk-0.25", "normal": "qpsk-0.50", "payload": "16qam-0.50"}


def get(name: str) -> Mcs:
    """The scheme of that name; SemlinkError that lists the known ones."""
    for scheme in TABLE:
        if scheme.name == name:
            return scheme
    raise SemlinkError(unknown("MCS", name, tuple(scheme.name for scheme in TABLE)))
