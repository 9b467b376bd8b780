"""Bandwidth ratios on the command line: fractions, exact, or rounded numbers."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Annotated

import tyro


def read_rate(text: str) -> float:
    """A rate as a fraction, which is exact, or a number: `1/12`, `0.0833` and `0.08333` all mean 1/12.

    A number that is 1/n to four decimals, or to three or more significant digits of its own (0.167), means 1/n.
    """
    try:
        value = float(Fraction(text))
    except (ValueError, ArithmeticError):
        raise ValueError(f"{text!r} is no rate; write 1/12 or 0.0833") from None
    if "/" in text or not 0 < value <= 1:
        return value
    nearest = 1 / round(1 / value)
    return nearest if abs(nearest - value) < max(6e-5, _half_a_digit(text)) else value


def _half_a_digit(text: str) -> float:
    """How far a number may be from what it was rounded from; 0 when it has fewer than three significant digits."""
    told = Decimal(text).as_tuple()
    return 0.501 * 10.0 ** int(told.exponent) if len(told.digits) >= 3 else 0.0


Rate = Annotated[
    float,
    tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="RHO",
        instance_from_str=lambda words: read_rate(words[0]),
        is_instance=lambda value: isinstance(value, (int, float)),
        str_from_instance=lambda value: [f"{value:.4g}"],
    ),
]
