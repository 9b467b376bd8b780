"""Training of `wvsc`'s network: short clips unrolled through the surrogate channel, at random rates and SNRs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Generator, Tensor

from semlink.codecs.video._semantic import CELL, SNRS, SemanticNetwork, new_trust, unit_power
from semlink.simulator.data.moving import random_clip
from semlink.simulator.training.channels import Surrogate
from semlink.simulator.training.run import Budget, Run
from semlink.simulator.values import Stream, Transmission

RATES = (1 / 192, 1 / 16)  # of a frame, per source dimension
AGAIN, LOST = 0.15, 0.05  # shares of frames, behind the first, that are references, and that are lost
CHANGE_WEIGHT = 0.5  # of the error of the change from frame to frame, so that what moves does move
HELD_OUT = ((10.0, 1 / 48), (0.0, 1 / 48))  # SNR in dB and rate


class SemanticRun(Run):
    """shots: uint8 clips `[frames, H, W, 3]` to crop, beside moving crops of photographs; held_out: in [0, 1],
    `[clips, frames, 3, side, side]`.
    """

    def __init__(
        self,
        shots: Sequence[np.ndarray],
        photographs: tuple[np.ndarray, ...],
        held_out: Tensor,
        side: int,
        frames: int,
        network: SemanticNetwork,
        budget: Budget,
        folder: Path,
    ) -> None:
        self.shots, self.photographs, self.held_out = shots, photographs, held_out
        self.side, self.frames, self.channel = side, frames, Surrogate()
        super().__init__(network, budget, folder)

    def batch_loss(self, generator: Generator) -> Tensor:
        """Mean squared error of frames and of their changes, over a random batch of clips."""
        rng = np.random.default_rng(int(torch.randint(1 << 31, (1,), generator=generator)))
        clips = torch.stack([self._clip(rng) for _ in range(self.budget.batch)])
        low, high = np.log(RATES)
        rho = float(np.exp(rng.uniform(low, high)))
        snr_db = SNRS[0] + (SNRS[1] - SNRS[0]) * torch.rand(len(clips), generator=generator)
        kinds = rng.random(self.frames)
        shown = carried(self.network, clips, snr_db, rho, kinds, self.channel, generator)
        error = (shown - clips).square().mean()
        change = ((shown[:, 1:] - shown[:, :-1]) - (clips[:, 1:] - clips[:, :-1])).square().mean()
        return error + CHANGE_WEIGHT * change

    @torch.no_grad()
    def levels(self, quick: bool) -> Mapping[str, float]:
        """PSNR of held-out clips, and of the same with every frame by itself."""
        found = {}
        for snr_db, rho in HELD_OUT[:1] if quick else HELD_OUT:
            for name, kind in (("psnr", 1.0), ("psnr_intra", 0.0)):
                kinds = np.full(self.held_out.shape[1], kind)
                generator = torch.Generator().manual_seed(0)
                told = torch.full((len(self.held_out),), snr_db)
                shown = carried(
                    self.average, self.held_out, told, rho, kinds, Surrogate(0, 0, 0), generator, name == "psnr"
                )
                error = (shown.clamp(0, 1) - self.held_out).square().mean((2, 3, 4))
                found[f"{name}_at_{snr_db:g}_db"] = float(-10 * error.clamp_min(1e-10).log10().mean())
        return found

    def _clip(self, rng: np.random.Generator) -> Tensor:
        """A clip float32 `[frames, 3, side, side]`: of the real ones, or moving crops of photographs."""
        if self.shots and (rng.random() < 0.5 or not self.photographs):
            levels = self._crop(self.shots[rng.integers(len(self.shots))], rng)
        else:
            levels = random_clip(rng, self.photographs, self.side, self.frames)
        return torch.from_numpy(np.ascontiguousarray(levels.transpose(0, 3, 1, 2))).float() / 255

    def _crop(self, shot: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        step = int(rng.integers(1, 3)) if len(shot) >= 2 * self.frames else 1
        start = int(rng.integers(len(shot) - step * (self.frames - 1)))
        top, left = (int(rng.integers(size - self.side + 1)) for size in shot.shape[1:3])
        chosen = shot[start : start + step * self.frames : step]
        found = chosen[:, top : top + self.side, left : left + self.side]
        return found[:, :, ::-1] if rng.random() < 0.5 else found


def carried(
    network: SemanticNetwork,
    clips: Tensor,
    snr_db: Tensor,
    rho: float,
    kinds: np.ndarray,
    channel: Surrogate,
    generator: Generator,
    cued: bool = True,
) -> Tensor:
    """Clips `[batch, frames, 3, H, W]` over the channel, frame by frame, at that rate.

    kinds: of each frame, in [0, 1]: below AGAIN a reference, above 1 - LOST lost where that is not exactly 1. cued:
    whether the last decoded frame is made use of.
    """
    uses = max(1, int(rho * clips[0, 0].numel()))
    cue, trust, shown = torch.full_like(clips[:, 0], 0.5), torch.zeros(len(clips)), []
    for t in range(clips.shape[1]):
        reference = t == 0 or kinds[t] < AGAIN
        symbols = network.encode(clips[:, t], None if reference else clips[:, t - 1], snr_db)
        sent = Transmission((Stream("frame", "analog", unit_power(symbols[:, :uses])),))
        heard = channel(sent, snr_db, generator).streams[0]
        there = float(t == 0 or not 1 - LOST < kinds[t] < 1)
        x_hat, a = cast(Tensor, heard.x_hat) * there, cast(Tensor, heard.a) * there
        found = network.decode(x_hat, a, cue, trust * float(cued))
        shown.append(found)
        cue, trust = found.clamp(0, 1), new_trust(trust, a, reference)
    return torch.stack(shown, 1)


def check_side(side: int) -> bool:
    """Whether crops of that side can be trained on."""
    return side >= 2 * CELL and side % CELL == 0
