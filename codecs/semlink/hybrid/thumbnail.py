"""A thumbnail on analog symbols: what is shown where the base of a picture is lost.

The picture, a quarter as wide and high, on the first two planes of `semlink`'s network: under one hundredth of the uses
at usual rates, and it decodes at any SNR, better on better channels.
"""

from __future__ import annotations

from typing import Protocol

import torch.nn.functional as F
from torch import Tensor

from semlink.simulator.values import ReceivedStream, Reception, Session, Stream, Transmission, TxInfo

SHRUNK = 4
PLANES = 2
CELL = 8
DESIGN_DB = 0.0  # SNR that its symbols are made for: a base is lost where the channel is bad


class Planes(Protocol):
    """A codec of analog planes at a rate of `PLANES`."""

    def encode(self, images: Tensor, tx: TxInfo | None = None) -> Transmission:
        """One analog stream."""

    def decode(self, reception: Reception) -> Tensor:
        """Pictures of it."""


def size_of(height: int, width: int) -> tuple[int, int]:
    """Height and width of the thumbnail, whole cells."""
    return tuple(max(1, round(side / SHRUNK / CELL)) * CELL for side in (height, width))  # type: ignore[return-value]


def uses_of(height: int, width: int) -> int:
    """Channel uses of the thumbnail of pictures of that size."""
    rows, columns = size_of(height, width)
    return PLANES * rows * columns // CELL**2


def encode(planes: Planes, images: Tensor) -> Stream:
    """Pictures `[batch, 3, H, W]` in [0, 1] as the stream `thumbnail`."""
    small = resized(images, size_of(*images.shape[-2:]))
    sent = planes.encode(small, TxInfo(snr_db=DESIGN_DB)).streams[0]
    return Stream("thumbnail", "analog", sent.payload)


def decode(planes: Planes, x_hat: Tensor, a: Tensor, height: int, width: int) -> Tensor:
    """Pictures `[batch, 3, height, width]` from the symbols of a thumbnail."""
    stream = ReceivedStream("latent", "analog", x_hat=x_hat, a=a)
    small = planes.decode(Reception((stream,), Session(*size_of(height, width))))
    return resized(small, (height, width))


def resized(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Pictures at another size, in [0, 1]."""
    return F.interpolate(images.float(), size=size, mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)
