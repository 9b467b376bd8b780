"""Training of the blind estimator of a latent's noise level (`blind`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import torch
from torch import Generator, Tensor, nn

from semlink.codecs.sgd_jscc.blind import LevelNetwork, level_loss, noisy
from semlink.simulator.training.pictures import random_batch
from semlink.simulator.training.run import Budget, Run

LEVELS_DB = (-5.0, 0.0, 5.0, 10.0, 15.0)  # SNRs at which the curve tells the error
QUICK = 64  # pictures of a point of the curve between two checkpoints


class StatesCodec(Protocol):
    """A codec whose latent has a noise level to estimate."""

    def states_of(self, images: Tensor) -> Tensor:
        """Clean states `[batch, planes, h, w]` of pictures `[batch, 3, H, W]` in [0, 1]."""


class LevelRun(Run):
    """A training run of an estimator for the states of `codec`, on uint8 pictures `[3, H, W]`.

    held_out: clean states for the curve. crop: side of the random crops in px, of every other step half of it. copies:
    noise levels that each crop is seen at.
    """

    def __init__(
        self,
        codec: StatesCodec,
        pictures: Sequence[Tensor],
        held_out: Tensor,
        crop: int,
        copies: int,
        budget: Budget,
        folder: Path,
    ) -> None:
        super().__init__(LevelNetwork(held_out.shape[1]), budget, folder)
        self.codec, self.pictures, self.held_out = codec, pictures, held_out
        self.crop, self.copies = crop, copies

    def batch_loss(self, generator: Generator) -> Tensor:
        """The loss of random crops, each at several levels."""
        crop = self.crop // (1 + self.step % 2)
        x0 = self.codec.states_of(random_batch(self.pictures, self.budget.batch, crop, generator))
        return level_loss(self.network, x0.repeat(self.copies, 1, 1, 1), generator)

    def levels(self, quick: bool) -> dict[str, float]:
        """Mean |error| of the SNR in dB at each of LEVELS_DB, on the held-out states."""
        return errors(self.average, self.held_out[:QUICK] if quick else self.held_out)


@torch.no_grad()
def errors(network: nn.Module, x0: Tensor) -> dict[str, float]:
    """Mean |error| of the SNR in dB at each of LEVELS_DB, with the same noise every time."""
    generator = torch.Generator().manual_seed(-1)
    found = {}
    for snr in LEVELS_DB:
        snr_db = torch.full((len(x0),), snr)
        found[f"error_db_at_{snr:g}"] = float((network(noisy(x0, snr_db, generator)) - snr_db).abs().mean())
    return found
