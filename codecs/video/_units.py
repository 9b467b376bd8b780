"""Coded frames in a packet: mostly one, the frame of its time; several, or a late one, where some were lost or waited.

One by itself is sent as it is. What else there is begins with a byte that no slice begins with: how many coded frames
follow, and whether the last of them is late, each but the last with its length before it.
"""

from __future__ import annotations

from dataclasses import dataclass

from semlink.simulator.bits.framing import prefix, prefixed

SEVERAL, LATE, COUNT = 0x80, 0x40, 0x3F  # of the first byte: the bit that is 0 in every NAL header, a bit, a number


@dataclass(frozen=True)
class Packed:
    """units: coded frames, oldest first. late: whether the last of them is not the frame of this packet's time."""

    units: tuple[bytes, ...]
    late: bool = False


def joined(packed: Packed) -> bytes:
    """The payload of at most COUNT coded frames, none of them empty."""
    if len(packed.units) == 1 and not packed.late:
        return packed.units[0]
    head = bytes([SEVERAL | (LATE if packed.late else 0) | len(packed.units)])
    return head + b"".join(prefix(len(unit)) + unit for unit in packed.units[:-1]) + packed.units[-1]


def parted(payload: bytes) -> Packed | None:
    """The coded frames of a payload that is not empty; None where it is none of `joined`."""
    if not payload[0] & SEVERAL:
        return Packed((payload,))
    rest, units = payload[1:], []
    for _ in range((payload[0] & COUNT) - 1):
        first = prefixed(rest, 3)
        if first is None or not first[0]:
            return None
        units.append(first[0])
        rest = first[1]
    sound = payload[0] & COUNT and rest
    return Packed((*units, rest), bool(payload[0] & LATE)) if sound else None
