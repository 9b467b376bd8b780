"""The receiver's network: a diffusion U-Net that sees a coarse picture beside its state and a class map through SPADE.

After Pezone et al., "Semantic-preserving image coding based on conditional diffusion models" (arXiv 2310.15737) and
Park et al., "Semantic image synthesis with spatially-adaptive normalization" (2019). It answers with the clean picture,
whatever the schedule: it is told the signal share alpha of its state, and preconditioned around the coarse picture as
Karras et al., "Elucidating the design space of diffusion-based generative models" (2022) do around zero.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

TOLD = 3  # numbers that tell the coarse picture: whether there is one, its factor, its bits
SPREAD = (0.5, 0.16)  # rms of a picture in [-1, 1] around grey, and around its coarse picture
FEATURES = 32  # of the noise level


class Modulated(nn.Module):
    """Group normalisation, scaled and shifted by the noise level and, where there is one, by the class map."""

    def __init__(self, width: int, told: int, map_width: int = 0) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(16, width, affine=False)
        self.by_level = nn.Linear(told, 2 * width)
        self.by_map = nn.Conv2d(map_width, 2 * width, 1) if map_width else None

    def forward(self, x: Tensor, told: Tensor, classes: Tensor) -> Tensor:
        change = self.by_level(told)[:, :, None, None]
        if self.by_map is not None:
            change = change + self.by_map(classes)
        gain, offset = change.chunk(2, dim=1)
        return self.norm(x) * (1 + gain) + offset


class Block(nn.Module):
    """Two modulated convolutions around a skip."""

    def __init__(self, inputs: int, width: int, told: int, map_width: int = 0) -> None:
        super().__init__()
        self.first_norm = Modulated(inputs, told, map_width)
        self.first = nn.Conv2d(inputs, width, 3, padding=1)
        self.second_norm = Modulated(width, told, map_width)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        self.around = nn.Conv2d(inputs, width, 1) if inputs != width else nn.Identity()
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor, told: Tensor, classes: Tensor) -> Tensor:
        y = self.first(F.silu(self.first_norm(x, told, classes)))
        y = self.second(F.silu(self.second_norm(y, told, classes)))
        return self.around(x) + y


class Attention(nn.Module):
    """Self-attention among the places of the coarsest level."""

    def __init__(self, width: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(16, width)
        self.ask = nn.Conv2d(width, 3 * width, 1)
        self.answer = nn.Conv2d(width, width, 1)
        nn.init.zeros_(self.answer.weight)

    def forward(self, x: Tensor) -> Tensor:
        batch, width, height, length = x.shape
        parts = self.ask(self.norm(x)).reshape(batch, 3, self.heads, width // self.heads, -1).transpose(-1, -2)
        found = F.scaled_dot_product_attention(parts[:, 0], parts[:, 1], parts[:, 2])
        return x + self.answer(found.transpose(-1, -2).reshape(batch, width, height, length))


class ClassMap(nn.Module):
    """Features of a class map for each level of the network; all that follows from a zero map is of no picture."""

    def __init__(self, classes: int, patch: int, width: int, levels: int) -> None:
        super().__init__()
        self.patch = patch
        self.enter = nn.Conv2d(classes * patch**2, width, 1)
        self.look = nn.Conv2d(width, width, 3, padding=1)
        self.down = nn.ModuleList(nn.Conv2d(width, width, 3, 2, 1) for _ in range(levels - 1))

    def forward(self, classes: Tensor) -> list[Tensor]:
        """Class shares `[batch, classes, H, W]` to features, the finest first."""
        x = F.silu(self.enter(F.pixel_unshuffle(classes, self.patch)))
        found = [F.silu(self.look(x))]
        for down in self.down:
            found.append(F.silu(down(found[-1])))
        return found


class SpadeUNet(ModelMixin, ConfigMixin):
    """classes: how many a map may hold. patch: the network sees patch x patch pixels as channels of one place.

    widths: features per level, multiples of 16, each level of half the resolution of the one before. The coarsest has
    attention; the way down knows nothing of the map, as in the paper.
    """

    config_name = "config.json"

    @register_to_config
    def __init__(
        self, classes: int = 11, patch: int = 4, widths: tuple[int, ...] = (64, 80, 112), map_width: int = 48
    ) -> None:
        super().__init__()
        told = 4 * widths[0]
        planes = 3 * patch**2
        pairs = list(zip(widths[:-1], widths[1:], strict=True))
        self.tell = nn.Sequential(nn.Linear(2 * FEATURES + TOLD, told), nn.SiLU(), nn.Linear(told, told), nn.SiLU())
        self.map = ClassMap(classes, patch, map_width, len(widths))
        self.enter = nn.Conv2d(2 * planes, widths[0], 3, padding=1)
        self.down_blocks = nn.ModuleList(Block(w, w, told) for w in widths)
        self.down = nn.ModuleList(nn.Conv2d(fine, rough, 3, 2, 1) for fine, rough in pairs)
        self.middle = nn.ModuleList(Block(widths[-1], widths[-1], told, map_width) for _ in range(2))
        self.attention = Attention(widths[-1])
        self.up = nn.ModuleList(nn.Conv2d(rough, fine, 1) for fine, rough in pairs)
        self.up_blocks = nn.ModuleList(Block(2 * w, w, told, map_width) for w in widths)
        self.leave_norm = Modulated(widths[0], told, map_width)
        self.leave = nn.Conv2d(widths[0], planes, 3, padding=1)
        nn.init.zeros_(self.leave.weight)

    @property
    def unit(self) -> int:
        """Height and width of its pictures are multiples of this, in px."""
        return self.config.patch * 2 ** (len(self.config.widths) - 1)

    def forward(self, state: Tensor, alpha: Tensor, coarse: Tensor, told: Tensor, classes: Tensor) -> Tensor:
        """The clean picture `[batch, 3, H, W]` in [-1, 1], of a state sqrt(alpha) x + sqrt(1 - alpha) n.

        alpha: `[batch]`. coarse: up-sampled, as the state, 0 where lost. told: `[batch, TOLD]`, see `about`. classes:
        shares of the classes `[batch, classes, H, W]`; all 0 where nothing is known.
        """
        sigma = ((1 - alpha) / alpha).sqrt()
        spread = torch.where(told[:, 0] > 0, SPREAD[1], SPREAD[0])
        total = (sigma.square() + spread.square()).sqrt()
        shares = spread**2 / total**2, sigma * spread / total, 1 / total
        keep, take, scale = (each[:, None, None, None] for each in shares)
        around = state / alpha.sqrt()[:, None, None, None] - coarse
        answer = self._answer(scale * around, sigma, coarse, told, classes)
        return coarse + keep * around + take * answer

    def _answer(self, around: Tensor, sigma: Tensor, coarse: Tensor, told: Tensor, classes: Tensor) -> Tensor:
        patch = self.config.patch
        known = self.tell(torch.cat([waves(sigma.log() / 4), told], 1))
        maps = self.map(classes)
        x = self.enter(F.pixel_unshuffle(torch.cat([around, coarse], 1), patch))
        skips = []
        for level, block in enumerate(self.down_blocks):
            x = block(x if level == 0 else self.down[level - 1](x), known, maps[level])
            skips.append(x)
        x = self.middle[1](self.attention(self.middle[0](x, known, maps[-1])), known, maps[-1])
        for level in reversed(range(len(skips))):
            x = self.up_blocks[level](torch.cat([x, skips[level]], 1), known, maps[level])
            if level:
                x = F.interpolate(self.up[level - 1](x), scale_factor=2, mode="nearest")
        x = self.leave(F.silu(self.leave_norm(x, known, maps[0])))
        return F.pixel_shuffle(x, patch)


def waves(value: Tensor) -> Tensor:
    """Sines and cosines `[batch, 2 FEATURES]` of values `[batch]` of about -1 to 1."""
    rates = math.pi * torch.exp(torch.linspace(-1.0, 3.0, FEATURES, device=value.device, dtype=value.dtype))
    angles = value[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], 1)


def about(factor: float, bits: float, height: int, width: int) -> list[float]:
    """What the network is told of a coarse picture: that it is there, its factor, its bits per pixel of its own.

    factor: by which its sides are smaller than height and width, in px. Of none: NO_COARSE.
    """
    own = max(bits, 8.0) * factor**2 / (height * width)
    return [1.0, math.log2(factor) / 3, math.log2(own) / 3]


NO_COARSE = [0.0] * TOLD
