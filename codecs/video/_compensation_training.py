"""Training of `wvsc_d`'s networks beside a codec that stays as it is, on clips over the surrogate channel.

Both networks of noise learn the clean semantic frame, weighted to unit variance at each level; the last one learns the
squared error of pixels and LPIPS on VGG-16, of semantic frames as one step of the others finds them. LPIPS on AlexNet,
which experiments report, has no part in it: a network trained on it learned a pattern of single pixels. Squared error
alone gains nothing over `wvsc`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Generator, Tensor

from semlink.codecs._diffusion.networks import make_scheduler
from semlink.codecs.video._clip_source import ClipSource
from semlink.codecs.video._compensation import (
    CompensationNetwork,
    NoiseNetwork,
    noise_in,
    noisy,
    semantics,
    shares,
    without_base,
)
from semlink.codecs.video._compensation_pipeline import LEVELS, SHARE, STEPS, CompensationPipeline
from semlink.codecs.video._semantic import SemanticNetwork
from semlink.codecs.video._semantic_training import AHEAD, RATES, Frame, Way, planned, seen_motion
from semlink.simulator.metrics.lpips import lpips_loss
from semlink.simulator.training.channels import Surrogate
from semlink.simulator.training.run import Budget, Run, step_generator

SNRS = (-3.0, 15.0)  # dB
SHARES = (0.0, SHARE, SHARE, 1.0)  # of the base: alone, beside, and none of it
FLOOR = 2e-4  # of the error: 37 dB are good enough
PERCEPTUAL, LOOKED_AT = 1.0, 4  # weight of LPIPS against the logarithm of squared error; frames a step that it sees
HELD_OUT = (0.0, 5.0)  # dB, at rho 1/48
REUSED = 3  # steps that see the same clips, at levels and with noise of their own
PLAIN = 0.15  # share of clips whose last network sees semantic frames without diffusion


@dataclass(frozen=True)
class Decoded:
    """Clips `[batch, frames, 3, H, W]`: as they were, as `wvsc` shows them, and the mean `a` `[batch, frames]`."""

    clips: Tensor
    frames: Tensor
    heard: Tensor


class CompensationRun(Run):
    """codec: the semantic network, which is not trained. held_out: clips in [0, 1], `[clips, frames, 3, H, W]`."""

    snrs = SNRS

    def __init__(
        self,
        codec: SemanticNetwork,
        source: ClipSource,
        held_out: Tensor,
        side: int,
        frames: int,
        network: CompensationNetwork,
        budget: Budget,
        folder: Path,
    ) -> None:
        self.codec, self.source, self.side, self.frames = codec.requires_grad_(False), source, side, frames
        uses = int(held_out[0, 0].numel() / 48)
        plans, channel = [Frame(uses)] * held_out.shape[1], Surrogate(0, 0, 0)
        self.held = {
            snr_db: decoded(codec, held_out, torch.full((len(held_out),), snr_db), plans, channel, Generator(), 0)
            for snr_db in HELD_OUT
        }
        self._seen: tuple[int, Decoded] | None = None
        super().__init__(network, budget, folder)

    def batch_loss(self, generator: Generator) -> Tensor:
        """Of a random batch of groups, the first frame of each the reference."""
        if self._seen is None or self._seen[0] != self.step // REUSED:
            draws = step_generator(self.budget.seed, -2 - self.step // REUSED, "cpu")
            self._seen = self.step // REUSED, self._drawn(draws)
        share = SHARES[int(torch.randint(len(SHARES), (1,), generator=generator))]
        return losses(self.network, self.codec, self._seen[1], share, generator)

    def _drawn(self, generator: Generator) -> Decoded:
        rng = np.random.default_rng(int(torch.randint(1 << 31, (1,), generator=generator)))
        ahead = int(rng.integers(AHEAD + 1))
        count = ahead + self.frames
        clips = torch.stack([self.source.draw(rng, count, self.side) for _ in range(self.budget.batch)])
        rho = float(np.exp(rng.uniform(*np.log(RATES))))
        plans = [replace(plan, lost=False) for plan in planned(rng, count, rho * clips[0, 0].numel())]
        snr_db = SNRS[0] + (SNRS[1] - SNRS[0]) * torch.rand(len(clips), generator=generator)
        return decoded(self.codec, clips, snr_db, plans, Surrogate(), generator, ahead)

    @torch.no_grad()
    def levels(self, quick: bool) -> Mapping[str, float]:
        """PSNR and LPIPS of held-out clips, before and after."""
        network = self.average
        pipeline = CompensationPipeline(network.base, network.residual, network.synthesis, make_scheduler("sample"))
        found = {}
        for snr_db, seen in self.held.items():
            shown, plain = [], []
            for frames, heard in zip(seen.frames, seen.heard, strict=True):
                own = semantics(self.codec, frames)
                shown.append(pipeline(frames, own, heard, STEPS, SHARE, Generator().manual_seed(0)).frames)
                plain.append(pipeline.shown(frames, own, own, heard))
            ways = {"": torch.stack(shown), "_before": seen.frames, "_without_diffusion": torch.stack(plain)}
            for name, own in ways.items():
                error = (own - seen.clips).square().mean((2, 3, 4))
                found[f"psnr{name}_at_{snr_db:g}_db"] = float(-10 * error.clamp_min(1e-10).log10().mean())
                for net in ("alex",) if quick else ("alex", "vgg"):
                    eyes = lpips_loss(own[:, ::4].flatten(0, 1), seen.clips[:, ::4].flatten(0, 1), net)
                    found[f"lpips_{net}{name}_at_{snr_db:g}_db"] = float(eyes.mean())
        return found


@torch.no_grad()
def decoded(
    codec: SemanticNetwork,
    clips: Tensor,
    snr_db: Tensor,
    plans: list[Frame],
    channel: Surrogate,
    generator: Generator,
    ahead: int,
) -> Decoded:
    """Clips over the channel, without their first `ahead` frames."""
    way, motions, ends, frames, heard = Way(codec, snr_db, channel, generator), seen_motion(clips), None, [], []
    for t, plan in enumerate(plans):
        shown, ends = way.carried(clips[:, t : t + 1], motions[t : t + 1], [plan], ends)
        frames.append(shown[:, 0].clamp(0, 1))
        heard.append(cast(Tensor, ends.heard))
    return Decoded(clips[:, ahead:], torch.stack(frames[ahead:], 1), torch.stack(heard[ahead:], 1))


def losses(
    network: CompensationNetwork, codec: SemanticNetwork, seen: Decoded, share: float, generator: Generator
) -> Tensor:
    """Of all three networks, at one level for each clip."""
    batch, count = seen.clips.shape[:2]
    with torch.no_grad():
        x0, held = (semantics(codec, frames.flatten(0, 1)).unflatten(0, (batch, count)) for frames in
                    (seen.clips, seen.frames))  # fmt: skip
    alpha = LEVELS[0] + (LEVELS[1] - LEVELS[0]) * torch.rand(batch, generator=generator)
    common = torch.randn(x0[:, 0].shape, generator=generator)
    state = noisy(x0[:, 0], alpha, common)
    reference, first = answered(network.base, state, alpha, 1 - alpha, x0[:, 0], held[:, 0], seen.heard[:, 0])
    base = noise_in(state, reference.detach(), alpha)

    own = torch.randn(x0[:, 1:].shape, generator=generator)
    noise = (share**0.5 * common[:, None] + (1 - share) ** 0.5 * own).flatten(0, 1)
    each = alpha.repeat_interleave(count - 1)
    target, before, heard = x0[:, 1:].flatten(0, 1), held[:, 1:].flatten(0, 1), seen.heard[:, 1:].flatten()
    left, power = without_base(noisy(target, each, noise), base.repeat_interleave(count - 1, 0), each, share)
    following, rest = answered(network.residual, left, each, power, target, before, heard)

    found = torch.cat([reference[:, None], following.unflatten(0, (batch, count - 1))], 1).detach().flatten(0, 1)
    plain = (torch.rand(batch, generator=generator) < PLAIN).repeat_interleave(count)[:, None, None, None]
    found = torch.where(plain, held.flatten(0, 1), found)
    frames, wanted = seen.frames.flatten(0, 1), seen.clips.flatten(0, 1)
    shown = network.synthesis(frames, held.flatten(0, 1), found, seen.heard.flatten())
    error = (shown - wanted).square().mean((1, 2, 3))
    looked = torch.randperm(len(shown), generator=generator)[:LOOKED_AT]
    eyes = lpips_loss(shown[looked], wanted[looked], "vgg").mean()
    return first.mean() + rest.mean() + (error + FLOOR).log().mean() + PERCEPTUAL * eyes


def answered(
    network: NoiseNetwork, state: Tensor, alpha: Tensor, power: Tensor, x0: Tensor, held: Tensor, heard: Tensor
) -> tuple[Tensor, Tensor]:
    """A network's x0, and its squared error weighted to unit variance `[batch]`; 0 where there is no noise to find."""
    found = network(state, alpha, power, held, heard)
    taken = shares((power / alpha).sqrt())[1].clamp_min(0.05)
    return found, (found - x0).square().mean((1, 2, 3)) / taken.square() * (power > 0)
