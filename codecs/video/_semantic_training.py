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
from semlink.codecs.video._lack import Runs, choice, grown, power
from semlink.codecs.video._motion import CELL, block_motion, moved
from semlink.codecs.video._semantic import (
    FADING_TRUST,
    SNRS,
    Held,
    SemanticNetwork,
    Side,
    cells,
    new_trust,
    normalised,
    taken,
)
from semlink.simulator.training.channels import Surrogate
from semlink.simulator.training.run import Budget, Run
from semlink.simulator.values import Stream, Transmission

RATES = (1 / 192, 1 / 16)  # of a frame, per source dimension
INTRA, LOST = 0.04, 0.04  # shares of frames, behind the first, that stand by themselves, and that are lost
CONTINUED, AHEAD = 0.7, 10  # share of clips that go on from frames carried before, at most so many
CHANGE_WEIGHT = 0.5  # of the error of the change from frame to frame, so that what moves does move
FLOOR = 2e-4  # of the error: 37 dB are good enough
HELD_OUT = ((10.0, 1 / 48), (0.0, 1 / 48))  # SNR in dB and rate


class SemanticRun(Run):
    """held_out: clips in [0, 1], `[clips, frames, 3, side, side]`."""

    snrs = SNRS

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
        plans, motions = planned(rng, ahead + self.frames, rho * clips[0, 0].numel()), seen_motion(clips, rng)
        with torch.no_grad():
            _, ends = way.carried(clips[:, :ahead], motions[:ahead], plans[:ahead])
        shown, _ = way.carried(clips[:, ahead:], motions[ahead:], plans[ahead:], ends)
        return losses(shown, clips[:, ahead:]).log().mean()

    @torch.no_grad()
    def levels(self, quick: bool) -> Mapping[str, float]:
        """PSNR of held-out clips, and of the same with every frame by itself."""
        found, motions = {}, seen_motion(self.held_out)
        for snr_db, rho in HELD_OUT[:1] if quick else HELD_OUT:
            uses, count = int(rho * self.held_out[0, 0].numel()), self.held_out.shape[1]
            for name, intra in (("psnr", False), ("psnr_intra", True)):
                plans = [Frame(uses, intra=intra)] * count
                generator = torch.Generator().manual_seed(0)
                told = torch.full((len(self.held_out),), snr_db)
                way = Way(self.average, told, Surrogate(0, 0, 0), generator)
                shown, _ = way.carried(self.held_out, motions, plans)
                error = (shown.clamp(0, 1) - self.held_out).square().mean((2, 3, 4))
                found[f"{name}_at_{snr_db:g}_db"] = float(-10 * error.clamp_min(1e-10).log10().mean())
        return found


@dataclass(frozen=True)
class Frame:
    """What happens to a frame. uses: its symbols. intra: it stands by itself. lost: nothing of it arrives."""

    uses: int
    intra: bool = False
    lost: bool = False


@dataclass(frozen=True)
class Motion:
    """What a transmitter sees besides a frame. before: the source's frame before it. flow: to it, as it is told."""

    before: Tensor
    flow: Tensor


@dataclass(frozen=True)
class Ends:
    """held: the receiver's. lack: what the sender takes it to lack, `[batch, planes]`. heard: mean `a` of the frame
    before, `[batch]`, 0 where it was lost.
    """

    held: Held
    lack: Tensor | None = None
    heard: Tensor | None = None


def planned(rng: np.random.Generator, count: int, mean: float) -> list[Frame]:
    """Frames of about that many uses, some by themselves, some lost."""
    uses = [max(1, int(mean * rng.uniform(0.7, 1.3))) for _ in range(count)]
    kinds = rng.random((2, count))
    return [Frame(u, i < INTRA, t > 0 and lost < LOST) for t, (u, i, lost) in enumerate(zip(uses, *kinds, strict=True))]


