"""The networks of hybrid coding: what a base looked like before coding, how far off it is, and the received picture.

All of them see a base that both ends know; cells are 4x4 px (fine) and 8x8 px (coarse), blocks are steered by what is
known of rates and SNR. Only `Spread` decides what is sent where, so it alone must give the same at both ends
to the last digit that counts: it is small and runs in float64.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semlink.codecs._learned.modulated import steering
from semlink.codecs._learned.trained import RangedNetwork, SnrRange
from semlink.codecs.semlink.hybrid import transform

FINE = 4
STEERING = 64
CORRECTION = 0.02  # size of what coding takes from a picture: outputs of order 1 learn fast and finely
SNR = 2  # its place among what steers `Refine`
BANDS = 6  # error energy of each colour kind (one luma, two chroma) in three bands of frequency


class Size(NamedTuple):
    """restore, refine: (features on fine and coarse cells, fine blocks before, coarse blocks, fine blocks after);
    spread: (features, blocks)."""

    restore: tuple[int, int, int, int, int]
    refine: tuple[int, int, int, int, int]
    spread: tuple[int, int]


SIZES = {
    "compact": Size((64, 96, 1, 2, 2), (80, 128, 2, 3, 3), (96, 2)),
    "base": Size((96, 192, 2, 4, 4), (128, 256, 3, 6, 6), (160, 4)),
}


class HybridNetwork(nn.Module):
    """The three networks; settings are those of `Size`."""

    def __init__(self, restore: tuple[int, ...], refine: tuple[int, ...], spread: tuple[int, ...]) -> None:
        super().__init__()
        self.settings = {"restore": [*restore], "refine": [*refine], "spread": [*spread]}
        self.restore = Restore(*restore)
        self.spread = Spread(*spread)
        self.refine = Refine(*refine)


class Restore(nn.Module):
    """The picture that a base is expected to come from."""

    def __init__(self, fine: int, coarse: int, before: int, between: int, after: int) -> None:
        super().__init__()
        self.steer = conditioner(2)
        self.trunk = Trunk(3 * FINE**2, fine, coarse, before, between, after)

    @property
    def reach(self) -> int:
        """How far it sees, in px."""
        return self.trunk.reach

    def forward(self, base: Tensor, known: Tensor) -> Tensor:
        """base `[batch, 3, H, W]` in [0, 1], known `[batch, 2]` (see `about_base`); the same shape."""
        h = F.pixel_unshuffle(2 * base - 1, FINE)
        return base + CORRECTION * F.pixel_shuffle(self.trunk(h, self.steer(known)).float(), FINE)


class Spread(nn.Module):
    """Logarithm of the spread of every coefficient of the residual, from the base's own coefficients."""

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        self.steer = conditioner(2)
        self.first = nn.Conv2d(transform.COEFFICIENTS, width, 1)
        self.blocks = nn.ModuleList(SteeredBlock(width) for _ in range(blocks))
        self.last = nn.Conv2d(width, transform.COEFFICIENTS, 1)
        nn.init.zeros_(self.last.weight)
        self.last.bias.data.fill_(-4.0)

    @property
    def reach(self) -> int:
        """How far it sees, in px."""
        return transform.CELL * len(self.blocks)

    def forward(self, base: Tensor, known: Tensor) -> Tensor:
        """float `[batch, 192, H / 8, W / 8]` in the dtype of base."""
        h = self.first((transform.forward(base - 0.5).square() + 1e-6).log() / 4 + 1.5)
        steering = self.steer(known)
        for block in self.blocks:
            h = block(h, steering)
        return self.last(F.silu(h)).to(base.dtype)


class Refine(RangedNetwork):
    """The picture, from what was expected, what was received, and how far off each band of each cell still is."""

    trained = SnrRange(-3.0, 20.0)  # of the recipes and the shipped weights

    def __init__(self, fine: int, coarse: int, before: int, between: int, after: int) -> None:
        super().__init__()
        self.steer = conditioner(5)
        self.trunk = Trunk(3 * 3 * FINE**2 + BANDS, fine, coarse, before, between, after)

    @property
    def reach(self) -> int:
        """How far it sees, in px."""
        return self.trunk.reach

    def forward(
        self, base: Tensor, expected: Tensor, received: Tensor, bands: Tensor, error: Tensor, known: Tensor
    ) -> Tensor:
        """Pictures `[batch, 3, H, W]`: base, expected by `Restore`, received; bands `[batch, 6, H / 8, W / 8]` (see
        `band_errors`), error `[batch, 1, 1, 1]` (see `size_of`), known `[batch, 5]` (see `about_reception`)."""
        (snr_db,) = self.snrs.heard(known[:, SNR])
        known = torch.cat([known[:, :SNR], steering(snr_db), known[:, SNR + 1 :]], 1)
        parts = (2 * received - 1, (received - expected) / error, (base - expected) / CORRECTION)
        maps = F.interpolate(bands, scale_factor=2.0)
        h = torch.cat([*(F.pixel_unshuffle(part, FINE) for part in parts), maps], 1)
        return received + error * F.pixel_shuffle(self.trunk(h, self.steer(known)).float(), FINE)


