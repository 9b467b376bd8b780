"""Training of `wvsc`'s network: short clips unrolled through the surrogate channel, at random rates and SNRs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from semlink.codecs.video._clip_source import ClipSource
from semlink.codecs.video._motion import CELL, block_motion, moved
from semlink.codecs.video._semantic import (
    FADING_TRUST,
    SNRS,
    Decoded,
    Held,
    Motion,
    SemanticNetwork,
    new_trust,
    phase_of,
)
from semlink.simulator.training.channels import Surrogate
from semlink.simulator.training.run import Budget, Run
from semlink.simulator.values import Stream, Transmission

RATES = (1 / 192, 1 / 16)  # of a frame, per source dimension
AGAIN, LOST = 0.03, 0.05  # shares of frames, behind the first, that are references early, and that are lost
CONTINUED, AHEAD = 0.7, 10  # share of clips that go on from frames carried before, at most so many
CHANGE_WEIGHT = 0.5  # of the error of the change from frame to frame, so that what moves does move
FLOOR = 2e-4  # of the error: 37 dB are good enough
HELD_OUT = ((10.0, 1 / 48), (0.0, 1 / 48))  # SNR in dB and rate


class SemanticRun(Run):
    """held_out: clips in [0, 1], `[clips, frames, 3, side, side]`."""

    def __init__(
        self,
        source: ClipSource,
        held_out: Tensor,
        side: int,
        frames: int,
        network: SemanticNetwork,
        budget: Budget,
        folder: Path,
    ) -> None:
        self.source, self.held_out = source, held_out
        self.side, self.frames, self.channel = side, frames, Surrogate()
        super().__init__(network, budget, folder)

    def batch_loss(self, generator: Generator) -> Tensor:
        """Mean logarithm of the losses of a random batch of clips, so that still ones count as much as others.

        What the receiver holds at first comes of up to AHEAD frames that are carried without gradients.
        """
        rng = np.random.default_rng(int(torch.randint(1 << 31, (1,), generator=generator)))
        longest = self.source.longest
        most = AHEAD if longest is None else min(AHEAD, longest - self.frames)
        ahead = int(rng.integers(most + 1)) if rng.random() < CONTINUED else 0
        clips = torch.stack([self.source.draw(rng, ahead + self.frames, self.side) for _ in range(self.budget.batch)])
        low, high = np.log(RATES)
        rho = float(np.exp(rng.uniform(low, high)))
        snr_db = SNRS[0] + (SNRS[1] - SNRS[0]) * torch.rand(len(clips), generator=generator)
        way = Way(self.network, snr_db, self.channel, generator)
        plans, motions = planned(rng, ahead + self.frames, rho * clips[0, 0].numel()), seen_motion(clips)
        with torch.no_grad():
            _, held = way.carried(clips[:, :ahead], motions[:ahead], plans[:ahead])
        shown, _ = way.carried(clips[:, ahead:], motions[ahead:], plans[ahead:], held)
        return losses(shown, clips[:, ahead:], motions[ahead:]).log().mean()

    @torch.no_grad()
    def levels(self, quick: bool) -> Mapping[str, float]:
        """PSNR of held-out clips, and of the same with every frame by itself."""
        found = {}
        for snr_db, rho in HELD_OUT[:1] if quick else HELD_OUT:
            mean = rho * self.held_out[0, 0].numel()
            count = self.held_out.shape[1]
            for name, plans in (("psnr", grouped(count, mean)), ("psnr_intra", grouped(count, mean, 1))):
                generator = torch.Generator().manual_seed(0)
                told = torch.full((len(self.held_out),), snr_db)
                way = Way(self.average, told, Surrogate(0, 0, 0), generator, name == "psnr")
                shown, _ = way.carried(self.held_out, seen_motion(self.held_out), plans)
                frames = torch.stack([one.frame for one in shown], 1)
                error = (frames.clamp(0, 1) - self.held_out).square().mean((2, 3, 4))
                found[f"{name}_at_{snr_db:g}_db"] = float(-10 * error.clamp_min(1e-10).log10().mean())
        return found


@dataclass(frozen=True)
class Frame:
    """What happens to a frame. age: since its reference. uses: its symbols. lost: nothing of it arrives."""

    age: int
    uses: int
    lost: bool = False


def planned(rng: np.random.Generator, count: int, mean: float) -> list[Frame]:
    """Random groups at that mean of uses, some frames lost."""
    gop, boost, age = int(rng.integers(4, 33)), rng.uniform(1, 3), 0
    found = []
    for t in range(count):
        age = 0 if t == 0 or age + 1 >= gop or rng.random() < AGAIN else age + 1
        uses = max(1, int(mean * (boost if age == 0 else (gop - boost) / (gop - 1))))
        found.append(Frame(age, uses, t > 0 and rng.random() < LOST))
    return found


def grouped(count: int, mean: float, gop: int = 8) -> list[Frame]:
    """Groups of equal frames at that mean of uses."""
    return [Frame(t % gop, max(1, int(mean))) for t in range(count)]


@dataclass(frozen=True)
class Way:
    """From frames to frames. snr_db: `[batch]`. cued: whether what the receiver holds is made use of."""

    network: SemanticNetwork
    snr_db: Tensor
    channel: Surrogate
    generator: Generator
    cued: bool = True

    def carried(
        self, clips: Tensor, motions: Sequence[Motion | None], plans: Sequence[Frame], held: Held | None = None
    ) -> tuple[list[Decoded], Held]:
        """Clips `[batch, frames, 3, H, W]` over the channel, frame by frame, and what the receiver holds in the end."""
        held, shown = held or self.network.nothing(clips.new_zeros(len(clips), *clips.shape[2:])), []
        for frame, motion, plan in zip(clips.unbind(1), motions, plans, strict=True):
            found, held = self._sent(frame, motion, plan, held)
            shown.append(found)
        return shown, held

    def _sent(self, frame: Tensor, motion: Motion | None, plan: Frame, held: Held) -> tuple[Decoded, Held]:
        phase = phase_of(plan.age)
        symbols = self.network.encode(frame, motion, phase, plan.uses, self.snr_db)
        heard = self.channel(Transmission((Stream("frame", "analog", symbols),)), self.snr_db, self.generator)
        x_hat, a = cast(Tensor, heard.streams[0].x_hat), cast(Tensor, heard.streams[0].a)
        if plan.lost:  # the last frame stands
            still = Decoded(held.frame, held.features, torch.zeros_like(held.features[:, :2]))
            return still, Held(held.frame, held.features, held.trust * FADING_TRUST)
        found = self.network.decode(x_hat, a, held if self.cued else self.network.nothing(frame), phase)
        trust = new_trust(held.trust, a, plan.age == 0)
        return found, Held(found.frame.clamp(0, 1), found.features, trust)


def seen_motion(clips: Tensor) -> list[Motion | None]:
    """Of each frame of clips `[batch, frames, 3, H, W]`, the first without."""
    count = clips.shape[1] - 1
    now, before = clips[:, 1:].flatten(0, 1), clips[:, :-1].flatten(0, 1)
    flows = block_motion(now, before).unflatten(0, (len(clips), count))
    return [None, *(Motion(clips[:, t], flows[:, t]) for t in range(count))]


def losses(shown: Sequence[Decoded], wanted: Tensor, motions: Sequence[Motion | None]) -> Tensor:
    """Squared error `[batch]` of frames and of their changes, and what their motion would cost; never below FLOOR."""
    frames = torch.stack([one.frame for one in shown], 1)
    error = (frames - wanted).square().mean((1, 2, 3, 4))
    change = ((frames[:, 1:] - frames[:, :-1]) - (wanted[:, 1:] - wanted[:, :-1])).square().mean((1, 2, 3, 4))
    blamed = [misled(one.flow, now, m) for one, now, m in zip(shown, wanted.unbind(1), motions, strict=True) if m]
    return error + CHANGE_WEIGHT * change + torch.stack(blamed).sum(0) / len(shown) + FLOOR


def misled(flow: Tensor, now: Tensor, motion: Motion) -> Tensor:
    """What the motion that was understood would cost `[batch]`, against the true one, where moving pays at all."""
    with torch.no_grad():
        still, moving = (now - motion.before).square(), (now - moved(motion.before, motion.flow)).square()
        gain = F.avg_pool2d(still - moving, CELL).mean(1).clamp_min(0)
    off = (flow - motion.flow).square().sum(1)
    return (gain * off / (1 + off)).mean((1, 2))
