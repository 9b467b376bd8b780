"""Training of `denoising_reuse`: its transform on examples of `cvsc`, then its selector on what each step would give.

The selector's label of a frame is the least number of calls whose LPIPS is within 5 % of the whole chain's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Generator, Tensor
from tqdm import tqdm

from semlink.codecs._diffusion.levels import alphas
from semlink.codecs.video._restoration_pipeline import RestorationPipeline, Seen
from semlink.codecs.video._restoration_training import SNRS, Examples, levels_about
from semlink.codecs.video._restorers import NOTHING
from semlink.codecs.video._reuse_networks import MOST, ReuseNetworks, features
from semlink.codecs.video._start import Start
from semlink.simulator.metrics.lpips import lpips_loss
from semlink.simulator.training.run import Budget, Run

WHOLE = 16  # steps of the whole chain
WITHIN = 1.05  # of its LPIPS
FITS, RATE, CALL = 600, 3e-3, 0.05  # steps of the selector's training, Adam's rate, price of a call in its weights


class ReuseRun(Run):
    """A training run. labelled: frames with their starts, for the selector. pipeline: that of `cvsc`."""

    snrs = SNRS

    def __init__(
        self,
        network: ReuseNetworks,
        examples: Examples,
        labelled: list[tuple[Start, Tensor]],
        pipeline: RestorationPipeline,
        crop: int,
        budget: Budget,
        folder: Path,
    ) -> None:
        super().__init__(network, budget, folder)
        self.examples, self.labelled, self.pipeline, self.crop = examples, labelled, pipeline, crop
        self.right = float("nan")

    def batch_loss(self, generator: Generator) -> Tensor:
        """Logarithm of the squared error of moved states, of which the guess is the clean part."""
        seen, frame, start = self.examples.drawn(self.budget.batch, self.crop, generator)
        alpha = levels_about(start, torch.zeros(len(start), dtype=torch.bool), generator)
        return transform_error(self.network, seen, frame, alpha).log().mean()

    @torch.no_grad()
    def levels(self, quick: bool) -> Mapping[str, float]:
        """Error of states of labelled frames after and before the transform, and how often the selector is right."""
        starts, frames = [start for start, _ in self.labelled], torch.cat([frame for _, frame in self.labelled])
        seen, alpha = Seen.of(starts, 1), torch.tensor([start.alpha for start in starts])
        after = transform_error(self.average, seen, 2 * frames - 1, alpha)
        before = (seen.guess / 2 + 0.5 - frames).square().mean((1, 2, 3)) * 4
        return {"error": float(after.mean()), "error_before": float(before.mean()), "selector_right": self.right}

    def complete(self) -> Mapping[str, float]:
        """Train the transform until the budget is spent, then the selector; how good both are in the end."""
        self.spend()
        told = torch.cat([features(start) for start, _ in self.labelled])
        found = [label(pair, self.pipeline, self.average) for pair in tqdm(self.labelled, desc="labels")]
        self.right = fit(self.average, told, torch.tensor(found))
        levels = self.levels(quick=False)
        self.save(levels)
        return levels


def transform_error(network: ReuseNetworks, seen: Seen, frame: Tensor, alpha: Tensor) -> Tensor:
    """Squared error `[batch]` of the clean part of states that the transform has mended."""
    share = alpha[:, None, None, None]
    noise = (1 - share).sqrt() * torch.randn(frame.shape)
    found = network.motion(share.sqrt() * seen.guess + noise, seen.guess, seen.planes, alpha)
    return ((found - noise) / share.sqrt() - frame).square().mean((1, 2, 3))


@torch.no_grad()
def label(pair: tuple[Start, Tensor], pipeline: RestorationPipeline, network: ReuseNetworks) -> int:
    """Calls that are enough for a frame `[1, 3, H, W]`."""
    start, frame = pair
    draws = Generator().manual_seed(0)
    whole = pipeline([start], NOTHING, WHOLE, draws)
    target = WITHIN * float(lpips_loss(whole.frames, frame, "alex"))
    steps = sorted(whole.states)
    return next((n for n, lpips in enumerate(tries(start, frame, pipeline, network, steps)) if lpips <= target), MOST)


def tries(
    start: Start, frame: Tensor, pipeline: RestorationPipeline, network: ReuseNetworks, steps: list[int]
) -> Iterable[float]:
    """LPIPS of a frame after 0, 1, ... MOST calls."""
    yield float(lpips_loss(start.guess, frame, "alex"))
    table, draws = alphas(pipeline.scheduler), Generator().manual_seed(1)
    for calls in range(1, MOST + 1):
        alpha = float(table[steps[calls - 1]])
        noise = torch.randn(frame.shape, generator=draws)
        state = network.transform(alpha**0.5 * (2 * start.guess - 1) + (1 - alpha) ** 0.5 * noise, start, alpha)
        yield float(lpips_loss(pipeline([start], alpha, calls, draws, state=state).frames, frame, "alex"))


def fit(network: ReuseNetworks, told: Tensor, labels: Tensor) -> float:
    """Train the selector; share of labels that it then gives. Rare labels weigh more, dear ones less."""
    selector = network.selector.requires_grad_(True)
    counts = torch.bincount(labels, minlength=MOST + 1).float()
    weights = (1 - CALL * torch.arange(MOST + 1)) / (counts + 1).sqrt()
    optimizer = torch.optim.Adam(selector.parameters(), RATE)
    for _ in range(FITS):
        optimizer.zero_grad()
        loss = F.cross_entropy(selector(told), labels, weights)
        loss.backward()
        optimizer.step()
    selector.requires_grad_(False)
    return float((selector(told).argmax(1) == labels).float().mean())
