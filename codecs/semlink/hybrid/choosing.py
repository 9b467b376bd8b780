"""Which layout of the menu a picture gets: tried on a mosaic of it, with its own bases and one noisy transmission.

The transmitter knows the picture, the coders and the decoder, so it sees what a layout gives at the SNR that powers are
made for; how that changes from fade to fade is the training pictures' (`quality`).
"""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from semlink.codecs._learned.shipped import is_small
from semlink.codecs._sources.mosaic import mosaic
from semlink.codecs.semlink.hybrid.layouts import Fades, Layout, Menu, score
from semlink.codecs.semlink.hybrid.quality import measured
from semlink.simulator.metrics.psnr import psnr

ACROSS = 2  # tiles of the mosaic in a row and column
MOST_DB = 60.0


class Sender(Protocol):
    """What sends and receives one layout."""

    def trial(self, image: Tensor, layout: Layout, snr_db: float) -> Tensor:
        """The picture `[3, H, W]` that comes of `image` over AWGN when the base arrives."""


def chosen(sender: Sender, images: Tensor, menu: Menu, fades: Fades) -> list[int]:
    """Number of the layout for each picture `[batch, 3, H, W]`."""
    if len(menu.layouts) == 1:
        return [0] * len(images)
    return [_best(sender, image, menu, fades) for image in images]


def _best(sender: Sender, image: Tensor, menu: Menu, fades: Fades) -> int:
    small = torch.from_numpy(mosaic(image.permute(1, 2, 0).numpy(), ACROSS)).permute(2, 0, 1)
    share = small[0].numel() / image[0].numel()
    scores = []
    for layout in menu.layouts:
        came = sender.trial(small, shared(layout, share), fades.design_db)
        seen = min(float(psnr(small[None], came[None])), MOST_DB)
        scores.append(_expected(seen, layout, menu, fades, image))
    return int(np.argmax(scores))


def _expected(seen: float, layout: Layout, menu: Menu, fades: Fades, image: Tensor) -> float:
    """The score of a layout by which a picture came out at `seen` dB at the design SNR."""
    height, width = image.shape[1:]
    quality, pixels = measured(is_small(height, width), "psnr"), height * width
    bpp, rate = 8 * layout.budget / pixels, layout.analog / (3 * pixels)
    usual = quality.of_layout(bpp, rate, np.append(fades.snr_db, fades.design_db))
    arrived = seen + usual[:-1] - usual[-1]
    lost = quality.of_loss(menu.thumbnail > 0, fades.snr_db)
    return score(fades.arrival(layout), arrived, lost, "psnr")


def shared(layout: Layout, share: float) -> Layout:
    """A layout for a picture of that share of the pixels."""
    return Layout(math.floor(layout.base * share), layout.mcs, math.floor(layout.analog * share))
