"""The guides as streams: which are asked for, the channel uses of each."""

from __future__ import annotations

from semlink.simulator.bits import framing
from semlink.simulator.bits.mcs import Mcs
from semlink.simulator.errors import SemlinkError

GUIDES = ("edges", "tag")
NEEDED = {"edges": 5, "tag": 1}  # bytes at least; edge maps of fewer tell nothing
BLOCK = 128  # uses: a guide is lost with any of its blocks, and shorter ones are lost more often


def check_guidance(guidance: str | None) -> tuple[str, ...]:
    """The guides that a word asks for, in the order of GUIDES. SemlinkError for unknown ones."""
    asked = () if guidance in (None, "none") else guidance.split("/")
    if not set(asked) <= set(GUIDES):
        raise SemlinkError(f"unknown guidance {guidance!r}; known: none, {', '.join(GUIDES)}, {'/'.join(GUIDES)}")
    return tuple(name for name in GUIDES if name in asked)


def uses_of(guidance: tuple[str, ...], spare: int, mcs: Mcs) -> dict[str, int]:
    """Channel uses of each of these guides, of `spare` in all; those that would have too few to tell anything go."""
    tag = BLOCK if spare >= BLOCK else BLOCK // 2
    edges = max(0, spare - tag) // BLOCK * BLOCK
    edges = edges if framing.blocks_in(edges, mcs) else 0
    uses = {"edges": edges, "tag": tag if spare >= tag else 0}
    return {name: uses[name] for name in guidance if framing.room(uses[name], mcs) >= NEEDED[name]}