@dataclass(frozen=True)
class Way:
    """From frames to frames. snr_db: `[batch]`."""

    network: SemanticNetwork
    snr_db: Tensor
    channel: Surrogate
    generator: Generator

    def carried(
        self, clips: Tensor, motions: Sequence[Motion | None], plans: Sequence[Frame], ends: Ends | None = None
    ) -> tuple[Tensor, Ends]:
        """Clips `[batch, frames, 3, H, W]` over the channel, frame by frame, and both ends after them."""
        ends, shown = ends or Ends(self.network.nothing(clips.new_zeros(len(clips), *clips.shape[2:]))), []
        for frame, motion, plan in zip(clips.unbind(1), motions, plans, strict=True):
            ends = self._sent(frame, motion, plan, ends)
            shown.append(ends.held.frame)
        return torch.stack(shown, 1) if shown else clips, ends

    def _sent(self, frame: Tensor, motion: Motion | None, plan: Frame, ends: Ends) -> Ends:
        network, batch = self.network, len(frame)
        z = network.encode(frame, self.snr_db)
        intra = torch.full((batch,), bool(plan.intra or motion is None))
        told = 1 / (1 + 10 ** (-self.snr_db / 10))
        with torch.no_grad():
            own = power(z, network.worth)
            new = own if motion is None else self._new(z, motion)
            lack = grown(ends.lack, own, new, intra)
            runs = Runs(network.planes, z.shape[2] * z.shape[3], min(plan.uses, z[0].numel()))
            run, lack = choice(lack, own, network.worth, told, runs)
        start = runs.starts[run]
        symbols, scale = normalised(taken(z, start, runs.uses))
        heard = self.channel(Transmission((Stream("frame", "analog", symbols),)), self.snr_db, self.generator)
        x_hat, a = cast(Tensor, heard.streams[0].x_hat), cast(Tensor, heard.streams[0].a)
        held = Held(ends.held.frame.clamp(0, 1), ends.held.features, ends.held.trust)
        if plan.lost:  # the last frame stands
            return Ends(Held(held.frame, held.features, held.trust * FADING_TRUST), lack, torch.zeros(batch))
        flow = torch.zeros(batch, 2, 1, 1) if motion is None else motion.flow
        found = network.decode(x_hat, a, Side(start, scale, intra, flow), held)
        return Ends(Held(found.frame, found.features, new_trust(held.trust, a, intra)), lack, a.mean(1))

    def _new(self, z: Tensor, motion: Motion) -> Tensor:
        """Power of what motion leaves of each plane."""
        return power(z - self.network.encode(moved(motion.before, motion.flow), self.snr_db), self.network.worth)


def seen_motion(clips: Tensor, rng: np.random.Generator | None = None) -> list[Motion | None]:
    """Of each frame of clips `[batch, frames, 3, H, W]`, the first without; in half pixels, by blocks of 16 px or more.

    rng: for now larger, now smaller blocks.
    """
    count = clips.shape[1] - 1
    now, before = clips[:, 1:].flatten(0, 1), clips[:, :-1].flatten(0, 1)
    flows = block_motion(now, before)
    size = 2 if rng is None else int(rng.choice((1, 2, 2, 4)))
    coarse = F.avg_pool2d(flows, size, ceil_mode=True, count_include_pad=False)
    told = ((2 * coarse).round() / 2).unflatten(0, (len(clips), count))
    return [None, *(Motion(clips[:, t], told[:, t]) for t in range(count))]


def losses(frames: Tensor, wanted: Tensor) -> Tensor:
    """Squared error `[batch]` of frames `[batch, frames, 3, H, W]` and of their changes; never below FLOOR."""
    error = (frames - wanted).square().mean((1, 2, 3, 4))
    change = ((frames[:, 1:] - frames[:, :-1]) - (wanted[:, 1:] - wanted[:, :-1])).square().mean((1, 2, 3, 4))
    return error + CHANGE_WEIGHT * change + FLOOR


def photograph_cells(photographs: Sequence[np.ndarray], most: int = 200) -> Tensor:
    """Cells `[n, PIXELS]` of pictures uint8 `[H, W, 3]`, from which a network begins."""
    found = []
    for picture in photographs[:: max(1, len(photographs) // most)]:
        height, width = (size // CELL * CELL for size in picture.shape[:2])
        frame = torch.from_numpy(picture[:height, :width]).permute(2, 0, 1)[None].float() / 255
        found.append(cells(frame)[0].flatten(1).T[::7])
    return torch.cat(found)
