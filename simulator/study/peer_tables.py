"""Tables of `experiments/bench_peers.py` as Markdown, for a screen and for docs/results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from semlink.simulator.study.markdown import table


def peer_tables(found: Mapping[str, Any]) -> str:
    """One table a comparison, of what peers.json holds."""
    blocks = [_speeds("OFDM link over TDL", "Sionna XLA", found["link"])]
    for channel, sides in found["codec"].items():
        blocks.append(_speeds(f"codec over {channel}", "Kaira", sides))
    if found["psnr"]:
        blocks.append(_psnr(found["psnr"]))
    return "\n".join(blocks)


def _speeds(title: str, base: str, sides: Mapping[str, Any]) -> str:
    head = (title, "CPU ms", f"speed over {base} (least, most)", "on the clock")
    return table(
        head,
        [(name, f"{x['cpu_ms']:.3g}", _spread(x["speed"]), _spread(x["speed_on_clock"])) for name, x in sides.items()],
    )


def _spread(x: Mapping[str, float]) -> str:
    return f"{x['median']:.2f} ({x['least']:.2f}, {x['most']:.2f})"


def _psnr(channels: Mapping[str, Any]) -> str:
    snrs = [f"{row['snr_db']:g} dB" for row in next(iter(channels.values()))]
    rows = [(name, *(f"{x['mean']:+.2f} ± {1.96 * x['error']:.2f}" for x in own)) for name, own in channels.items()]
    return table(("PSNR of semlink minus Kaira's, dB", *snrs), rows)
