"""One pass of hybrid coding over tensors, the same in training and in use: base, residual, symbols, picture."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from semlink.codecs.semlink.hybrid import transform
from semlink.codecs.semlink.hybrid.allocation import Allocation, allocate, levels_of
from semlink.codecs.semlink.hybrid.networks import HybridNetwork, about_base, about_reception, size_of
from semlink.simulator import forms
from semlink.simulator.tiles import in_tiles


@dataclass(frozen=True)
class Expectation:
    """What both ends expect of a picture whose base they know.

    base, picture: `[batch, 3, H, W]` in about [0, 1]; log_sigma `[batch, 192, H / 8, W / 8]`, perhaps float64; bpp,
    small: `[batch]`.
    """

    base: Tensor
    picture: Tensor
    log_sigma: Tensor
    bpp: Tensor
    small: Tensor

    def residual(self, pictures: Tensor) -> Tensor:
        """Coefficients of what the expectation misses, `[batch, 192, H / 8, W / 8]`."""
        return transform.forward((pictures - self.picture).float())


def expect(network: HybridNetwork, base: Tensor, bpp: Tensor, small: Tensor) -> Expectation:
    """The expectation for bases `[batch, 3, H, W]` in [0, 1] of `bpp` bits per pixel; small: 1 for thumbnails.

    The spread is computed in the dtype of its network: float64 where both ends must agree on its order.
    """
    known, exact = about_base(bpp, small), network.spread.last.weight.dtype
    spread = in_tiles(network.spread, network.spread.reach, transform.CELL, (1, None), transform.CELL)
    restore = in_tiles(network.restore, network.restore.reach, transform.CELL, (1, None), 1)
    log_sigma = spread(base.to(exact), known.to(exact))
    return Expectation(base.float(), restore(base.float(), known), log_sigma, bpp, small)


def allocation_of(expected: Expectation, count: int, snr_db: Tensor) -> Allocation:
    """The allocation of `count` real dimensions over each group of pictures; snr_db `[groups]` makes the groups."""
    return allocate(levels_of(expected.log_sigma.detach()).reshape(len(snr_db), -1), count, snr_db)


def receive(
    network: HybridNetwork, expected: Expectation, allocation: Allocation, x_hat: Tensor, a: Tensor, scale: Tensor
) -> Tensor:
    """Pictures `[batch, 3, H, W]` from symbols `[groups, up to count / 2]`; scale `[groups]`."""
    shape, groups = expected.log_sigma.shape, len(scale)
    found, left = allocation.estimate(x_hat, a, scale)
    per_group = shape[0] // groups
    scales = scale.repeat_interleave(per_group)
    variance = (2 * expected.log_sigma.detach().float()).exp() * scales.square()[:, None, None, None]
    errors = left.reshape(shape) * variance
    received = expected.picture + transform.inverse(found.reshape(shape))
    snr_db, share = (v.repeat_interleave(per_group) for v in heard(a, allocation.places))
    known = about_reception(expected.bpp, expected.small, snr_db, share, scales)
    refine = in_tiles(network.refine, network.refine.reach, transform.CELL, (1, 1, 1, transform.CELL, None, None), 1)
    return refine(expected.base, expected.picture, received, errors, size_of(errors), known)


def heard(a: Tensor, places: int) -> tuple[Tensor, Tensor]:
    """SNR in dB that the mean reliability of what came amounts to, and share of the coefficients that came."""
    came = a > 0
    mean = a.sum(1) / came.sum(1).clamp_min(1)
    return forms.snr_db(mean, least=1e-4), 2 * came.sum(1) / places
