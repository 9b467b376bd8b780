"""Networks on 4x4 space-to-depth with residual blocks that the SNR modulates (after ADJSCC, Xu et al. 2012.00533)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semlink.codecs._learned.trained import RangedNetwork
from semlink.simulator import forms

CELL = 4  # px
PIXELS = 3 * CELL**2  # source dimensions of a cell
CONDITION = 64


class AdaptiveNetwork(RangedNetwork):
    """Encoder and decoder. planes: complex symbols per 4x4 cell; width: features; blocks: (encoder, decoder)."""

    def __init__(self, planes: int = 8, width: int = 96, blocks: tuple[int, int] = (3, 4)) -> None:
        super().__init__()
        self.settings = {"planes": planes, "width": width, "blocks": list(blocks)}
        self.encoder = ModulatedStack(PIXELS, 2 * planes, width, blocks[0])
        self.decoder = ModulatedStack(3 * planes, PIXELS, width, blocks[1])
        self.reach = CELL * (2 * blocks[0] + 2), CELL * (2 * blocks[1] + 2)

    def encode(self, images: Tensor, snr_db: Tensor) -> Tensor:
        """Pictures `[batch, 3, H, W]` in [0, 1] and SNR in dB `[batch]` to a latent `[batch, 2 m, H/4, W/4]`."""
        return self.encoder(F.pixel_unshuffle(2 * images - 1, CELL), self.snrs.told(snr_db))

    def told(self, a: Tensor) -> Tensor:
        """The SNR in dB that the mean of `a` `[batch, m, h, w]` amounts to, `[batch]`."""
        return forms.snr_db(a.mean((1, 2, 3)), least=1e-4)

    def decode(self, z: Tensor, a: Tensor, told: Tensor | None = None) -> Tensor:
        """x_hat as real `[batch, 2 m, h, w]` and its `a` `[batch, m, h, w]` to pictures; told: of the whole `a`."""
        snr_db, z, a = self.snrs.heard(self.told(a) if told is None else told, z, a)
        return F.pixel_shuffle(self.decoder(torch.cat([z, a], 1), snr_db), CELL) / 2 + 0.5


class ModulatedStack(nn.Module):
    """3x3 convolution, modulated residual blocks, 3x3 convolution, beside a linear path."""

    def __init__(self, inputs: int, outputs: int, width: int, blocks: int) -> None:
        super().__init__()
        self.condition = nn.Sequential(nn.Linear(1, CONDITION), nn.SiLU(), nn.Linear(CONDITION, CONDITION), nn.SiLU())
        self.first = nn.Conv2d(inputs, width, 3, padding=1)
        self.linear = nn.Conv2d(inputs, outputs, 1)
        self.blocks = nn.ModuleList(ModulatedBlock(width) for _ in range(blocks))
        self.last = nn.Conv2d(width, outputs, 3, padding=1)

    def forward(self, x: Tensor, snr_db: Tensor) -> Tensor:
        condition = self.condition(steering(snr_db))
        h = self.first(x)
        for block in self.blocks:
            h = block(h, condition)
        return self.last(h) + self.linear(x)


def steering(snr_db: Tensor) -> Tensor:
    """SNR in dB `[batch]` as networks take it, `[batch, 1]`, about within -1 and 1."""
    return (snr_db[:, None] - 7.5) / 10


class ModulatedBlock(nn.Module):
    """x + conv(silu(scale * conv(x) + shift)); scale and shift come from the SNR, the last weights start at zero."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.modulation = nn.Linear(CONDITION, 2 * width)
        self.last = nn.Conv2d(width, width, 3, padding=1)
        for zero in (*self.modulation.parameters(), *self.last.parameters()):
            nn.init.zeros_(zero)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        scale, shift = self.modulation(condition)[:, :, None, None].chunk(2, 1)
        return x + self.last(F.silu(self.first(x) * (1 + scale) + shift))
