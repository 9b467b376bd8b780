"""Training of `cmd`'s network: groups of frames whose content and motion meet noise, at random rates and SNRs.

The content frame goes through the picture codec as it is; its errors are added to the content, so that gradients pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Generator, Tensor

from semlink import codecs
from semlink.codecs.video._clip_source import ClipSource
from semlink.codecs.video._content_motion import ContentMotionNetwork, Split
from semlink.codecs.video._motion import CELL
from semlink.codecs.video.cmd import Cmd, heard_motion, motion_symbols, scenes_of
from semlink.simulator.training.channels import Surrogate
from semlink.simulator.training.run import Budget, Run
from semlink.simulator.values import Stream, Transmission, TxInfo
from semlink.simulator.video import Clip

LENGTHS, SIDES = (4, 8, 8, 16), (64, 96, 128)
PLANES, SNRS = (6, 49), (0.0, 20.0)  # of content frames, and in dB
CUTS = 0.15  # share of steps whose groups hold a cut
CHANGE_WEIGHT = 0.5  # of the error of the change from frame to frame
FLOOR = 2e-4  # of the error: 37 dB are good enough
HELD_OUT = ((10.0, 1 / 96), (0.0, 1 / 96))  # SNR in dB and rate


class ContentMotionRun(Run):
    """held_out: clips in [0, 1], `[clips, frames, 3, H, W]`. A batch is so many clips of 8 frames and 64 px, or as many
    cells of others.
    """

    snrs = SNRS

    def __init__(
        self, source: ClipSource, held_out: Tensor, network: ContentMotionNetwork, budget: Budget, folder: Path
    ) -> None:
        self.source, self.held_out, self.channel = source, held_out, Surrogate()
        super().__init__(network, budget, folder)

    def batch_loss(self, generator: Generator) -> Tensor:
        """Mean logarithm of the squared errors of frames and of their changes, over a random batch of groups."""
        rng = np.random.default_rng(int(torch.randint(1 << 31, (1,), generator=generator)))
        length, side = int(rng.choice(LENGTHS)), int(rng.choice(SIDES))
        batch = max(1, self.budget.batch * 8 * 64**2 // (length * side**2))
        cut = int(rng.integers(1, length)) if rng.random() < CUTS else 0
        clips = torch.stack([self._group(rng, length, side, cut) for _ in range(batch)])
        low, high = np.log(PLANES)
        rho = int(np.exp(rng.uniform(low, high))) / (3 * CELL**2)
        snr_db = SNRS[0] + (SNRS[1] - SNRS[0]) * torch.rand(batch, generator=generator)
        shown = carried(self.network, clips, scenes_of(cut, length), rho, snr_db, self.channel, generator)
        error = (shown - clips).square().mean((1, 2, 3, 4))
        change = ((shown[:, 1:] - shown[:, :-1]) - (clips[:, 1:] - clips[:, :-1])).square().mean((1, 2, 3, 4))
        return (error + CHANGE_WEIGHT * change + FLOOR).log().mean()

    @torch.no_grad()
    def levels(self, quick: bool) -> Mapping[str, float]:
        """PSNR of held-out groups of 8 frames."""
        groups = self.held_out.unflatten(1, (-1, 8)).flatten(0, 1)
        clip = Clip(groups.shape[3], groups.shape[4])
        found = {}
        for snr_db, rho in HELD_OUT[:1] if quick else HELD_OUT:
            codec = Cmd(rho)
            codec.__dict__["network"] = self.average
            content = codec.content_rho(clip, 8, 1)
            told, generator = torch.full((len(groups),), snr_db), torch.Generator().manual_seed(0)
            shown = carried(self.average, groups, scenes_of(0, 8), content, told, Surrogate(0, 0, 0), generator)
            error = (shown.clamp(0, 1) - groups).square().mean((2, 3, 4))
            found[f"psnr_at_{snr_db:g}_db"] = float(-10 * error.clamp_min(1e-10).log10().mean())
        return found

    def _group(self, rng: np.random.Generator, length: int, side: int, cut: int) -> Tensor:
        if not cut:
            return self.source.draw(rng, length, side)
        return torch.cat([self.source.draw(rng, n, side) for n in (cut, length - cut)])


def carried(
    network: ContentMotionNetwork,
    clips: Tensor,
    scenes: Tensor,
    rho: float,
    snr_db: Tensor,
    channel: Surrogate,
    generator: Generator,
) -> Tensor:
    """Groups `[batch, frames, 3, H, W]` over the channel; rho: of each content frame. snr_db: `[batch]`."""
    split = network.split(clips, scenes)
    motion = Transmission((Stream("motion", "analog", motion_symbols(split.motion, 1)),))
    heard = channel(motion, snr_db, generator).streams[0]
    shape = (split.motion.shape[1], split.motion.shape[2], split.motion.shape[3])
    values, a = heard_motion(cast(Tensor, heard.x_hat), cast(Tensor, heard.a), 1, shape)
    content, own = _pictures(split.content, rho, snr_db, channel, generator)
    return network.join(Split(content, values), (own, a), scenes)


def _pictures(
    content: Tensor, rho: float, snr_db: Tensor, channel: Surrogate, generator: Generator
) -> tuple[Tensor, Tensor]:
    """Content frames in [0, 1] as a picture codec shows them, and the mean `a` of each `[batch, scenes]`."""
    scenes = content.shape[1]
    frames = content.flatten(0, 1) / 2 + 0.5
    codec = codecs.create("semlink", rho=rho, base="none")
    told = snr_db.repeat_interleave(scenes)
    with torch.no_grad():
        sent = codec.encode(frames.clamp(0, 1), TxInfo(snr_db=told))
        received = channel(sent, told, generator)
        errors = codec.decode(received) - frames
    a = torch.cat([cast(Tensor, stream.a).mean(1, keepdim=True) for stream in received.streams], 1).mean(1)
    return (frames + errors).unflatten(0, (-1, scenes)), a.unflatten(0, (-1, scenes))
