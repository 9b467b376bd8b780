"""Whose is which colour and marker: a codec looks the same in every figure, whatever is drawn beside it.

A look is a function of the label alone. A codec by itself has one of `OWN`; its variants (`adjscc:weights=mine`) keep
its colour, lighter or darker, with another marker; any other label takes a colour by its hash. Only where two labels of
one figure would look alike, or two families would share a colour, or nearly, the later one in the alphabet moves on.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from typing import NamedTuple, TypeVar

Choice = TypeVar("Choice")

COLOURS = (  # Okabe and Ito's, safe for the colour-blind, then Tol's muted ones, which are nearly so
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C6D31",
    "#882255", "#332288", "#44AA99", "#999933", "#661100", "#777777", "#AA4499", "#117733",
)  # fmt: skip
MARKERS = "os^DvPX*<>phd8"
LEAST = 60.0  # between the colours of two codecs, as a distance of red, green and blue: nearer ones look alike
SHADES = (0.0, 0.35, -0.4)  # towards white, and towards black
LUMA, DARK = (0.299, 0.587, 0.114), 75  # of 255: darker ones would be as good as black


class Look(NamedTuple):
    """A colour, as `#rrggbb`, and a marker of matplotlib."""

    colour: str
    marker: str


OWN = {
    "digital": Look("#D55E00", "o"),
    "semlink": Look("#0072B2", "s"),
    "adjscc": Look("#009E73", "^"),
    "sgd_jscc": Look("#CC79A7", "D"),
    "digital_capacity": Look("#E69F00", "p"),
    "deepjscc": Look("#56B4E9", "v"),
    "swinjscc": Look("#000000", "X"),
    "roi_jscc": Look("#8C6D31", "P"),
    "ddnm": Look("#882255", "<"),
    "posterior": Look("#332288", ">"),
    "latent_diffusion": Look("#44AA99", "*"),
    "img2img": Look("#999933", "h"),
    "roi_dual": Look("#661100", "d"),
    "cddm": Look("#777777", "8"),
    "spic": Look("#117733", "H"),
    "checkpoint": Look("#AA4499", "o"),
    # video codecs, which share no figure with those of pictures
    "h265": Look("#882255", "<"),
    "h264": Look("#332288", "v"),
    "intra": Look("#CC79A7", "o"),
    "wvsc": Look("#E69F00", "X"),
    "wvsc_d": Look("#009E73", "^"),
    "cmd": Look("#777777", ">"),
    "semmap": Look("#AA4499", "p"),
    "cvsc": Look("#0072B2", "d"),
    "denoising_reuse": Look("#D55E00", "D"),
}


def looks(labels: Iterable[str]) -> dict[str, Look]:
    """The look of each label, all different as far as there are colours and markers; their order does not matter."""
    every = sorted(set(labels), key=lambda label: (label not in OWN, label))
    families = list(dict.fromkeys(map(_family, every)))
    colours = {name: OWN[name].colour for name in families if name in OWN}
    for name in sorted(set(families) - colours.keys()):
        colours[name] = _free(_turned(COLOURS, name), colours.values())
    found: dict[str, Look] = {}
    for label in every:
        wanted = list(_candidates(label, colours[_family(label)]))
        others = [own.colour for other, own in found.items() if _family(other) != _family(label)]
        plain = [own for own in wanted if label in OWN or all(_apart(own.colour, other) > LEAST for other in others)]
        found[label] = _free([*plain, *wanted], found.values())
    return found


def look(label: str) -> Look:
    """The look of a label by itself."""
    return looks((label,))[label]


def _candidates(label: str, colour: str) -> Iterator[Look]:
    """What a label may look like, the best first."""
    if label in OWN:
        yield OWN[label]
    own, *others = SHADES
    shades = SHADES if label == _family(label) else (*_turned(others, label), own)
    yield from (Look(_shaded(colour, shade), marker) for marker, shade in product(_turned(MARKERS, label), shades))


def _family(label: str) -> str:
    """The codec of a word, or the whole of another label."""
    return label.partition(":")[0]


def _free(wanted: Sequence[Choice], taken: Iterable[Choice]) -> Choice:
    """The first that is not taken; the first of all when there is none."""
    held = set(taken)
    return next((choice for choice in wanted if choice not in held), wanted[0])


def _turned(choices: Sequence[Choice], label: str) -> list[Choice]:
    """The choices in a circle, from the label's own on."""
    start = int.from_bytes(hashlib.sha256(label.encode()).digest()[:8]) % len(choices)
    return [*choices[start:], *choices[:start]]


def _apart(one: str, other: str) -> float:
    """How far two colours `#rrggbb` are from each other."""
    return math.dist(_parts(one), _parts(other))


def _parts(colour: str) -> list[int]:
    """Red, green and blue, 0 to 255."""
    return [int(colour[i : i + 2], 16) for i in (1, 3, 5)]


def _shaded(colour: str, shade: float) -> str:
    """A colour mixed with so much white, or black where that is negative; what is dark is only made lighter."""
    parts = _parts(colour)
    if shade < 0 and sum(share * part for share, part in zip(LUMA, parts, strict=True)) < DARK:
        shade = 0.2 - shade
    mixed = [p + (255 - p) * shade if shade > 0 else p * (1 + shade) for p in parts]
    return "#" + "".join(f"{round(p):02X}" for p in mixed)
