"""Sensitivity: pixels count as much as a network's loss moves with them, |d loss / d pixel| (Simonyan et al., 2014).

The loss is that of a task, the U-Net's cross entropy against its own decision, or that of a codec, the squared error
of its own noiseless round trip.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from semlink import codecs
from semlink.codecs._learned.codec import LatentCodec, from_symbols, pad_to_cells, to_symbols
from semlink.codecs._learned.shipped import local
from semlink.codecs._regions.unet import CAMVID, load
from semlink.codecs.importance._maps import blurred, check_share, check_sigma, hardened, in_unit_range, one_by_one
from semlink.simulator.errors import SemlinkError


@dataclass(frozen=True)
class Gradient:
    """codec: a learned codec with one analog stream, whose loss is asked; none: the U-Net's. rho, snr_db: of the codec.

    sigma: smoothing in px. share: part of the pixels that is the region of interest; 0 keeps the soft map, whose
    largest value is 1. weights: a file of your own for the network. SemlinkError for settings out of range.
    """

    codec: str | None = None
    rho: float = 1 / 12
    snr_db: float = 10.0
    sigma: float = 4.0
    share: float = 0.25
    weights: str | None = None

    def __post_init__(self) -> None:
        check_share(self.share)
        check_sigma(self.sigma)

    def files(self) -> tuple[Path, ...]:
        """The weights of the network whose loss is asked."""
        return _codec(self.codec, self.rho, self.weights).files() if self.codec else local(self.weights or CAMVID)

    def maps(self, images: Tensor) -> Tensor:
        """Maps `[batch, H, W]`; hard ones unless share is 0. No gradient flows back through them."""
        return one_by_one(self._map, images)

    def _map(self, picture: Tensor) -> Tensor:
        with torch.enable_grad():
            pixels = picture[None].clone().requires_grad_()
            loss = self._codec_loss(pixels) if self.codec else self._task_loss(pixels)
            (slope,) = torch.autograd.grad(loss, pixels)
        energy = blurred(slope[0].abs().sum(0), self.sigma)
        return hardened(in_unit_range(energy), self.share)

    def _task_loss(self, pixels: Tensor) -> Tensor:
        logits = load(Path(self.weights).resolve() if self.weights else CAMVID)(pixels)
        return F.cross_entropy(logits, logits.argmax(1), reduction="sum")

    def _codec_loss(self, pixels: Tensor) -> Tensor:
        codec = _codec(self.codec, self.rho, self.weights)
        network = codec.network(*pixels.shape[-2:])
        padded = pad_to_cells(pixels, codec.cell)
        symbols = to_symbols(network.encode(padded, torch.full((1,), self.snr_db)))
        rows, columns = (side // codec.cell for side in padded.shape[-2:])
        a = torch.full((1, codec.planes, rows, columns), 1 / (1 + 10 ** (-self.snr_db / 10)))
        z = from_symbols(symbols, codec.planes, rows, columns) * a.repeat(1, 2, 1, 1)
        return (network.decode(z, a) - padded).square().sum()


@lru_cache(maxsize=4)
def _codec(name: str | None, rho: float, weights: str | None) -> Any:
    """The codec; SemlinkError when it is none with one latent."""
    codec = codecs.create(str(name), rho=rho, **({"weights": weights} if weights else {}))
    if not isinstance(codec, LatentCodec) or type(codec).encode is not LatentCodec.encode:
        raise SemlinkError(f"gradient: codec {name!r} is no network with one latent; take adjscc or deepjscc")
    return codec


PLUGIN = Gradient
