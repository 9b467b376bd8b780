"""Pairs to train hybrid coding on and pairs held out, and crops of them as batches."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from semlink.codecs._learned.shipped import SMALL
from semlink.codecs.semlink.hybrid.pairs import Pair, coded_pairs, random_pairs
from semlink.codecs.semlink.hybrid.transform import CELL
from semlink.simulator import data
from semlink.simulator.training.pictures import refuse_tests

HELD_OUT = 50  # every so-manieth picture is held out


class Split(NamedTuple):
    """Pairs to train on, and those held out."""

    train: list[Pair]
    held_out: list[Pair]


class Crops(NamedTuple):
    """Pictures and bases `[batch, 3, H, W]` in [0, 1]; bits per pixel, and 1 for thumbnails, `[batch]` each."""

    pictures: Tensor
    base: Tensor
    bpp: Tensor
    small: Tensor

    def to(self, device: str) -> Crops:
        """The same on a device."""
        return Crops(*(part.to(device) for part in self))


def split_pairs(names: Sequence[str], folder: Path, variants: int, seed: int) -> Split:
    """The pairs of sets, to train on and held out; the pictures held out are the same in all variants of a set.

    Bases are made once and kept in `folder`. SemlinkError for a test set.
    """
    found = [variant for name in names for variant in variants_of(name, folder, variants, seed)]
    train = [pair for variant in found for i, pair in enumerate(variant) if i % HELD_OUT]
    return Split(train, [pair for variant in found for pair in variant[::HELD_OUT]])


def variants_of(name: str, folder: Path, variants: int, seed: int) -> list[list[Pair]]:
    """The pairs of a set, one list a variant. SemlinkError for a test set."""
    refuse_tests([name])
    folder.mkdir(parents=True, exist_ok=True)
    pictures = [(p * 255).round().to(torch.uint8) for p in data.load(name)]
    paths = [folder / f"{name.replace('/', '_')}-{variant}.npz" for variant in range(variants)]
    return [coded_pairs(pictures, path, seed + i, os.cpu_count() or 1) for i, path in enumerate(paths)]


def random_crops(
    pairs: Sequence[Pair], groups: int, per_group: int, side: int, small: bool, generator: Generator
) -> Crops:
    """What `random_pairs` draws; small: they are thumbnails."""
    pictures, base, bpp = random_pairs(pairs, groups, per_group, side, generator)
    return Crops(pictures, base, bpp, torch.full_like(bpp, float(small)))


def central_crops(pairs: Sequence[Pair], side: int) -> Crops:
    """The middle of each pair, on the grid of cells."""
    both = torch.stack([_centre(pair, side) for pair in pairs]).float() / 255
    bpp = torch.tensor([pair.bpp for pair in pairs])
    return Crops(both[:, :3], both[:, 3:], bpp, torch.full_like(bpp, float(side <= SMALL)))


def _centre(pair: Pair, side: int) -> Tensor:
    """Picture and base together, uint8 `[6, side, side]`."""
    both = torch.cat([pair.picture, pair.base])
    y, x = ((length - side) // (2 * CELL) * CELL for length in both.shape[1:])
    return both[:, y : y + side, x : x + side]
