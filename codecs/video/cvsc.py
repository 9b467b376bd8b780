"""Anchors, motion and rough colours, and a short diffusion that starts from the moved anchor.

A re-implementation from the published description of CVSC (Eteke et al., ICIP 2025), with sizes of our own: reference
frames, motion straight to them or accumulated, chosen per frame; the moved reference, at a noise level that its error
asks for, is the start of a short reverse diffusion under a semantic control (`_control`). When an anchor is renewed, a
controller decides frame by frame; the fixed period of the description is `controller=fixed`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from semlink.codecs.video._anchored import AnchoredCodec, Settings
from semlink.codecs.video._clock import Price
from semlink.codecs.video._controller import Controller
from semlink.codecs.video._restorers import chain_of, generated
from semlink.codecs.video._timing import Timing


class Cvsc(AnchoredCodec):
    """controller: "fixed", "cut", "threshold", "none", "regret" or "regret2". gop: of "fixed".

    anchor: word of the picture codec of anchors; settings are separated by semicolons. anchor_rho: its rate. control:
    rough colours are told where motion fails. mcs: of motion and control, always, instead of the fastest that surely
    arrives. nack: a lost anchor is told back, which is charged.

    steps: network calls of a frame at most; 0 shows the moved anchor as it is. start: "short", at the noise that its
    error asks for, or "full", from pure noise. weights: file or folder of the network. generator: instead of it
    "sd_turbo", "lcm" or a folder or hub id of Stable Diffusion's kind, with vae "taesd" or its own, shown frames that
    are enlarged so many times. profile: "none",
    "conversational" (150 ms), "interactive" (50 ms) or milliseconds that a frame may take: steps are left out for it.
    clock: "wall" or "simulated", where a call costs step_ms, all else of a frame fixed_ms, and spike=20-40x3 makes
    calls in these frames three times as dear.
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
        steps: int = 1,
        start: Literal["short", "full"] = "short",
        weights: str | Path | None = None,
        generator: str = "",
        vae: str = "",
        enlarged: int = 4,
        seed: int = 0,
        profile: Literal["conversational", "interactive"] | float | None = None,
        clock: Literal["wall", "simulated"] = "simulated",
        step_ms: float = 0.0,
        fixed_ms: float = 0.0,
        spike: str = "",
    ) -> None:
        settings = Settings(rho, Controller.of(controller, gop), anchor, anchor_rho, control, mcs, nack)
        timing = Timing(profile, clock, Price.of(step_ms, fixed_ms, spike))
        chain = generated(generator, vae, enlarged, steps, seed) if generator else chain_of(steps, start, weights, seed)
        super().__init__(settings, chain, timing)


PLUGIN = Cvsc
