"""What `denoising_reuse` learns: a transform that mends a moved state, and a selector of the step to go on from.

Sizes and losses are ours: those of Dr. Mo (arXiv 2409.12532) are not published.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semlink.codecs._learned.modulated import ModulatedStack
from semlink.codecs._learned.shipped import WEIGHTS
from semlink.codecs._learned.weights import read_weights, rebuilt
from semlink.codecs.video._start import PLANES, Start
from semlink.simulator import forms
from semlink.simulator.errors import SemlinkError

SHIPPED = WEIGHTS / "denoising_reuse.safetensors"
CELL, PIXELS = 4, 48  # px of a cell of the transform, and its numbers
FEATURES, MOST = 6, 4  # of the selector, and calls that it may choose


class MotionTransform(nn.Module):
    """A moved state's residual, with the guess and what is told of its motion beside it."""

    def __init__(self, width: int = 48, blocks: int = 2) -> None:
        super().__init__()
        self.stack = ModulatedStack(2 * PIXELS + PLANES * CELL**2, PIXELS, width, blocks)
        for zero in (*self.stack.last.parameters(), *self.stack.linear.parameters()):
            nn.init.zeros_(zero)

    def forward(self, state: Tensor, guess: Tensor, planes: Tensor, alpha: Tensor) -> Tensor:
        """The state `[batch, 3, H, W]` with signal share alpha `[batch]` that the frame itself would have with this
        noise. guess: in [-1, 1].
        """
        height, width = state.shape[2:]
        padding = (0, -width % CELL, 0, -height % CELL)
        seen = torch.cat([F.pad(each, padding, mode="replicate") for each in (state, guess, planes)], 1)
        change = F.pixel_shuffle(self.stack(F.pixel_unshuffle(seen, CELL), forms.snr_db(alpha, 1e-3)), CELL)
        return state + alpha.sqrt()[:, None, None, None] * change[..., :height, :width]


class StepSelector(nn.Module):
    """Scores of 0 to MOST calls from what is known of a frame."""

    def __init__(self, hidden: int = 32) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(FEATURES, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, MOST + 1)
        )

    def forward(self, told: Tensor) -> Tensor:
        """Scores `[batch, MOST + 1]` of features `[batch, FEATURES]`."""
        scores: Tensor = self.layers(told)
        return scores

    def chosen(self, told: Tensor) -> int:
        """Calls for one frame."""
        return int(self(told).argmax())


class ReuseNetworks(nn.Module):
    """Both."""

    def __init__(self, width: int = 48, blocks: int = 2, hidden: int = 32) -> None:
        super().__init__()
        self.settings = {"width": width, "blocks": blocks, "hidden": hidden}
        self.motion, self.selector = MotionTransform(width, blocks), StepSelector(hidden)

    @torch.no_grad()
    def transform(self, state: Tensor, start: Start, alpha: float) -> Tensor:
        """Of one frame."""
        found: Tensor = self.motion(state, 2 * start.guess - 1, start.planes(), torch.tensor([alpha]))
        return torch.where(torch.isfinite(found), found, state)


def features(start: Start) -> Tensor:
    """What the selector knows `[1, FEATURES]`: what is told, how noisy the anchor is, how far and how torn the motion,
    how much was mended, and how rich the frame is in detail.
    """
    height, width = start.guess.shape[2:]
    detail = (start.guess - F.avg_pool2d(start.guess, 3, 1, 1)).square().mean().clamp_min(1e-8)
    told = [
        *start.told()[0, 1:].tolist(),
        float(start.flow.norm(dim=1).mean()) / max(height, width) * 10,
        float(start.planes()[:, -1].mean()),
        float(start.cells.abs().mean()) * 20,
        float(detail.log10()) / 3 + 1,
    ]
    return torch.tensor([told])


@lru_cache(maxsize=2)
def networks_of(path: str) -> ReuseNetworks:
    """Those of a weight file. SemlinkError where there is none."""
    found = Path(path)
    if not found.exists():
        raise SemlinkError(
            f"denoising_reuse: no {found.name}; train with experiments/train_video.py --network denoising_reuse, give "
            "learned=FILE, or transform=warp"
        )
    state, settings = read_weights(found)
    return rebuilt(ReuseNetworks, settings, state, found).requires_grad_(False).eval()
