"""Which coefficients of a residual travel, at what power, and what the receiver makes of them.

Both ends know the spread sigma of every coefficient. The n largest travel, each a real dimension, at powers p of the
optimum of linear coding, p + 1 / snr proportional to sigma (Lee and Petersen, IEEE Trans. Commun. 1976): of a
coefficient c, u = c sqrt(p) / (sigma scale), with scale from the picture's own power.

They travel mixed (`semlink.mixing`), because the strongest have many times the mean power. Any prefix of the symbols
decodes, the strongest dimensions best.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from semlink.codecs.semlink.mixing import mixed, unmixed

STEPS = 16  # of a level, a factor of two
FARTHEST = 1 << 14  # level, far beyond what any residual has
LEAST_POWER = 0.02
SORTED = 1 << 20  # places that are sorted whole


def levels_of(log_sigma: Tensor) -> Tensor:
    """Spreads on a grid, int16, from natural logarithms: what order goes by, so it is for float64 to compute them."""
    return (log_sigma * (STEPS / math.log(2))).round_().clamp_(-FARTHEST, FARTHEST).to(torch.int16)


def order_of(levels: Tensor, count: int) -> Tensor:
    """Places of the `count` largest of `[batch, places]`, largest first, ties in order: int64 `[batch, count]`."""
    if levels.shape[1] <= SORTED:
        return levels.sort(dim=1, descending=True, stable=True).indices[:, :count]
    return torch.stack([_largest(own, count) for own in levels])


def _largest(levels: Tensor, count: int) -> Tensor:
    """`order_of` a single picture, of which only what is large enough is sorted: a fraction of the memory."""
    lowest = int(levels.min())
    at_least = torch.bincount(levels.int() - lowest).flip(0).cumsum(0).flip(0)
    chosen = (levels >= lowest + int((at_least >= count).sum()) - 1).nonzero()[:, 0]
    return chosen[levels[chosen].sort(descending=True, stable=True).indices[:count]]


def powers(sigma: Tensor, snr_db: Tensor) -> Tensor:
    """p of sigma `[batch, count]`, mean 1, none below about LEAST_POWER; snr_db `[batch]` is what they are made for."""
    noise = 10 ** (-snr_db[:, None] / 10)
    p = ((1 + noise) * sigma / sigma.mean(1, keepdim=True) - noise).clamp_min(LEAST_POWER)
    return p / p.mean(1, keepdim=True)


@dataclass(frozen=True)
class Allocation:
    """order: int64 `[batch, count]`, count even. sigma, power: float32 alike. places: coefficients in all."""

    order: Tensor
    sigma: Tensor
    power: Tensor
    places: int

    def scale(self, residual: Tensor) -> Tensor:
        """What brings the symbols of residuals `[batch, places]` to unit power, `[batch]`."""
        chosen = residual.gather(1, self.order) * self.power.sqrt() / self.sigma
        return chosen.square().mean(1).sqrt().clamp_min(1e-8)

    def symbols(self, residual: Tensor) -> Tensor:
        """complex64 `[batch, count / 2]` of mean power 1 per picture."""
        chosen = residual.gather(1, self.order) * self.power.sqrt() / self.sigma
        x = torch.view_as_complex(mixed(chosen.unflatten(1, (-1, 2))).contiguous())
        return x / x.abs().square().mean(1, keepdim=True).clamp_min(1e-16).sqrt()

    def estimate(self, x_hat: Tensor, a: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        """Coefficients `[batch, places]`, 0 where none came, and the share of their variance still in error.

        x_hat complex64, a float32 `[batch, up to count / 2]`; scale `[batch]`.
        """
        missing = self.order.shape[1] // 2 - x_hat.shape[1]
        heard = F.pad(math.sqrt(2) * torch.view_as_real(x_hat), (0, 0, 0, missing))
        power = self.power.unflatten(1, (-1, 2))
        u, left = (v.flatten(1) for v in unmixed(heard, F.pad(a, (0, missing)), power))
        found = scale[:, None] * self.sigma / self.power.sqrt() * u
        shape = len(found), self.places
        return (
            found.new_zeros(shape).scatter_(1, self.order, found),
            left.new_ones(shape).scatter_(1, self.order, left),
        )


def allocate(levels: Tensor, count: int, snr_db: Tensor) -> Allocation:
    """The allocation for levels `[batch, places]`; count: real dimensions, an even number of at most `places`."""
    order = order_of(levels, count)
    sigma = torch.exp2(levels.gather(1, order) / STEPS)
    return Allocation(order, sigma, powers(sigma, snr_db), levels.shape[1])
