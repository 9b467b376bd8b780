"""The network of SwinJSCC, for every SNR and rate.

Encoder: patches, stages of windowed attention with patch merging between, Channel ModNet, Rate ModNet, linear layer to
the planes. Decoder: linear layer, ModNet, mirrored stages. The decoder's ModNet knows the SNR that the mean reliability
`a` of what came amounts to and the share of the planes that came; the `a` of every symbol is an input beside x_hat, so
that under fading the decoder knows what to believe.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from semlink.codecs._learned.modulated import steering
from semlink.codecs._learned.prefix import heard
from semlink.codecs._learned.trained import RangedNetwork
from semlink.codecs.swinjscc.stages import Expand, Merge, small_weights, stage

MODNET_LAYERS = 7
MODNET_WIDENING = 1.5


class Size(NamedTuple):
    """patch: px of the first layer's squares; widths, depths (blocks) and heads of the stages, each at half the
    resolution of the one before; window: places of a side."""

    patch: int
    widths: tuple[int, ...]
    depths: tuple[int, ...]
    heads: tuple[int, ...]
    window: int


class SwinNetwork(RangedNetwork):
    """Encoder and decoder with `planes` complex symbols per cell; the other settings are those of `Size`."""

    def __init__(
        self,
        planes: int,
        patch: int,
        widths: tuple[int, ...],
        depths: tuple[int, ...],
        heads: tuple[int, ...],
        window: int,
    ) -> None:
        super().__init__()
        size = Size(patch, tuple(widths), tuple(depths), tuple(heads), window)
        self.settings = {
            "planes": planes,
            **{k: [*v] if isinstance(v, tuple) else v for k, v in size._asdict().items()},
        }
        self.planes = planes
        self.encoder = Encoder(2 * planes, size)
        self.decoder = Decoder(3 * planes, size)
        self.unit, self.reach = cell_of(patch, widths) * window, (reach_of(size, 1), reach_of(size, -1))

    def encode(self, images: Tensor, snr_db: Tensor, planes: int) -> Tensor:
        """Pictures `[batch, 3, H, W]` in [0, 1], SNR in dB `[batch]` to the first planes `[batch, 2 m, h, w]`."""
        share = torch.full_like(snr_db, planes / self.planes)
        latent = self.encoder((2 * images - 1).permute(0, 2, 3, 1), steering(self.snrs.told(snr_db)), of_share(share))
        real, imaginary = latent.permute(0, 3, 1, 2).chunk(2, dim=1)
        return torch.cat([real[:, :planes], imaginary[:, :planes]], 1)

    def told(self, a: Tensor) -> Tensor:
        """What `decode` pools over a picture's `a`: `heard` as `[batch, 2]`."""
        return torch.stack(heard(a), 1)

    def decode(self, z: Tensor, a: Tensor, told: Tensor | None = None) -> Tensor:
        """x_hat as real `[batch, 2 M, h, w]` and its `a` `[batch, M, h, w]`, 0 where nothing came, to pictures."""
        snr_db, share = (self.told(a) if told is None else told).unbind(1)
        snr_db, z, a = self.snrs.heard(snr_db, z, a)
        known = torch.cat([steering(snr_db), of_share(share)], 1)
        pictures: Tensor = self.decoder(torch.cat([z, a], 1).permute(0, 2, 3, 1), known)
        return pictures.permute(0, 3, 1, 2) / 2 + 0.5


def cell_of(patch: int, widths: tuple[int, ...]) -> int:
    """Side in px of the square behind a place of the latent."""
    return int(patch * 2 ** (len(widths) - 1))


