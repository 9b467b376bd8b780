"""Swin transformer stages (Liu et al. 2103.14030) for maps of any size, channels last: `[batch, H, W, width]`."""

from __future__ import annotations

from torch import Tensor, nn

from semlink.codecs.swinjscc.windows import WindowAttention

MLP_RATIO = 4


class SwinBlock(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x))."""

    def __init__(self, width: int, heads: int, window: int, shifted: bool) -> None:
        super().__init__()
        self.attend = nn.Sequential(nn.LayerNorm(width), WindowAttention(width, heads, window, shifted))
        self.think = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, MLP_RATIO * width), nn.GELU(), nn.Linear(MLP_RATIO * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attend(x)
        return x + self.think(x)


def stage(width: int, depth: int, heads: int, window: int) -> nn.Sequential:
    """Blocks of one resolution; every second one has shifted windows."""
    return nn.Sequential(*(SwinBlock(width, heads, window, shifted=i % 2 == 1) for i in range(depth)))


class Merge(nn.Module):
    """Squares of `patch` x `patch` places become one place: `[batch, H, W, c]` to `[batch, H/p, W/p, outputs]`."""

    def __init__(self, inputs: int, outputs: int, patch: int, norm: bool = True) -> None:
        super().__init__()
        self.patch = patch
        self.norm = nn.LayerNorm(inputs * patch**2) if norm else nn.Identity()
        self.linear = nn.Linear(inputs * patch**2, outputs, bias=not norm)

    def forward(self, x: Tensor) -> Tensor:
        p = self.patch
        squares = x.unflatten(2, (-1, p)).unflatten(1, (-1, p)).transpose(2, 3).flatten(3)
        return self.linear(self.norm(squares))


class Expand(nn.Module):
    """One place becomes a square of `patch` x `patch` places: `[batch, h, w, c]` to `[batch, p h, p w, outputs]`."""

    def __init__(self, inputs: int, outputs: int, patch: int) -> None:
        super().__init__()
        self.patch = patch
        self.norm = nn.LayerNorm(inputs)
        self.linear = nn.Linear(inputs, outputs * patch**2)

    def forward(self, x: Tensor) -> Tensor:
        p = self.patch
        squares = self.linear(self.norm(x)).unflatten(3, (p, p, -1))
        return squares.transpose(2, 3).flatten(3, 4).flatten(1, 2)


def small_weights(network: nn.Module) -> None:
    """Start every linear layer below `network` as Swin does: normal weights of deviation 0.02, biases 0."""
    for layer in network.modules():
        if isinstance(layer, nn.Linear):
            nn.init.trunc_normal_(layer.weight, std=0.02)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
