"""Which pictures of a set a limit takes: spread over all of it, and more pictures only add to fewer."""

from __future__ import annotations


def spread(count: int) -> tuple[int, ...]:
    """0 to count - 1 in an order whose every beginning is spread evenly over all of them.

    The halves first, then the quarters, ... (van der Corput, 1935): sets lie in order of class, scene or time, and
    their first so many would be a few classes.
    """
    bits = max(count - 1, 1).bit_length()
    reversed_bits = (int(f"{i:0{bits}b}"[::-1], 2) for i in range(1 << bits))
    return tuple(i for i in reversed_bits if i < count)
