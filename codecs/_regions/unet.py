"""A small U-Net (Ronneberger et al., MICCAI 2015) that names the class of each pixel, and its use picture by picture.

Pictures are `[batch, 3, H, W]` float32 in [0, 1], logits `[batch, classes, H, W]`. The first layer trades resolution
for channels (2 x 2 pixels to one place) and the last trades them back, so that no level works at full resolution.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semlink.codecs._learned.codec import pad_to_cells
from semlink.codecs._learned.shipped import WEIGHTS
from semlink.codecs._learned.weights import read_weights, rebuilt
from semlink.codecs._regions.classes import CLASSES

STRIDE = 16  # px per place of the coarsest level; pictures are padded to multiples of it
SPECK = 64  # px; a class that has fewer in a batch counts less
CAMVID = WEIGHTS / "unet-camvid.safetensors"


class Convolution(nn.Sequential):
    """3 x 3 convolution, batch normalisation, ReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1, dilation: int = 1) -> None:
        convolution = nn.Conv2d(inputs, outputs, 3, stride, dilation, dilation, bias=False)
        super().__init__(convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


class Residual(nn.Module):
    """Two convolutions around a skip."""

    def __init__(self, width: int, dilation: int = 1) -> None:
        super().__init__()
        self.first = Convolution(width, width, dilation=dilation)
        self.second = nn.Conv2d(width, width, 3, 1, dilation, dilation, bias=False)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.norm(self.second(self.first(x))))


class Up(nn.Module):
    """Twice the resolution, joined with what the way down had there."""

    def __init__(self, below: int, width: int) -> None:
        super().__init__()
        self.narrow = nn.Conv2d(below, width, 1)
        self.join = Convolution(2 * width, width)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        wide = F.interpolate(self.narrow(x), scale_factor=2, mode="bilinear", align_corners=False)
        return self.join(torch.cat([wide, skip], dim=1))


class UNet(nn.Module):
    """widths: channels at strides 2, 4, 8 and 16. `settings` rebuilds it."""

    def __init__(self, classes: int = len(CLASSES), widths: tuple[int, ...] = (16, 32, 64, 96)) -> None:
        super().__init__()
        self.settings = {"classes": classes, "widths": list(widths)}
        a, b, c, d = widths
        self.stem = nn.Sequential(nn.PixelUnshuffle(2), Convolution(12, a))
        self.down = nn.ModuleList(
            nn.Sequential(Convolution(wide, narrow, stride=2), Residual(narrow))
            for wide, narrow in ((a, b), (b, c), (c, d))
        )
        self.context = nn.Sequential(Residual(d, dilation=2), Residual(d, dilation=4))
        self.up = nn.ModuleList((Up(d, c), Up(c, b), Up(b, a)))
        self.head = nn.Sequential(nn.Conv2d(a, 4 * classes, 1), nn.PixelShuffle(2))

    def forward(self, pictures: Tensor) -> Tensor:
        """Logits `[batch, classes, H, W]`, for sides of any length."""
        height, width = pictures.shape[-2:]
        levels = [self.stem(pad_to_cells(4 * (pictures - 0.5), STRIDE))]
        for down in self.down:
            levels.append(down(levels[-1]))
        x = self.context(levels.pop())
        for up in self.up:
            x = up(x, levels.pop())
        return self.head(x)[..., :height, :width]


@lru_cache(maxsize=4)
def load(path: Path = CAMVID) -> UNet:
    """The network in evaluation mode, without gradients of its weights; one per file and process.

    SemlinkError when the file is missing, no safetensors file, or holds another network.
    """
    state, settings = read_weights(path)
    network = rebuilt(UNet, settings, state, path)
    return network.requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def segment(network: Any, pictures: Tensor) -> Tensor:
    """Class of each pixel, int64 `[batch, H, W]`; each picture on its own, so that no other changes its last digits."""
    with torch.no_grad():
        return torch.cat([network(picture[None]).argmax(1) for picture in pictures])


def misread(received: Tensor, original: Tensor) -> Tensor:
    """What the CamVid network no longer sees, differentiable in `received` `[batch, 3, H, W]`; 0 for the same pictures.

    KL divergence (nats) of the class odds of each pixel from those in `original`; a mean over the pixels of each class
    that the network sees there, then over these classes, because mIoU counts small classes as much as large ones.
    """
    network = load()
    with torch.no_grad():
        wanted = network(original).log_softmax(1)
    seen = network(received.clamp(0, 1)).log_softmax(1)
    loss = F.kl_div(seen, wanted, reduction="none", log_target=True).sum(1).flatten()
    label = wanted.argmax(1).flatten()
    sums, counts = (loss.new_zeros(wanted.shape[1]).scatter_add(0, label, x) for x in (loss, torch.ones_like(loss)))
    return (sums / counts.clamp_min(SPECK)).sum() / (counts > 0).sum()
