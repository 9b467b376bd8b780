"""Denoising reuse: a frame goes on from its anchor's own noisy state, moved, instead of from noise.

After Dr. Mo (Wang et al., IEEE TCSVT 35(9), 2025; arXiv 2409.12532), whose networks and equations are not published:
the anchor's whole chain is run once and its states are kept; a frame moves one of them, the later the less is off, and
only the rest of the chain is run for it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from semlink.codecs._diffusion.levels import alphas
from semlink.codecs._learned.shipped import local
from semlink.codecs.video._anchored_receiver import Held
from semlink.codecs.video._motion import moved
from semlink.codecs.video._pace import REPEAT, WARP, Watch
from semlink.codecs.video._restorers import NOTHING, drawn, pipeline_of
from semlink.codecs.video._reuse_networks import ReuseNetworks, features, networks_of
from semlink.codecs.video._start import Start


@dataclass(frozen=True)
class Reuse:
    """steps: of an anchor's chain. learned: file of the motion transform and the step selector; None: states are moved
    as pictures are, and the step follows from the error.
    """

    path: Path
    learned: Path | None
    steps: int
    seed: int

    def files(self) -> tuple[Path, ...]:
        """Of the networks."""
        return local(self.path, self.learned)

    def check(self) -> None:
        """SemlinkError for missing or wrong weights."""
        pipeline_of(str(self.path))
        self.networks()

    def networks(self) -> ReuseNetworks | None:
        """Transform and selector, where they are learned."""
        return networks_of(str(self.learned)) if self.learned else None

    def begun(self, start: Start, anchor: Held, watch: Watch) -> tuple[Tensor | None, int, Held]:
        """The anchor's whole chain, whose states are kept."""
        plan = watch.plan(self.steps)
        if plan.kind == REPEAT:
            return None, 0, anchor
        if plan.kind == WARP:
            return start.guess, 0, anchor
        draws = drawn(self.seed, anchor)
        found = pipeline_of(str(self.path))([start], NOTHING, plan.steps, draws, may_go=watch.may_go)
        return found.frames, found.steps, replace(anchor, shown=found.frames, states=found.states)

    def restored(self, start: Start, anchor: Held, watch: Watch) -> tuple[Tensor | None, int]:
        """The rest of the chain from the state that is moved."""
        steps = sorted(anchor.states)
        plan = watch.plan(self.calls(start, anchor, steps))
        if plan.kind == REPEAT:
            return None, 0
        if plan.kind == WARP or plan.steps == 0 or anchor.shown is None:
            return start.of(anchor.picture if anchor.shown is None else anchor.shown), 0
        pipeline, step = pipeline_of(str(self.path)), steps[plan.steps - 1]
        alpha = float(alphas(pipeline.scheduler)[step])
        draws = drawn(self.seed + 1, anchor)
        state = moved_state(start, anchor.states[step], anchor.shown, alpha, draws)
        networks = self.networks()
        if networks:
            state = networks.transform(state, start, alpha)
        found = pipeline([start], alpha, plan.steps, draws, state=state, may_go=watch.may_go)
        return found.frames, found.steps

    def calls(self, start: Start, anchor: Held, steps: list[int]) -> int:
        """Network calls of a frame: the state to begin with is the clearest that holds as much noise as is off."""
        networks = self.networks()
        if networks:
            return min(networks.selector.chosen(features(start)), len(steps))
        if not start.worth:
            return 0
        table = alphas(pipeline_of(str(self.path)).scheduler)
        enough = [number for number, step in enumerate(steps, 1) if float(table[step]) <= start.alpha]
        return min(enough, default=len(steps))


def moved_state(start: Start, state: Tensor, shown: Tensor, alpha: float, generator: Generator) -> Tensor:
    """A frame's state `[1, 3, H, W]` with signal share alpha of its anchor's, of which `shown` is the clean part."""
    signal, noise = alpha**0.5, (1 - alpha) ** 0.5
    own = (state - signal * (2 * shown - 1)) / noise
    return signal * (2 * start.of(shown) - 1) + noise * moved_noise(own, start.flow, generator)


def moved_noise(noise: Tensor, flow: Tensor, generator: Generator) -> Tensor:
    """White noise `[1, C, H, W]` moved by a flow in px; new noise makes up for what interpolation takes away."""
    height, width = noise.shape[2:]
    fine = F.interpolate(flow, (height, width), mode="bilinear", align_corners=False)
    part = fine - fine.floor()
    left = (1 - 2 * part * (1 - part)).prod(1, keepdim=True)  # sum of the squared weights of four neighbours
    fresh = torch.randn(noise.shape, generator=generator)
    return moved(noise, flow) + (1 - left).sqrt() * fresh
