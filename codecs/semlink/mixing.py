"""Mixing of symbols, so that all have about the same power: for analog symbols of very different powers.

An error of channel estimation is multiplied by the symbol that it meets, so strong symbols are never better than the
estimate, though their share of the power was meant to make them so. Groups of real dimensions from all over a stream
are mixed by a Hadamard matrix H, x = H u, as SoftCast does against packet loss (Jakubczak and Katabi, MobiCom 2011).
Of the link's contract for a real dimension, x_hat = a x + noise of variance a (1 - a), the best linear estimate of u
with variances p is

    u_hat = (diag(1 / p) + H^T diag(a / (1 - a)) H)^-1 H^T (x_hat / (1 - a)),

p x_hat / (a p + 1 - a) for a dimension that is not mixed. What did not come has a = 0.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from semlink.simulator.values import Reception, Transmission

TOLD = "mixed symbols"  # constant of a session: how many
MIXED = 16  # dimensions of a group, a power of 2
LARGEST = 1 - 1e-6  # reliability
AT_ONCE = 1 << 11  # groups of a picture


def mixed_planes(sent: Transmission) -> Transmission:
    """A transmission of planes whose symbols are mixed; both ends know how many there are."""
    symbols = mixed_symbols(cast(Tensor, sent.streams[0].payload))
    session = replace(sent.session, constants={TOLD: symbols.shape[1]})
    return Transmission((replace(sent.streams[0], payload=symbols),), session)


def unmixed_planes(reception: Reception) -> Reception:
    """A reception of mixed planes, all or the first of the symbols, as one of planes."""
    stream, session = reception.stream("latent"), reception.session
    x_hat, a = cast(Tensor, stream.x_hat), cast(Tensor, stream.a)
    missing = int(session.constants[TOLD]) - a.shape[1]
    x_hat, a = unmixed_symbols(F.pad(x_hat, (0, missing)), F.pad(a, (0, missing)))
    return replace(reception, streams=(replace(stream, x_hat=x_hat, a=a),))


def mixed_symbols(x: Tensor) -> Tensor:
    """Symbols complex64 `[batch, n]`, mixed; their power as it was."""
    return torch.view_as_complex(mixed(torch.view_as_real(x)).contiguous())


def unmixed_symbols(x_hat: Tensor, a: Tensor) -> tuple[Tensor, Tensor]:
    """x_hat complex64 and a `[batch, n]` of the symbols before `mixed_symbols`, by the same contract."""
    heard = torch.view_as_real(x_hat)
    u, left = unmixed(heard, a, torch.ones_like(heard))
    return torch.view_as_complex(u.contiguous()), 1 - left.mean(-1)


@cache
def hadamard(size: int) -> Tensor:
    """The orthonormal Hadamard matrix of a power of 2, symmetric."""
    if size == 1:
        return torch.ones(1, 1)
    half = hadamard(size // 2) / math.sqrt(2)
    return torch.cat([torch.cat([half, half], 1), torch.cat([half, -half], 1)])


def grouped(values: Tensor) -> tuple[Tensor, Tensor]:
    """`[batch, n, ...]` as groups `[batch, MIXED, n // MIXED, ...]`, each with members of all n, and the last rest."""
    groups = values.shape[1] // MIXED
    return values[:, : MIXED * groups].unflatten(1, (MIXED, groups)), values[:, MIXED * groups :]


def mixed(u: Tensor) -> Tensor:
    """H u of every group; `[batch, n, 2]`, a symbol's dimensions apart from each other."""
    groups, rest = grouped(u)
    return torch.cat([torch.einsum("ij,bjgk->bigk", hadamard(MIXED).to(u.device), groups).flatten(1, 2), rest], 1)


def unmixed(x_hat: Tensor, a: Tensor, power: Tensor) -> tuple[Tensor, Tensor]:
    """u_hat and the share of its variance left, `[batch, n, 2]`, from x_hat and power alike and a `[batch, n]`."""
    a = a.clamp_max(LARGEST)
    (own, rest), (a_own, a_rest), (p_own, p_rest) = (grouped(v) for v in (x_hat, a, power))
    even = bool((a == a[:, :1]).all())
    found = _rotated(own, a_own, p_own) if even or not own.numel() else _solved(own, a_own, p_own)
    last = _alone(rest, a_rest[..., None], p_rest)
    u, left = (torch.cat([v.flatten(1, 2), w], 1) for v, w in zip(found, last, strict=True))
    return u, left


def _alone(x_hat: Tensor, a: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
    """Of dimensions that are not mixed."""
    return p * x_hat / (a * p + 1 - a), (1 - a) / (a * p + 1 - a)


def _rotated(x_hat: Tensor, a: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
    """Of groups whose symbols are all equally reliable."""
    return _alone(torch.einsum("ij,bjgk->bigk", hadamard(MIXED).to(x_hat.device), x_hat), a[..., None], p)


def _solved(x_hat: Tensor, a: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
    """Of any groups, by inverting the precision of each; so many at once, as each takes 20 kB."""
    parts = zip(*(values.split(AT_ONCE, 2) for values in (x_hat, a, p)), strict=True)
    found = [_inverted(*part) for part in parts]
    u, left = (torch.cat(v, 2) for v in zip(*found, strict=True))
    return u, left


def _inverted(x_hat: Tensor, a: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
    h = hadamard(MIXED).to(x_hat.device)
    told = torch.einsum("ji,bjg,jk->bgik", h.double(), (a / (1 - a)).double(), h.double())
    precision = told[:, :, None] + torch.diag_embed(1 / p.double().permute(0, 2, 3, 1))
    covariance = torch.linalg.inv(precision).to(x_hat.dtype)  # [batch, groups, 2, MIXED, MIXED]
    heard = torch.einsum("ji,bjgk->bgki", h, x_hat / (1 - a)[..., None])
    u = torch.einsum("bgkij,bgkj->bigk", covariance, heard)
    return u, covariance.diagonal(dim1=-2, dim2=-1).permute(0, 3, 1, 2) / p
