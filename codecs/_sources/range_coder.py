"""A binary range coder: decisions with given odds as the shortest bytes, and any bytes as decisions.

Payloads have no zero bytes at their end; the decoder puts them back.
"""

from __future__ import annotations

WHOLE, LEAST = 1 << 32, 1 << 24


class RangeEncoder:
    """Narrows an interval by every decision."""

    def __init__(self) -> None:
        self._low, self._span, self._size = 0, WHOLE, 4

    def code(self, bit: int, zero: int, one: int) -> int:
        """Take down a decision whose odds are zero to one, both at least 1; the decision."""
        cut = self._span * zero // (zero + one)
        self._low, self._span = (self._low + cut, self._span - cut) if bit else (self._low, cut)
        while self._span < LEAST:
            self._low, self._span, self._size = self._low << 8, self._span << 8, self._size + 1
        return bit

    def finish(self) -> bytes:
        """The shortest number within the interval."""
        rounded = (-(-self._low >> zeros) << zeros for zeros in range(8 * self._size, -1, -1))
        number = next(n for n in rounded if n < self._low + self._span)
        return number.to_bytes(self._size, "big").rstrip(b"\0")


class RangeDecoder:
    """Follows the interval."""

    def __init__(self, payload: bytes) -> None:
        self._data = iter(payload[4:])
        self._value, self._span = int.from_bytes(payload[:4].ljust(4, b"\0"), "big"), WHOLE

    def code(self, zero: int, one: int) -> int:
        """The next decision, given its odds."""
        cut = self._span * zero // (zero + one)
        bit = int(self._value >= cut)
        self._value, self._span = (self._value - cut, self._span - cut) if bit else (self._value, cut)
        while self._span < LEAST:
            self._value, self._span = self._value << 8 | next(self._data, 0), self._span << 8
        return bit
