"""Learned codecs with one network for every rate: latent planes in order of importance, of which the first are sent."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Self

import torch.nn.functional as F
from torch import Tensor, nn

from semlink.codecs._learned.codec import LatentCodec, from_symbols, planes_for
from semlink.codecs._learned.shipped import WEIGHTS
from semlink.simulator import forms
from semlink.simulator.errors import SemlinkError


class PrefixCodec(LatentCodec):
    """A learned codec whose network has `most` planes and meets any rate by sending the first m of them.

    Symbols go plane by plane, so every prefix of the received symbols decodes: what did not come has a = 0.
    Networks implement `encode(pictures, snr_db, planes) -> latent [batch, 2 planes, h, w]` and `decode(z, a)` with all
    of their planes; their settings hold `planes`, the most they have.
    """

    most = 64
    beside = False  # a = 0 is what it learnt of planes that are not sent

    def __init__(self, rho: float, weights: str | Path | None, build: Callable[..., nn.Module]) -> None:
        super().__init__(rho, weights, build, variant="")
        self._check(self.planes)

    def at(self, rho: float) -> Self:
        """The same codec, sharing networks, at another rate. SemlinkError when it has no such rate."""
        other = copy.copy(self)
        other.rho, other.planes = rho, planes_for(rho, self.cell)
        self._check(other.planes)
        return other

    def shipped(self, domain: str) -> Path:
        """File of the shipped weights: one for all sizes and rates."""
        return WEIGHTS / f"{self.name}.safetensors"

    def fits(self, settings: dict[str, Any], path: Path) -> dict[str, Any]:
        """Settings to rebuild the network of that file; SemlinkError when it has too few or too many planes."""
        if settings.get("planes", self.most) != self.most:
            raise SemlinkError(f"{path}: trained with {settings['planes']} planes, {self.name} has {self.most}")
        return {**settings, "planes": self.most}

    def new_network(self) -> nn.Module:
        """A network with random weights, for training at every rate."""
        return self._build(planes=self.most)

    def encoder(self, network: Any) -> Callable[[Tensor, Tensor], Tensor]:
        """What maps padded pictures and SNRs to the planes that are sent."""
        return partial(network.encode, planes=self.planes)

    def planes_of(self, x_hat: Tensor, a: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
        """All planes of the network: the received symbols `[batch, k]`, k from 0 up, and a = 0 where none came."""
        rows, columns, places = -(-height // self.cell), -(-width // self.cell), self.kept(height, width)
        x_hat, a = places.spread(x_hat), places.spread(a)
        missing = self.most * rows * columns - a.shape[1]
        if missing < 0:
            raise SemlinkError(f"{self.name}: {a.shape[1]} symbols received, {a.shape[1] + missing} at most")
        x_hat, a = F.pad(x_hat, (0, missing)), F.pad(a, (0, missing))
        return from_symbols(x_hat, self.most, rows, columns), a.reshape(-1, self.most, rows, columns)

    def _check(self, planes: int) -> None:
        if planes > self.most:
            raise SemlinkError(
                f"{self.name} has rates up to {self.most / (3 * self.cell**2):.4f}; choose a smaller rho"
            )


def heard(a: Tensor) -> tuple[Tensor, Tensor]:
    """SNR in dB that the mean of what came amounts to, and share of the planes that came, `[batch]` each.

    a: reliability `[batch, planes, h, w]`, 0 where nothing came.
    """
    share = (a > 0).float().mean((1, 2, 3))
    return forms.snr_db(a.mean((1, 2, 3)) / share.clamp_min(1e-6), least=1e-4), share
