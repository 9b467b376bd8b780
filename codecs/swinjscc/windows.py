"""Attention within windows (Liu et al. 2103.14030) over maps of any size, channels last: `[batch, H, W, width]`.

Attention stays within windows, which every second block shifts by half a window: places attend to each other where
floor((y - shift) / window) and floor((x - shift) / window) agree. A map that is no multiple of the window is padded
inside the attention, where nothing attends to the padding; along a side of at most one window, the window is the side.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Side(NamedTuple):
    """How one side of a map is cut: its places, those of a window, the shift, and the windows that cover it."""

    size: int
    window: int
    shift: int
    windows: int

    @property
    def padded(self) -> int:
        """Places of all windows."""
        return self.window * self.windows


def cut(size: int, window: int, shifted: bool) -> Side:
    """Windows along a side of `size` places; one that fits into a window is not cut, so it needs no shift either."""
    if size <= window:
        return Side(size, size, 0, 1)
    return Side(size, window, window // 2 if shifted else 0, -(-size // window))


class WindowAttention(nn.Module):
    """Attention of `heads` heads with relative position bias within windows of `window` x `window` places."""

    def __init__(self, width: int, heads: int, window: int, shifted: bool) -> None:
        super().__init__()
        self.heads, self.window, self.shifted = heads, window, shifted
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.bias = nn.Parameter(torch.zeros(heads, (2 * window - 1) ** 2))
        self.register_buffer("offsets", offsets(window), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = (cut(size, self.window, self.shifted) for size in x.shape[1:3])
        q, k, v = self._heads(to_windows(self.qkv(x), rows, columns))
        mask = self._mask(rows, columns).to(q.dtype)
        mask = mask.repeat(len(x), 1, 1, 1) if len(mask) > 1 else mask
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.out(from_windows(attended.transpose(1, 2).flatten(2), rows, columns))

    def _heads(self, windows: Tensor) -> Tensor:
        """Windows `[n, places, 3 width]` as `[3, n, heads, places, width / heads]`."""
        return windows.unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)

    def _mask(self, rows: Side, columns: Side) -> Tensor:
        """What is added to the logits: `[windows or 1, heads, places, places]`."""
        h, w = rows.window, columns.window
        bias = self.bias[:, self.offsets[:h, :w, :h, :w].reshape(h * w, h * w)]  # type: ignore[index]  # a buffer
        same = attended_places(rows, columns, self.bias.device)
        return bias[None] if same is None else torch.where(same, bias, -torch.inf)


def offsets(window: int) -> Tensor:
    """Index of key minus query in a table of (2 window - 1)^2 offsets, `[y_q, x_q, y_k, x_k]`, row by row from the
    upper left."""
    place = torch.arange(window)
    apart = place[None, :] - place[:, None] + window - 1
    return apart[:, None, :, None] * (2 * window - 1) + apart[None, :, None, :]


def attended_places(rows: Side, columns: Side, device: torch.device) -> Tensor | None:
    """Which places of each window attend to each other, bool `[windows, 1, places, places]`; None: all.

    Padding attends to padding, as a row without any key would be no distribution.
    """
    if all(side.shift == 0 and side.padded == side.size for side in (rows, columns)):
        return None
    groups = _groups(rows, device)[:, None] * (columns.windows + 1) + _groups(columns, device)
    real = _real(rows, device)[:, None] & _real(columns, device)
    groups = torch.where(real, groups, -1)[None, :, :, None]
    group = _partition(_rolled(groups, rows, columns), rows, columns)[..., 0]
    return (group[:, :, None] == group[:, None, :])[:, None]


def _groups(side: Side, device: torch.device) -> Tensor:
    """1 + floor((place - shift) / window) of every place."""
    places = torch.arange(side.padded, device=device)
    return 1 + torch.div(places - side.shift, side.window, rounding_mode="floor")


def _real(side: Side, device: torch.device) -> Tensor:
    return torch.arange(side.padded, device=device) < side.size


def to_windows(x: Tensor, rows: Side, columns: Side) -> Tensor:
    """`[batch, H, W, width]`, padded and shifted, as windows `[batch * windows, places, width]`."""
    padding = (0, 0, 0, columns.padded - columns.size, 0, rows.padded - rows.size)
    return _partition(_rolled(F.pad(x, padding) if any(padding) else x, rows, columns), rows, columns)


def from_windows(windows: Tensor, rows: Side, columns: Side) -> Tensor:
    """Inverse of `to_windows`."""
    grid = windows.view(-1, rows.windows, columns.windows, rows.window, columns.window, windows.shape[-1])
    x = grid.transpose(2, 3).reshape(-1, rows.padded, columns.padded, windows.shape[-1])
    x = x.roll((rows.shift, columns.shift), (1, 2)) if rows.shift or columns.shift else x
    return x[:, : rows.size, : columns.size]


def _rolled(x: Tensor, rows: Side, columns: Side) -> Tensor:
    """Places moved up and left by the shift, round the edge."""
    return x.roll((-rows.shift, -columns.shift), (1, 2)) if rows.shift or columns.shift else x


def _partition(x: Tensor, rows: Side, columns: Side) -> Tensor:
    grid = x.reshape(-1, rows.windows, rows.window, columns.windows, columns.window, x.shape[-1])
    return grid.transpose(2, 3).reshape(-1, rows.window * columns.window, x.shape[-1])
