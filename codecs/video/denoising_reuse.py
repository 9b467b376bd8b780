"""Anchors and motion as in `cvsc`; frames go on from their anchor's noisy states instead of from noise.

A re-implementation from the published description of Dr. Mo (Wang et al., IEEE TCSVT 35(9), 2025; arXiv 2409.12532),
which generates video and sends nothing: here motion and anchors are what `cvsc` sends.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from semlink.codecs.video._anchored import AnchoredCodec, Settings
from semlink.codecs.video._clock import Price
from semlink.codecs.video._controller import Controller
from semlink.codecs.video._restorers import weight_file
from semlink.codecs.video._reuse import Reuse
from semlink.codecs.video._reuse_networks import SHIPPED
from semlink.codecs.video._timing import Timing
from semlink.simulator.errors import SemlinkError

TRANSFORMS = ("warp", "learned")


class DenoisingReuse(AnchoredCodec):
    """Settings of `cvsc`, and: steps: of an anchor's whole chain. transform: how states are moved and where frames go
    on: "warp", as pictures are, from the step that the error asks for, or "learned", by networks. learned: their file.
    """

    def __init__(
        self,
        rho: float = 1 / 48,
        controller: Literal["fixed", "cut", "threshold", "none", "regret", "regret2"] | None = "regret2",
        gop: int = 16,
        anchor: str = "adjscc",
        anchor_rho: float = 1 / 12,
        control: bool = True,
        mcs: str | None = None,
        nack: bool = True,
        steps: int = 16,
        transform: str = "warp",
        weights: str | Path | None = None,
        learned: str | Path | None = None,
        seed: int = 0,
        profile: Literal["conversational", "interactive"] | float | None = None,
        clock: Literal["wall", "simulated"] = "simulated",
        step_ms: float = 0.0,
        fixed_ms: float = 0.0,
        spike: str = "",
    ) -> None:
        if transform not in TRANSFORMS or not 1 <= steps <= 1000:
            raise SemlinkError(f"transform={transform}, steps={steps}: give {' or '.join(TRANSFORMS)}, 1 to 1000 steps")
        networks = Path(learned).expanduser() if learned else SHIPPED if transform == "learned" else None
        settings = Settings(rho, Controller.of(controller, gop), anchor, anchor_rho, control, mcs, nack)
        timing = Timing(profile, clock, Price.of(step_ms, fixed_ms, spike))
        super().__init__(settings, Reuse(weight_file(weights), networks, steps, seed), timing)


PLUGIN = DenoisingReuse
