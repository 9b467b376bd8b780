"""The noise level of a latent without channel knowledge: a small network looks at the received symbols alone.

SGD-JSCC (arXiv 2501.01138) finds sqrt(alpha) with four residual blocks, pooling and a sigmoid; ours is smaller, may see
any picture size and answers the SNR in dB, which is the logit of alpha in other units and keeps its scale at both ends.
Scaled to unit power per image, symbols of one level are a diffusion state whatever the gain was, so that this SNR is
all that a receiver without `a` has to know. Under fading within a picture one level must do for all its symbols.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from semlink.codecs._learned.codec import from_symbols
from semlink.codecs._learned.received import sound_symbols
from semlink.codecs._learned.weights import read_weights, rebuilt
from semlink.codecs.sgd_jscc.latent import Residual
from semlink.simulator.errors import SemlinkError
from semlink.simulator.values import ReceivedStream

TRAINED_DB = (-10.0, 20.0)
MARGIN_DB = 2.0  # an answer lies within the trained range and this


class LevelNetwork(nn.Module):
    """States `[batch, channels, h, w]` of unit power to their SNR in dB, `[batch]`. width: features; blocks: residual.

    Means and variances of the features over the places make the answer one of any picture size.
    """

    def __init__(self, channels: int = 14, width: int = 48, blocks: int = 2) -> None:
        super().__init__()
        self.settings: dict[str, Any] = {"channels": channels, "width": width, "blocks": blocks}
        self.features = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1), *(Residual(width) for _ in range(blocks)), nn.SiLU()
        )
        self.answer = nn.Sequential(nn.Linear(2 * width, width), nn.SiLU(), nn.Linear(width, 1))

    def forward(self, states: Tensor) -> Tensor:
        found = self.features(states)
        pooled = torch.cat([found.mean((2, 3)), found.var((2, 3), unbiased=False)], 1)
        low, high = TRAINED_DB
        return (low + high) / 2 + (high - low) / 2 * self.answer(pooled)[:, 0]


def alpha_of(snr_db: Tensor) -> Tensor:
    """alpha = SNR / (1 + SNR) of an SNR in dB."""
    return torch.sigmoid(snr_db * (torch.log(torch.tensor(10.0)) / 10))


def level_loss(network: nn.Module, x0: Tensor, generator: Generator) -> Tensor:
    """Mean error of the SNR in dB (Huber, 1 dB) on clean states with noise of random levels, evenly spread."""
    low, high = TRAINED_DB
    share = torch.arange(len(x0), device=x0.device) + torch.rand((), generator=generator, device=generator.device).to(
        x0.device
    )
    snr_db = low + (high - low) * share / len(x0)
    return F.smooth_l1_loss(network(noisy(x0, snr_db, generator)), snr_db)


def noisy(x0: Tensor, snr_db: Tensor, generator: Generator) -> Tensor:
    """States of clean ones at that SNR in dB `[batch]`, scaled to unit power per image as a blind receiver has to."""
    alpha = alpha_of(snr_db)[:, None, None, None]
    noise = torch.randn(x0.shape, generator=generator, device=generator.device).to(x0.device)
    return unit_power(alpha.sqrt() * x0 + (1 - alpha).sqrt() * noise)


def unit_power(states: Tensor) -> Tensor:
    """States of mean square 1 per image over what is not 0; where all is 0 it stays so."""
    power = states.square().sum((1, 2, 3), keepdim=True) / (states != 0).sum((1, 2, 3), keepdim=True).clamp_min(1)
    return states / power.clamp_min(1e-12).sqrt()


def blind_states(
    stream: ReceivedStream, planes: int, rows: int, columns: int, network: nn.Module
) -> tuple[Tensor, Tensor]:
    """What `states.received_states` answers, from x_hat alone: one alpha per image, and 0 where nothing arrived."""
    x_hat, _ = sound_symbols(stream)
    states = unit_power(from_symbols(x_hat, planes, rows, columns))
    with torch.no_grad():
        snr_db = network(states).clamp(TRAINED_DB[0] - MARGIN_DB, TRAINED_DB[1] + MARGIN_DB)
    return states, torch.where(states != 0, alpha_of(snr_db)[:, None, None, None], 0.0)


@lru_cache(maxsize=4)
def level_network(path: Path, channels: int) -> LevelNetwork:
    """The network of a safetensors file, for evaluation. SemlinkError when it is not one for that many channels."""
    state, settings = read_weights(path)
    if settings.get("channels") != channels:
        raise SemlinkError(
            f"{path}: estimates levels of {settings.get('channels')} planes, not {channels}; make your own with "
            f"experiments/train_level.py"
        )
    return rebuilt(LevelNetwork, settings, state, path)
