"""The network of `cmd`: a clip as one content frame and two planes of motion, and back (CMD, Yu et al., ICLR 2024).

Content frame: a sum over time of the frames, with weights that a softmax over time makes for each pixel and channel.
Motion: the features' means over columns and over rows, a few numbers per frame and row, per frame and column. The
decoder adds content and motion up, cell by cell, and makes all frames in one pass. Both ways are transformers with
attention over time and over space in turn (TimeSformer), on pixels in cells of 8x8, with sizes of our own. Ours too:
what the decoder makes is added to the content frame, reliability is an input, and a group may hold a cut.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semlink.codecs.video._motion import CELL

PIXELS = 3 * CELL**2


@dataclass(frozen=True)
class Split:
    """content: `[batch, scenes, 3, H, W]`. motion: `[batch, latents, frames, H/8 + W/8]`, of rows and of columns."""

    content: Tensor
    motion: Tensor


class ContentMotionNetwork(nn.Module):
    """latents: numbers of motion per frame and row or column of cells. hidden, depth, heads: of each transformer.

    Clips are `[batch, frames, 3, H, W]` in [0, 1], sides that 8 divides; scenes `[frames]` says which scene a frame is
    of: 0, or 1 behind a cut.
    """

    def __init__(self, latents: int = 4, hidden: int = 128, depth: int = 3, heads: int = 4) -> None:
        super().__init__()
        self.settings = {"latents": latents, "hidden": hidden, "depth": depth, "heads": heads}
        self.latents, self.hidden = latents, hidden
        self.seen = nn.Linear(PIXELS, hidden)
        self.encoder = nn.ModuleList(Block(hidden, heads) for _ in range(depth))
        self.weights = nn.Linear(hidden, PIXELS)
        self.motion = nn.Linear(hidden, latents)
        self.of_content = nn.Linear(PIXELS + 1, hidden)
        self.of_motion = nn.Linear(latents + 1, hidden)
        self.decoder = nn.ModuleList(Block(hidden, heads) for _ in range(depth))
        self.shown = nn.Linear(hidden, PIXELS)
        nn.init.zeros_(self.shown.weight)
        nn.init.zeros_(self.shown.bias)

    def split(self, clips: Tensor, scenes: Tensor) -> Split:
        """A clip as content and motion; motion is not normalised."""
        x = _tokens(clips)
        h = self.seen(x) + _places(x, self.hidden)
        for block in self.encoder:
            h = block(h)
        logits = self.weights(h)
        content = [_weighted(x[:, scenes == s], logits[:, scenes == s]) for s in range(int(scenes.max()) + 1)]
        rows, columns = self.motion(h.mean(3)), self.motion(h.mean(2))
        return Split(_frames(torch.stack(content, 1)), torch.cat([rows, columns], 2).permute(0, 3, 1, 2))

    def join(self, found: Split, reliability: tuple[Tensor, Tensor], scenes: Tensor) -> Tensor:
        """Frames, not clamped, of what arrived. reliability: `a` of content `[batch, scenes]` and of motion
        `[batch, latents, frames, H/8 + W/8]`.
        """
        content, heard = _tokens(found.content)[:, scenes], reliability[0][:, scenes]
        height, width = content.shape[2:4]
        plane = heard[:, :, None, None, None].expand(-1, -1, height, width, 1)
        motion = torch.cat([found.motion, reliability[1].mean(1, keepdim=True)], 1).permute(0, 2, 3, 1)
        rows, columns = self.of_motion(motion).split([height, width], 2)
        h = self.of_content(torch.cat([content, plane], -1)) + rows[:, :, :, None] + columns[:, :, None]
        h = h + _places(content, self.hidden)
        for block in self.decoder:
            h = block(h)
        return _frames(content + self.shown(h)) / 2 + 0.5


class Block(nn.Module):
    """Attention over time, attention over space, a hidden layer, each beside a straight way (TimeSformer, divided)."""

    def __init__(self, hidden: int, heads: int) -> None:
        super().__init__()
        self.time, self.space = Attention(hidden, heads), Attention(hidden, heads)
        self.norm = nn.LayerNorm(hidden)
        last = nn.Linear(4 * hidden, hidden)
        self.layers = nn.Sequential(nn.Linear(hidden, 4 * hidden), nn.GELU(), last)
        nn.init.zeros_(last.weight)

    def forward(self, h: Tensor) -> Tensor:
        """`[batch, frames, rows, columns, hidden]`."""
        batch, frames, rows, columns, hidden = h.shape
        over_time = h.reshape(batch, frames, -1, hidden).transpose(1, 2)
        h = h + self.time(over_time).transpose(1, 2).reshape(h.shape)
        h = h + self.space(h.reshape(batch, frames, rows * columns, hidden)).reshape(h.shape)
        return h + self.layers(self.norm(h))


class Attention(nn.Module):
    """Of the second last axis, with normalised input; the last weights start at zero."""

    def __init__(self, hidden: int, heads: int) -> None:
        super().__init__()
        self.heads, self.norm = heads, nn.LayerNorm(hidden)
        self.inward, self.outward = nn.Linear(hidden, 3 * hidden), nn.Linear(hidden, hidden)
        nn.init.zeros_(self.outward.weight)

    def forward(self, x: Tensor) -> Tensor:
        """`[batch, sets, tokens, hidden]`."""
        parts = self.inward(self.norm(x)).unflatten(-1, (3, self.heads, -1)).movedim(-3, 0)
        query, key, value = (part.transpose(-3, -2) for part in parts)
        found = F.scaled_dot_product_attention(query, key, value)
        return self.outward(found.transpose(-3, -2).flatten(-2))


def _tokens(clips: Tensor) -> Tensor:
    """Clips `[batch, frames, 3, H, W]` in [0, 1] as cells `[batch, frames, H/8, W/8, PIXELS]` within -1 and 1."""
    return F.pixel_unshuffle(2 * clips - 1, CELL).permute(0, 1, 3, 4, 2)


def _frames(tokens: Tensor) -> Tensor:
    """Back to `[batch, frames, 3, H, W]`, still within -1 and 1."""
    return F.pixel_shuffle(tokens.permute(0, 1, 4, 2, 3), CELL)


def _weighted(x: Tensor, logits: Tensor) -> Tensor:
    """Sum over time with weights of a softmax over time."""
    return (x * logits.softmax(1)).sum(1)


def _places(like: Tensor, hidden: int) -> Tensor:
    """Sines of time, row and column `[frames, rows, columns, hidden]`."""
    frames, rows, columns = like.shape[1:4]
    share = hidden // 8
    time, down, across = (
        _sines(n, size, like) for n, size in ((frames, 2 * share), (rows, 3 * share), (columns, 3 * share))
    )
    whole = (frames, rows, columns, -1)
    parts = time[:, None, None].expand(whole), down[None, :, None].expand(whole), across[None, None].expand(whole)
    return torch.cat([*parts, like.new_zeros(frames, rows, columns, hidden - 8 * share)], -1)


def _sines(count: int, size: int, like: Tensor) -> Tensor:
    """Sines and cosines `[count, size]` of periods from 4 to 400 places; size is even."""
    periods = 4 * 100 ** (torch.arange(size // 2, device=like.device, dtype=like.dtype) / max(1, size // 2 - 1))
    angle = 2 * math.pi * torch.arange(count, device=like.device, dtype=like.dtype)[:, None] / periods
    return torch.cat([angle.sin(), angle.cos()], 1)