def reach_of(size: Size, turn: int) -> int:
    """px that stages, in order or (turn -1) backwards, see beyond a line on which windows end.

    What lies beyond spreads to the end of the windows that it touches, in every second block of shifted ones.
    """
    reach, half = 0, size.window - size.window // 2
    for level, depth in [*enumerate(size.depths)][::turn]:
        place = size.patch * 2**level
        for block in range(depth):
            begin = place * half if block % 2 else 0
            reach = begin + max(0, -(-(reach - begin) // (place * size.window))) * place * size.window
    return reach


def of_share(share: Tensor) -> Tensor:
    """Share of the planes `[batch]` as `[batch, 1]` of order 1."""
    return share[:, None].clamp_min(1 / 256).log2() / 4 + 1


class Encoder(nn.Module):
    """Pictures in [-1, 1], `[batch, H, W, 3]`, with SNR and rate `[batch, 1]`, to `[batch, h, w, outputs]`."""

    def __init__(self, outputs: int, size: Size) -> None:
        super().__init__()
        patch, widths, depths, heads, window = size
        self.stages = nn.Sequential(Merge(3, widths[0], patch, norm=False))
        for i, width in enumerate(widths):
            if i:
                self.stages.append(Merge(widths[i - 1], width, 2))
            self.stages.append(stage(width, depths[i], heads[i], window))
        self.norm = nn.LayerNorm(widths[-1])
        self.last = nn.Linear(widths[-1], outputs)
        small_weights(self)
        self.channel_mod = ModNet(widths[-1], 1)
        self.rate_mod = ModNet(widths[-1], 1)

    def forward(self, x: Tensor, snr: Tensor, rate: Tensor) -> Tensor:
        x = self.norm(self.stages(x))
        return self.last(self.rate_mod(self.channel_mod(x, snr), rate))


class Decoder(nn.Module):
    """What came with its reliability, `[batch, h, w, inputs]`, SNR and share, `[batch, 2]`, to pictures in [-1, 1]."""

    def __init__(self, inputs: int, size: Size) -> None:
        super().__init__()
        patch, widths, depths, heads, window = size
        self.first = nn.Linear(inputs, widths[-1])
        self.stages = nn.Sequential()
        for i in reversed(range(len(widths))):
            self.stages.append(stage(widths[i], depths[i], heads[i], window))
            self.stages.append(Expand(widths[i], widths[i - 1], 2) if i else Expand(widths[0], 3, patch))
        small_weights(self)
        self.mod = ModNet(widths[-1], 2)

    def forward(self, received: Tensor, known: Tensor) -> Tensor:
        return self.stages(self.mod(self.first(received), known))


class ModNet(nn.Module):
    """x times gates in (0, 1): sigmoid(W_8 h_7), h_i = (W_i h_{i-1}) * g_i(known), h_0 = x, g_i a perceptron's sigmoid.

    As in the authors' code, no gradient flows into x by way of the gates.
    """

    def __init__(self, width: int, conditions: int) -> None:
        super().__init__()
        wide = int(MODNET_WIDENING * width)
        self.layers = nn.ModuleList(doubling(wide if i else width, wide) for i in range(MODNET_LAYERS))
        self.gates = nn.ModuleList(gate(conditions, wide) for _ in self.layers)
        self.last = nn.Linear(wide, width)

    def forward(self, x: Tensor, known: Tensor) -> Tensor:
        h = x.detach()
        for layer, gate_of in zip(self.layers, self.gates, strict=True):
            h = layer(h) * gate_of(known)[:, None, None]
        return x * torch.sigmoid(self.last(h))


def doubling(inputs: int, outputs: int) -> nn.Linear:
    """A linear layer that begins by doubling what comes, as gates begin at about 1/2."""
    layer = nn.Linear(inputs, outputs)
    nn.init.normal_(layer.weight, std=2 * inputs**-0.5)
    return layer


def gate(conditions: int, width: int) -> nn.Sequential:
    """Perceptron of three layers from what is known to gates in (0, 1)."""
    return nn.Sequential(
        nn.Linear(conditions, width),
        nn.ReLU(),
        nn.Linear(width, width),
        nn.ReLU(),
        nn.Linear(width, width),
        nn.Sigmoid(),
    )
