"""What a codec for regions has its gain from: bandwidth, power and protection by importance, apart and together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from semlink.simulator.analysis.comparison import Entry
from semlink.simulator.plugins import capabilities
from semlink.simulator.study.links import link_word
from semlink.simulator.study.regions import is_uniform
from semlink.simulator.words import Setting, with_settings

POWER: dict[str, Setting] = {"csit": "perfect", "power": "semantic_waterfilling"}
PROTECTION: dict[str, Setting] = {"csit": "perfect", "placement": "importance"}
UNIFORM = "uniform"


def means_apart(codecs: Sequence[str], channel: str) -> list[Entry]:
    """The arms over a channel, `UNIFORM` first: of the first codec that can leave bandwidth alone; [] without one.

    codecs: words. channel: its word; the CSI is lmmse unless it says otherwise.
    """
    able = (word for word in codecs if "bandwidth" in capabilities(word) and not is_uniform(word))
    base = next(able, None)
    if base is None:
        return []
    flat = with_settings(base, bandwidth=False)
    chosen: tuple[tuple[str, str, Mapping[str, Setting]], ...] = (
        (UNIFORM, with_settings(base, importance=None), {}),
        ("bandwidth", base, {}),
        ("power", flat, POWER),
        ("protection", flat, PROTECTION),
        ("all", base, {**POWER, **PROTECTION}),
    )
    return [Entry(name, codec, link_word(channel, "lmmse", link)) for name, codec, link in chosen]
