"""Training pairs: pictures beside their bases at random qualities, coded once and kept in a folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Generator, Tensor
from tqdm import tqdm

from semlink.codecs._learned.shipped import is_small
from semlink.codecs._sources import ladder
from semlink.codecs._sources.coders import coder
from semlink.codecs.semlink.hybrid.base import Base, draw_base, read_base
from semlink.codecs.semlink.hybrid.transform import CELL
from semlink.simulator.files import write_aside

BUDGETS = ((0.008, 2.5), (0.08, 5.0))  # bits per pixel of photographs and of thumbnails
DRAWN, DRAWN_BYTES = 0.5, (4, 48)  # share and lengths of the bases of thumbnails that are quantised coefficients
SOURCE = "hevc"


@dataclass(frozen=True)
class Pair:
    """A picture and its base, uint8 `[3, H, W]`, sides multiples of 8; bits per pixel of the base."""

    picture: Tensor
    base: Tensor
    bpp: float


def coded_pairs(pictures: Sequence[Tensor], path: Path, seed: int, processes: int) -> list[Pair]:
    """One pair of every uint8 picture, bases read from the file at `path` or made and left there."""
    pictures = [p[:, : p.shape[1] // CELL * CELL, : p.shape[2] // CELL * CELL].contiguous() for p in pictures]
    if not path.exists():
        with get_context("spawn").Pool(processes) as pool:
            jobs = ((p.numpy(), seed, i) for i, p in enumerate(pictures))
            coded = list(tqdm(pool.imap(_code, jobs, chunksize=16), path.stem, len(pictures), unit="picture"))
        arrays = {str(i): base for i, (base, _) in enumerate(coded)}
        write_aside(path, partial(_write, {**arrays, "bpp": np.array([bpp for _, bpp in coded], np.float32)}))
    with np.load(path) as file:
        bpp = file["bpp"]
        return [Pair(p, torch.from_numpy(file[str(i)]), float(bpp[i])) for i, p in enumerate(pictures)]


def _code(job: tuple[np.ndarray, int, int]) -> tuple[np.ndarray, float]:
    picture, seed, index = job
    base = random_base(np.ascontiguousarray(picture.transpose(1, 2, 0)), np.random.default_rng((seed, index)))
    return base.picture.contiguous().numpy(), base.bpp


def random_base(picture: np.ndarray, rng: np.random.Generator) -> Base:
    """A base of a uint8 `[H, W, 3]` picture, of a random kind and size."""
    height, width = picture.shape[:2]
    small, source = is_small(height, width), coder(SOURCE)
    if small and rng.random() < DRAWN:
        return draw_base(picture, int(rng.integers(*DRAWN_BYTES)))
    budget = np.exp(rng.uniform(*np.log(BUDGETS[small]))) * height * width / 8
    found = cast(ladder.Coded, ladder.code(source, picture, max(ladder.FLAT_BYTES, int(budget))))
    return read_base(found.data, height, width, source)


def _write(arrays: dict[str, np.ndarray], path: Path) -> None:
    with open(path, "wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def random_pairs(
    pairs: Sequence[Pair], groups: int, per_group: int, crop: int, generator: Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Crops of random pairs, `per_group` of the same pair next to each other, half of the groups mirrored.

    Pictures and bases float32 `[groups * per_group, 3, crop, crop]` in [0, 1], bits per pixel `[groups * per_group]`;
    crops lie on the grid of 8x8 cells.
    """
    draws = torch.rand(groups, 2 + 2 * per_group, generator=generator, device=generator.device).tolist()
    chosen = [pairs[int(draw[0] * len(pairs))] for draw in draws]
    crops = [_crops(pair, draw, crop) for pair, draw in zip(chosen, draws, strict=True)]
    both = torch.cat(crops).float() / 255
    return both[:, :3], both[:, 3:], torch.tensor([p.bpp for p in chosen]).repeat_interleave(per_group)


def _crops(pair: Pair, draws: list[float], crop: int) -> Tensor:
    """Picture and base together, uint8 `[per_group, 6, crop, crop]`."""
    both = torch.cat([pair.picture, pair.base])
    rows, columns = ((side - crop) // CELL + 1 for side in both.shape[1:])
    places = [(int(y * rows) * CELL, int(x * columns) * CELL) for y, x in zip(draws[2::2], draws[3::2], strict=True)]
    crops = torch.stack([both[:, y : y + crop, x : x + crop] for y, x in places])
    return crops.flip(3) if draws[1] < 0.5 else crops