def size_of(errors: Tensor) -> Tensor:
    """The size of what `Refine` is to find in whole pictures, `[batch, 1, 1, 1]`, from variances of errors."""
    return errors.mean((1, 2, 3), keepdim=True).clamp_min(1e-8).sqrt()


def band_errors(errors: Tensor) -> Tensor:
    """Logarithm of the mean of error variances `[batch, 192, h, w]` of bands, `[batch, 6, h, w]`, of order 1."""
    frequency = torch.arange(transform.CELL)
    highest = torch.maximum(frequency[:, None], frequency).flatten()
    bands = [(0 <= highest) & (highest < 2), (2 <= highest) & (highest < 4), highest >= 4]
    luma, chroma = errors[:, :64], (errors[:, 64:128] + errors[:, 128:]) / 2
    means = [kind[:, band].mean(1) for kind in (luma, chroma) for band in bands]
    return torch.stack(means, 1).clamp_min(1e-8).log() / 3 + 3


def about_base(bpp: Tensor, small: Tensor) -> Tensor:
    """What steers `Restore` and `Spread`: bits per pixel of the base and 1 for thumbnails, `[batch]` each."""
    return torch.stack([bpp.clamp(1e-3, 16).log2() / 3, small], 1)


def about_reception(bpp: Tensor, small: Tensor, snr_db: Tensor, share: Tensor, scale: Tensor) -> Tensor:
    """What steers `Refine`: also the mean SNR, in dB, the share of coefficients that came and the scale."""
    more = [snr_db, share.clamp_min(1e-4).log2() / 4 + 0.5, scale.log2() / 4]
    return torch.cat([about_base(bpp, small), torch.stack(more, 1)], 1)


class Trunk(nn.Module):
    """Fine blocks, coarse blocks beside them, fine blocks; the output starts at zero."""

    def __init__(self, inputs: int, fine: int, coarse: int, before: int, between: int, after: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, fine, 3, padding=1)
        self.before = nn.ModuleList(SteeredBlock(fine) for _ in range(before))
        self.down = nn.Conv2d(fine, coarse, 2, stride=2)
        self.between = nn.ModuleList(SteeredBlock(coarse) for _ in range(between))
        self.up = nn.Conv2d(coarse, 4 * fine, 1)
        self.after = nn.ModuleList(SteeredBlock(fine) for _ in range(after))
        self.last = nn.Conv2d(fine, 3 * FINE**2, 3, padding=1)
        for zero in self.last.parameters():
            nn.init.zeros_(zero)
        self.reach = FINE * (2 + before + after) + 2 * FINE * between  # px

    def forward(self, x: Tensor, steering: Tensor) -> Tensor:
        h = self.first(x.contiguous(memory_format=torch.channels_last))
        for block in self.before:
            h = block(h, steering)
        g = self.down(h)
        for block in self.between:
            g = block(g, steering)
        h = h + F.pixel_shuffle(self.up(g), 2)
        for block in self.after:
            h = block(h, steering)
        return self.last(h)


class SteeredBlock(nn.Module):
    """x + expand(silu(scale * conv3x3(x) + shift)); expand starts at zero."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(width, width, 3, padding=1)
        self.modulation = nn.Linear(STEERING, 2 * width)
        self.expand = nn.Conv2d(width, width, 1)
        for zero in (*self.modulation.parameters(), *self.expand.parameters()):
            nn.init.zeros_(zero)

    def forward(self, x: Tensor, steering: Tensor) -> Tensor:
        scale, shift = self.modulation(steering)[:, :, None, None].chunk(2, 1)
        return x + self.expand(F.silu(self.mix(x) * (1 + scale) + shift))


def conditioner(inputs: int) -> nn.Sequential:
    """What is known to the vector that steers all blocks."""
    return nn.Sequential(nn.Linear(inputs, STEERING), nn.SiLU(), nn.Linear(STEERING, STEERING), nn.SiLU())
