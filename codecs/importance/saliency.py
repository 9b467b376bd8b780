"""Spectral residual: what the logarithmic spectrum of a picture has beyond its own local mean stands out.

L = log |F(x)|, R = L - mean of 3 x 3 of L, map = Gaussian * |F^-1(exp(R + j arg F(x)))|^2.
Hou and Zhang, "Saliency Detection: A Spectral Residual Approach", CVPR 2007. No weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from semlink.codecs.importance._maps import blurred, check_share, check_sigma, hardened, in_unit_range, one_by_one
from semlink.simulator.errors import SemlinkError

FLAT = 1e-4  # standard deviation below which a picture's spectrum is rounding


@dataclass(frozen=True)
class Saliency:
    """side: the picture is analysed with its longer side shrunk to so many px (the paper's 64: what stands out depends
    on the scale). sigma: smoothing in px at that size (the authors' program has 2.5). share: part of the pixels that is
    the region of interest; 0 keeps the soft map, whose largest value is 1.

    A flat picture has no region of interest. SemlinkError for settings out of range.
    """

    share: float = 0.25
    side: int = 64
    sigma: float = 2.5

    def __post_init__(self) -> None:
        check_share(self.share)
        check_sigma(self.sigma)
        if self.side < 8:
            raise SemlinkError(f"side is {self.side}; saliency needs 8 px or more (the paper has 64)")

    def maps(self, images: Tensor) -> Tensor:
        """Maps `[batch, H, W]` of grey pictures; hard ones unless share is 0."""
        return one_by_one(self._map, images)

    def _map(self, picture: Tensor) -> Tensor:
        height, width = picture.shape[1:]
        scale = min(1.0, self.side / max(height, width))
        small = [max(1, round(scale * length)) for length in (height, width)]
        grey = picture.mean(0)[None, None]
        grey = F.interpolate(grey, size=small, mode="bilinear", antialias=True, align_corners=False)[0, 0]
        if grey.std(correction=0) < FLAT:
            return torch.zeros(height, width)
        energy = blurred(spectral_residual(grey), self.sigma)
        full = F.interpolate(energy[None, None], size=(height, width), mode="bilinear", align_corners=False)[0, 0]
        return hardened(in_unit_range(full), self.share)


def spectral_residual(grey: Tensor) -> Tensor:
    """Energy of the spectral residual, `[H, W]`, not smoothed yet."""
    spectrum = torch.fft.fft2(grey.double())
    size = (spectrum.abs() + 1e-9).log()
    shifts = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    mean = torch.stack([size.roll(shift, (0, 1)) for shift in shifts]).mean(0)  # a spectrum is periodic
    return torch.fft.ifft2(torch.polar((size - mean).exp(), spectrum.angle())).abs().square().float()


PLUGIN = Saliency
