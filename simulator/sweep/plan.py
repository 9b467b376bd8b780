"""Planning a sweep: a configuration and a list of images become tasks; pure but for the files that plug-ins read."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeGuard

from semlink.simulator.errors import SemlinkError
from semlink.simulator.files import file_digest
from semlink.simulator.records.store import Condition, Identity, Record
from semlink.simulator.records.sweep import Sweep
from semlink.simulator.words import parse

BLOCK = 32  # images of a block and of one draw of fades: another number would be another experiment
PACKAGES = (
    "semlink",
    "numpy",
    "torch",
    "tensorflow",
    "sionna",
    "h5py",
    "pillow",
    "scikit-image",
    "imagecodecs",
    "pillow-heif",
    "av",
)


@dataclass(frozen=True)
class Block:
    """Images of one size that meet the link together; `index` is part of their fades' key."""

    index: int
    positions: tuple[int, ...]
    images: tuple[str, ...]
    height: int
    width: int


@dataclass(frozen=True)
class Task:
    """What a worker does at a time: one codec and rate on one block under some conditions. wanted: records to fill."""

    block: Block
    wanted: tuple[Record, ...]


def blocks(images: Sequence[str], sizes: Sequence[tuple[int, int]], size: int = BLOCK) -> tuple[Block, ...]:
    """Group images by (height, width) into blocks of at most `size`, numbered in the order in which they open.

    More images at the end of the list fill the last blocks and add new ones, and change nothing else.
    """
    found: list[tuple[tuple[int, int], list[int]]] = []
    open_block: dict[tuple[int, int], list[int]] = {}
    for position, pixels in enumerate(sizes):
        if pixels not in open_block or len(open_block[pixels]) == size:
            open_block[pixels] = []
            found.append((pixels, open_block[pixels]))
        open_block[pixels].append(position)
    return tuple(Block(i, tuple(at), tuple(images[p] for p in at), *pixels) for i, (pixels, at) in enumerate(found))


def plan(sweep: Sweep, found: Sequence[Block], stored: Iterable[Record], identity: Identity) -> tuple[Task, ...]:
    """Tasks for everything that `stored` does not hold yet."""
    kept = {
        (r.condition, r.block, len(r.images)) for r in stored if not r.error and set(sweep.metrics) <= set(r.metrics)
    }
    best: dict[tuple[Condition, int], int] = {}
    for condition, index, images in kept:
        best[condition, index] = max(images, best.get((condition, index), 0))
    tasks: dict[tuple[Any, ...], list[Record]] = {}
    for block in found:
        for condition in sweep.conditions():
            if best.get((condition, block.index), 0) < len(block.images):
                record = _empty(sweep, block, condition, identity)
                tasks.setdefault((block, condition.codec, condition.rho), []).append(record)
    return tuple(Task(block, tuple(wanted)) for (block, _, _), wanted in tasks.items())


def check_images(found: Sequence[Block], stored: Iterable[Record], data: str) -> None:
    """SemlinkError when a stored block holds other images than the same block of the data set does now."""
    now = {block.index: block.images for block in found}
    for record in stored:
        if any(a != b for a, b in zip(record.images, now.get(record.block, ()), strict=False)):
            raise SemlinkError(
                f"{data} no longer holds the images that were measured (block {record.block}); choose another --out"
            )


def identity_of(sweep: Sweep) -> Identity:
    """What all records of this sweep agree on."""
    data = os.path.normpath(sweep.data)
    return Identity(
        data, sweep.seed, BLOCK, versions().get("semlink", ""), plugin_files((*sweep.codecs, *sweep.channels))
    )


def plugin_files(words: Iterable[str]) -> dict[str, str]:
    """SHA-256 of the files that plug-ins read, those in settings and shipped weights and tables, by `word path`."""
    files: dict[str, str] = {}
    for text in words:
        word = parse(text)
        files |= {f"{word} {value}": file_digest(value) for _, value in word.settings if _is_file(value)}
        files |= {f"{word} {path.name}": file_digest(path) for path in _shipped(word.name)}
    return files


def _is_file(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and Path(value).is_file()


def _shipped(name: str) -> list[Path]:
    """Weights and tables, not cards, that come with a built-in plug-in: files named `name-...` or `name.suffix`."""
    homes = [spec for package in ("semlink.codecs", "semlink.channels") if (spec := find_spec(package))]
    places = [Path(place) for spec in homes for place in spec.submodule_search_locations or ()]
    folders = [place / kind for place in places for kind in ("weights", "tables")]
    found = (path for folder in folders for mark in "-." for path in folder.glob(f"{name}{mark}*"))
    return sorted(path for path in found if path.parent.name == "tables" or path.suffix == ".safetensors")


def _empty(sweep: Sweep, block: Block, condition: Condition, identity: Identity) -> Record:
    words = (f"{condition.codec} ", f"{condition.channel} ")
    own = {name: digest for name, digest in identity.files.items() if name.startswith(words)}
    return Record(replace(identity, files=own), condition, block.index, block.images, block.positions, sweep.metrics)


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that shape a result."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {"python": platform.python_version(), **found}
