"""One pass of hybrid coding over tensors, the same in training and in use: base, residual, symbols, picture."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from semlink.codecs.semlink.hybrid import transform
from semlink.codecs.semlink.hybrid.allocation import Allocation, allocate, levels_of
from semlink.codecs.semlink.hybrid.networks import HybridNetwork, about_base, about_reception, band_errors, size_of
from semlink.simulator import forms
from semlink.simulator.tiles import in_tiles

AT_ONCE = 24  # coefficients of a cell whose errors are worked out together: large pictures fill gigabytes


@dataclass(frozen=True)
class Expectation:
    """What both ends expect of a picture whose base they know.

    base: `[batch, 3, H, W]` in about [0, 1], or uint8; picture: in about [0, 1]; log_sigma: `[batch, 192, H / 8,
    W / 8]`; levels: int16 of that shape, see `levels_of`; bpp, small: `[batch]`.
    """

    base: Tensor
    picture: Tensor
    log_sigma: Tensor
    levels: Tensor
    bpp: Tensor
    small: Tensor

    def residual(self, pictures: Tensor) -> Tensor:
        """Coefficients of what the expectation misses, `[batch, 192, H / 8, W / 8]`."""
        missed = in_tiles(lambda p, q: transform.forward((p - q).float()), 0, transform.CELL, (1, 1), transform.CELL)
        return missed(pictures, self.picture)


def expect(network: HybridNetwork, base: Tensor, bpp: Tensor, small: Tensor) -> Expectation:
    """The expectation for bases `[batch, 3, H, W]` in [0, 1], or uint8, of `bpp` bits per pixel.

    small: 1 for thumbnails. The spread is computed in the dtype of its network: float64 where both ends must agree on
    its order.
    """
    known, exact = about_base(bpp, small), network.spread.last.weight.dtype

    def spread(part: Tensor, told: Tensor) -> tuple[Tensor, Tensor]:
        log_sigma = network.spread(unit(part, exact), told.to(exact))
        return levels_of(log_sigma.detach()), log_sigma.float()

    def restore(part: Tensor, told: Tensor) -> Tensor:
        return network.restore(unit(part), told)

    levels, log_sigma = in_tiles(spread, network.spread.reach, transform.CELL, (1, None), transform.CELL)(base, known)
    picture = in_tiles(restore, network.restore.reach, transform.CELL, (1, None), 1)(base, known)
    return Expectation(base, picture, log_sigma, levels, bpp, small)


def unit(base: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """A base in about [0, 1], of that dtype; bytes are so much smaller that large pictures stay that."""
    return base.to(dtype) / 255 if base.dtype == torch.uint8 else base.to(dtype)


def allocation_of(expected: Expectation, count: int, snr_db: Tensor) -> Allocation:
    """The allocation of `count` real dimensions over each group of pictures; snr_db `[groups]` makes the groups."""
    return allocate(expected.levels.reshape(len(snr_db), -1), count, snr_db)


def receive(
    network: HybridNetwork, expected: Expectation, allocation: Allocation, x_hat: Tensor, a: Tensor, scale: Tensor
) -> Tensor:
    """Pictures `[batch, 3, H, W]` from symbols `[groups, up to count / 2]`; scale `[groups]`."""
    per_group = len(expected.log_sigma) // len(scale)
    scales = scale.repeat_interleave(per_group)
    received, bands, error = _linear(expected, allocation, x_hat, a, scale)
    snr_db, share = (v.repeat_interleave(per_group) for v in heard(a, allocation.places))
    known = about_reception(expected.bpp, expected.small, snr_db, share, scales)

    def refine(base: Tensor, *told: Tensor) -> Tensor:
        return network.refine(unit(base), *told)

    refined = in_tiles(refine, network.refine.reach, transform.CELL, (1, 1, 1, transform.CELL, None, None), 1)
    return refined(expected.base, expected.picture, received, bands, error, known)


def _linear(
    expected: Expectation, allocation: Allocation, x_hat: Tensor, a: Tensor, scale: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """What the linear estimate makes of symbols: pictures, and how far off they still are, by bands and as a whole."""
    shape, scales = expected.log_sigma.shape, scale.repeat_interleave(len(expected.log_sigma) // len(scale))
    found, left = allocation.estimate(x_hat, a, scale)
    errors = left.reshape(shape)
    for part in (slice(start, start + AT_ONCE) for start in range(0, shape[1], AT_ONCE)):
        errors[:, part] *= (2 * expected.log_sigma.detach()[:, part]).exp_().mul_(scales.square()[:, None, None, None])
    told = band_errors(errors), size_of(errors)
    del left, errors
    inverse = in_tiles(transform.inverse, 0, transform.CELL, (transform.CELL,), 1)
    return inverse(found.reshape(shape)).add_(expected.picture), *told


def heard(a: Tensor, places: int) -> tuple[Tensor, Tensor]:
    """SNR in dB that the mean reliability of what came amounts to, and share of the coefficients that came."""
    came = a > 0
    mean = a.sum(1) / came.sum(1).clamp_min(1)
    return forms.snr_db(mean, least=1e-4), 2 * came.sum(1) / places
