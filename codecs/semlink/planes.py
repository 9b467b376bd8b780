"""The network of `semlink`'s analog planes: one for every SNR, every rate up to 1/3 and any picture size.

Features live on 4x4 and 8x8 cells, where CPUs and GPUs are quick; bottleneck residual blocks are modulated by SNR and
rate (the idea of ADJSCC, Xu et al. 2012.00533, and SwinJSCC, Yang et al. 2308.09361; the network is ours). The decoder
is told the reliability `a` of every symbol, so that under fading it knows what to believe, and a = 0 for what was not
sent; nested dropout of the planes' tail (Rippel et al. 1402.0915) in training orders them by importance.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semlink.codecs._learned.prefix import heard
from semlink.codecs._learned.trained import RangedNetwork

FINE, CELL = 4, 8
PLANES = 64  # complex symbols of an 8x8 cell at the highest rate, 1/3
CONDITION = 64


class Size(NamedTuple):
    """widths: features on 4x4 and 8x8 cells; encoder and decoder: blocks on 4x4 and 8x8 cells."""

    widths: tuple[int, int]
    encoder: tuple[int, int]
    decoder: tuple[int, int]


SIZES = {"compact": Size((96, 192), (2, 5), (3, 6)), "base": Size((128, 320), (3, 8), (4, 10))}


class PlaneNetwork(RangedNetwork):
    """Encoder and decoder with `planes` complex symbols per 8x8 cell; the other settings are those of `Size`."""

    def __init__(
        self, planes: int, widths: tuple[int, int], encoder: tuple[int, int], decoder: tuple[int, int]
    ) -> None:
        super().__init__()
        self.settings = {"planes": planes, "widths": [*widths], "encoder": [*encoder], "decoder": [*decoder]}
        self.encoder = Encoder(2 * planes, widths, encoder)
        self.decoder = Decoder(planes, widths, decoder)
        self.reach = FINE * (1 + encoder[0]) + CELL * encoder[1], FINE * (decoder[0] + 1) + CELL * decoder[1]

    def encode(self, images: Tensor, snr_db: Tensor, planes: int) -> Tensor:
        """Pictures `[batch, 3, H, W]` in [0, 1], SNR in dB `[batch]` to the first planes `[batch, 2 m, H/8, W/8]`."""
        share = torch.full_like(snr_db, planes / PLANES)
        real, imaginary = self.encoder(2 * images - 1, condition(self.snrs.told(snr_db), share)).chunk(2, dim=1)
        return torch.cat([real[:, :planes], imaginary[:, :planes]], 1)

    def told(self, a: Tensor) -> Tensor:
        """What `decode` pools over a picture's `a`: `heard` as `[batch, 2]`."""
        return torch.stack(heard(a), 1)

    def decode(self, z: Tensor, a: Tensor, told: Tensor | None = None) -> Tensor:
        """x_hat as real `[batch, 2 M, h, w]` and its `a` `[batch, M, h, w]`, 0 where nothing came, to pictures."""
        snr_db, share = (self.told(a) if told is None else told).unbind(1)
        snr_db, z, a = self.snrs.heard(snr_db, z, a)
        pictures: Tensor = self.decoder(z, a, condition(snr_db, share))
        return pictures / 2 + 0.5


def condition(snr_db: Tensor, share: Tensor) -> Tensor:
    """SNR in dB `[batch]` and share of the planes `[batch]` as `[batch, 2]` of order 1."""
    return torch.stack([(snr_db - 7.5) / 10, share.clamp_min(1 / PLANES).log2() / 3 + 1], 1)


class Encoder(nn.Module):
    """Pictures in [-1, 1] to real planes on 8x8 cells, beside a linear path."""

    def __init__(self, outputs: int, widths: tuple[int, int], blocks: tuple[int, int]) -> None:
        super().__init__()
        fine, coarse = widths
        self.condition = conditioner()
        self.first = nn.Conv2d(3 * FINE**2, fine, 3, padding=1)
        self.fine = BottleneckBlocks(fine, blocks[0])
        self.down = nn.Conv2d(fine, coarse, 2, stride=2)
        self.coarse = BottleneckBlocks(coarse, blocks[1])
        self.last = nn.Conv2d(coarse, outputs, 1)
        self.linear = nn.Conv2d(3 * CELL**2, outputs, 1)
        self.gain = nn.Linear(CONDITION, outputs)
        for zero in self.gain.parameters():
            nn.init.zeros_(zero)

    def forward(self, x: Tensor, known: Tensor) -> Tensor:
        steering = self.condition(known)
        h = self.fine(self.first(F.pixel_unshuffle(x, FINE)), steering)
        h = self.coarse(self.down(h), steering)
        latent = self.last(h) + self.linear(F.pixel_unshuffle(x, CELL))
        return latent * self.gain(steering).exp()[:, :, None, None]  # power of each plane at this SNR and rate


class Decoder(nn.Module):
    """Received planes and their reliability to pictures in [-1, 1], beside a linear path."""

    def __init__(self, planes: int, widths: tuple[int, int], blocks: tuple[int, int]) -> None:
        super().__init__()
        fine, coarse = widths
        self.condition = conditioner()
        self.first = nn.Conv2d(5 * planes, coarse, 1)
        self.coarse = BottleneckBlocks(coarse, blocks[1])
        self.up = nn.Conv2d(coarse, fine * (CELL // FINE) ** 2, 1)
        self.fine = BottleneckBlocks(fine, blocks[0])
        self.last = nn.Conv2d(fine, 3 * FINE**2, 3, padding=1)
        self.linear = nn.Conv2d(5 * planes, 3 * CELL**2, 1)
        self.gain = nn.Linear(CONDITION, 2 * planes)
        for zero in self.gain.parameters():
            nn.init.zeros_(zero)

    def forward(self, z: Tensor, a: Tensor, known: Tensor) -> Tensor:
        steering = self.condition(known)
        z = z * self.gain(steering).exp()[:, :, None, None]
        received = torch.cat([z, z * a.repeat(1, 2, 1, 1), a], 1)
        h = self.coarse(self.first(received), steering)
        h = self.fine(F.pixel_shuffle(self.up(h), CELL // FINE), steering)
        return F.pixel_shuffle(self.last(h), FINE) + F.pixel_shuffle(self.linear(received), CELL)


class BottleneckBlocks(nn.Module):
    """Residual blocks in a row, all steered by one vector."""

    def __init__(self, width: int, count: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(BottleneckBlock(width) for _ in range(count))

    def forward(self, x: Tensor, steering: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x, steering)
        return x


class BottleneckBlock(nn.Module):
    """x + expand(silu(scale * conv3x3(silu(squeeze(x))) + shift)) at half the width; expand starts at zero."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(width, width // 2, 1)
        self.mix = nn.Conv2d(width // 2, width // 2, 3, padding=1)
        self.modulation = nn.Linear(CONDITION, width)
        self.expand = nn.Conv2d(width // 2, width, 1)
        for zero in (*self.modulation.parameters(), *self.expand.parameters()):
            nn.init.zeros_(zero)

    def forward(self, x: Tensor, steering: Tensor) -> Tensor:
        scale, shift = self.modulation(steering)[:, :, None, None].chunk(2, 1)
        h = self.mix(F.silu(self.squeeze(x))) * (1 + scale) + shift
        return x + self.expand(F.silu(h))


def conditioner() -> nn.Sequential:
    """SNR and rate to the vector that steers all blocks."""
    return nn.Sequential(nn.Linear(2, CONDITION), nn.SiLU(), nn.Linear(CONDITION, CONDITION), nn.SiLU())
