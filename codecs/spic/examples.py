"""What the network learns from: street scenes with coarse pictures that were really coded, and maps as they are sent.

Nothing of a frame is coded twice: each has a few codings at every factor, by several coders, and its maps at every
size of cells, both of its annotation and of what the transmitter's segmenter sees.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Generator, Tensor

from semlink.codecs._diffusion.spade import NO_COARSE, about
from semlink.codecs._regions import unet
from semlink.codecs._regions.training_views import random_colours
from semlink.codecs._regions.unet_training import Frames
from semlink.codecs._sources.coders import SourceCoder, coder
from semlink.codecs.spic import coarse, maps

CODERS = ("hevc", "hevc", "hevc", "avif", "webp", "jpeg")  # which coder codes the coarse pictures, as often
RANGES = {"hevc": (16, 60), "avif": (8, 60), "webp": (2, 80), "jpeg": (8, 75)}  # of qualities
CODINGS = 3  # of each frame at each factor
NO_MAP, NO_PICTURE = 0.15, 0.12  # shares of examples without


class Coded(NamedTuple):
    """A coarse picture uint8 `[h, w, 3]` as the receiver has it, and its bits."""

    picture: np.ndarray
    bits: int


class Batch(NamedTuple):
    """Pictures and grown coarse pictures `[batch, 3, H, W]` in [-1, 1], what is told of them, and maps: shares of the
    classes `[batch, classes, H, W]` and the annotation, int64 `[batch, H, W]`."""

    pictures: Tensor
    coarse: Tensor
    told: Tensor
    shares: Tensor
    truth: Tensor


@dataclass(frozen=True)
class Street:
    """frames: pictures and annotations. coded: of each frame, codings by factor. small: of each frame, maps by kind
    (annotation, segmenter) and size of cells, uint8, in numbers of `names`."""

    frames: Frames
    coded: Sequence[dict[int, list[Coded]]]
    small: Sequence[dict[tuple[int, int], Tensor]]
    names: tuple[str, ...] = unet.CLASSES

    def draw(self, batch: int, crop: int, generator: Generator) -> Batch:
        """Random crops, half of them mirrored, of random frames, in other colours, some without map or coarse picture.

        Map, coding and what is left out are drawn anew each time.
        """
        draws = torch.rand(batch, 10, generator=generator).tolist()
        found = [self._example(crop, *each) for each in draws]
        over = [torch.stack([f[0] for f in found]), torch.stack([f[1] for f in found])]
        both = torch.cat(over, dim=2)  # one over the other, so that both get the same colours
        pictures, grown = (2 * random_colours(both, generator) - 1).chunk(2, dim=2)
        told = torch.tensor([f[2] for f in found])
        grown = torch.where(told[:, :1, None, None] > 0, grown, 0.0)
        return Batch(pictures, grown, told, torch.stack([f[3] for f in found]), torch.stack([f[4] for f in found]))

    def _example(
        self,
        crop: int,
        frame: float,
        top: float,
        left: float,
        mirror: float,
        factor: float,
        coding: float,
        kind: float,
        cell: float,
        merging: float,
        dropped: float,
    ) -> tuple[Tensor, Tensor, list[float], Tensor, Tensor]:
        which = int(frame * len(self.frames.pictures))
        picture, truth = self.frames.pictures[which].float() / 255, self.frames.labels[which].long()
        height, width = truth.shape
        chosen = coarse.FACTORS[int(factor * len(coarse.FACTORS))]
        coded = self.coded[which][chosen][int(coding * CODINGS)]
        side = maps.CELLS[int(cell * len(maps.CELLS))]
        small = maps.grow(self.small[which][int(2 * kind), side], side, height, width)
        groups = maps.groups_of(self.names, maps.MERGED[list(maps.MERGED)[max(0, int(4 * merging) - 1)]])
        shown = maps.shares(maps.merge(small, groups), groups, len(self.names))
        told = about(chosen, coded.bits, height, width)
        if dropped < NO_MAP:
            shown = torch.zeros_like(shown)
        if NO_MAP * 0.8 < dropped < NO_MAP * 0.8 + NO_PICTURE:
            told = NO_COARSE
        y, x = int(top * (height - crop + 1)), int(left * (width - crop + 1))
        grown = coarse.grow(coded.picture, height, width)
        views: list[Tensor] = [each[..., y : y + crop, x : x + crop] for each in (picture, grown, shown, truth)]
        if mirror < 0.5:
            views = [view.flip(-1) for view in views]
        return views[0], views[1], told, views[2], views[3]


def prepare(frames: Frames, seed: int) -> Street:
    """Code the coarse pictures of all frames, and make their maps; seconds per dozen frames."""
    pairs = zip(*frames, strict=True)
    seen = unet.segment(unet.load(), frames.pictures.float() / 255) if len(frames.pictures) else frames.labels
    small = [_maps(truth, found) for (_, truth), found in zip(pairs, seen, strict=True)]
    coded = [_codings(picture.float() / 255, random.Random(f"{seed} {i}")) for i, picture in enumerate(frames.pictures)]
    return Street(frames, coded, small)


def _maps(truth: Tensor, seen: Tensor) -> dict[tuple[int, int], Tensor]:
    count = len(unet.CLASSES)
    kinds = (truth.clamp_max(count), seen.to(torch.uint8))
    return {(k, cell): maps.shrink(kind, cell, count) for k, kind in enumerate(kinds) for cell in maps.CELLS}


def _codings(picture: Tensor, draws: random.Random) -> dict[int, list[Coded]]:
    return {
        factor: [_coded(coarse.shrink(picture, factor), coder(draws.choice(CODERS)), draws) for _ in range(CODINGS)]
        for factor in coarse.FACTORS
    }


def _coded(small: np.ndarray, source: SourceCoder, draws: random.Random) -> Coded:
    data = source.encode(small, draws.randint(*RANGES[source.name]))
    return Coded(source.decode(data, *small.shape[:2]), 8 * len(data))
