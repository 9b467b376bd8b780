"""The autoencoder whose latent is a diffusion state: 8x8 px to a place, unit power, no knowledge of the SNR.

SGD-JSCC (arXiv 2501.01138) trains a KL autoencoder over AWGN of a fixed 10 dB with a perceptual loss; ours is smaller.
"""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

CELL = 8  # px, side of the pixels behind one place
PATCH = 4  # px that the first layer trades for channels


class LatentNetwork(nn.Module):
    """planes: complex symbols per place. widths: features at 1/4 and 1/8 of the resolution; blocks: per level."""

    def __init__(self, planes: int = 7, widths: tuple[int, int] = (64, 128), blocks: tuple[int, int] = (2, 3)) -> None:
        super().__init__()
        self.settings: dict[str, Any] = {"planes": planes, "widths": list(widths), "blocks": list(blocks)}
        fine, coarse = widths
        near, far = PATCH * (2 * blocks[0] + 1), CELL * (2 * blocks[1] + 1)
        self.reach = near + far, near + far
        self.encoder = nn.Sequential(
            nn.PixelUnshuffle(PATCH),
            nn.Conv2d(3 * PATCH**2, fine, 3, padding=1),
            *(Residual(fine) for _ in range(blocks[0])),
            nn.PixelUnshuffle(2),
            nn.Conv2d(4 * fine, coarse, 1),
            *(Residual(coarse) for _ in range(blocks[1])),
            nn.Conv2d(coarse, 2 * planes, 3, padding=1),
        )
        self.decoder = nn.Sequential(
            nn.Conv2d(2 * planes, coarse, 3, padding=1),
            *(Residual(coarse) for _ in range(blocks[1])),
            nn.Conv2d(coarse, 4 * fine, 1),
            nn.PixelShuffle(2),
            *(Residual(fine) for _ in range(blocks[0])),
            nn.Conv2d(fine, 3 * PATCH**2, 3, padding=1),
            nn.PixelShuffle(PATCH),
        )

    def encode(self, images: Tensor) -> Tensor:
        """Pictures `[batch, 3, H, W]` in [0, 1] to `[batch, 2 planes, H / 8, W / 8]` of unit variance per image."""
        return unit(self.features(images))

    def features(self, images: Tensor) -> Tensor:
        """The same before its variance is made 1."""
        return self.encoder(2 * images - 1)

    def decode(self, states: Tensor) -> Tensor:
        """States `[batch, 2 planes, h, w]` of unit variance to pictures."""
        return self.decoder(states) / 2 + 0.5


def unit(latent: Tensor) -> Tensor:
    """Latents `[batch, ...]` of unit variance per image."""
    return latent / latent.square().mean((1, 2, 3), keepdim=True).clamp_min(1e-12).sqrt()


class Residual(nn.Module):
    """x + conv(silu(conv(silu(x)))); the last weights start at zero."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.last = nn.Conv2d(width, width, 3, padding=1)
        for parameter in self.last.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.last(F.silu(self.first(F.silu(x))))
