"""Planning a sweep: a configuration and a list of images become tasks; pure but for the files that plug-ins read."""

from __future__ import annotations

import os
import platform
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from importlib import metadata
from pathlib import Path
from typing import Any

from semlink.simulator.errors import SemlinkError
from semlink.simulator.files import digest, is_here
from semlink.simulator.plugins import make_codec, make_link
from semlink.simulator.records.store import Condition, Identity, Record, check_same
from semlink.simulator.records.sweep import Sweep
from semlink.simulator.words import Word, parse

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
class ImageBlock:
    """Images of one size that meet the link together; `index` is part of their fades' key."""

    index: int
    positions: tuple[int, ...]
    images: tuple[str, ...]
    height: int
    width: int


@dataclass(frozen=True)
class Task:
    """What a worker does at a time: one codec and rate on one block under some conditions. wanted: records to fill."""

    block: ImageBlock
    wanted: tuple[Record, ...]


def blocks(images: Sequence[str], sizes: Sequence[tuple[int, int]], size: int = BLOCK) -> tuple[ImageBlock, ...]:
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
    return tuple(
        ImageBlock(i, tuple(at), tuple(images[p] for p in at), *pixels) for i, (pixels, at) in enumerate(found)
    )


def plan(sweep: Sweep, found: Sequence[ImageBlock], stored: Iterable[Record], identity: Identity) -> tuple[Task, ...]:
    """Tasks for everything that `stored` does not hold yet, codec after codec, so that none is made again and again."""
    best: dict[tuple[Condition, int], int] = {}
    for record in stored:
        if answers(sweep, record):
            at = record.condition, record.block
            best[at] = max(len(record.images), best.get(at, 0))
    missing = (
        (condition, block)
        for condition in sweep.conditions()
        for block in found
        if best.get((condition, block.index), 0) < len(block.images)
    )
    return tasks_of(sweep, missing, identity)


def answers(sweep: Sweep, record: Record) -> bool:
    """Whether a record holds all that the sweep asks of its pictures."""
    return not record.error and set(sweep.metrics) <= set(record.metrics)


def tasks_of(sweep: Sweep, missing: Iterable[tuple[Condition, ImageBlock]], identity: Identity) -> tuple[Task, ...]:
    """One task a codec, rate and block, with all of its conditions that are missing."""
    tasks: dict[tuple[Any, ...], list[Record]] = {}
    for condition, block in missing:
        record = _empty(sweep, block, condition, identity)
        tasks.setdefault((condition.codec, condition.rho, block), []).append(record)
    return tuple(Task(block, tuple(wanted)) for (_, _, block), wanted in tasks.items())


def checked(
    identity: Identity, found: Sequence[ImageBlock], stored: Iterable[Record], out: str | Path
) -> Iterator[Record]:
    """The stored records, each as it passes. SemlinkError at one that is not of this configuration.

    So it is when a stored block holds other images than the same block of the data set does now.
    """
    now = {block.index: block.images for block in found}
    for record in stored:
        check_same(identity, (record,), out)
        if any(a != b for a, b in zip(record.images, now.get(record.block, ()), strict=False)):
            raise SemlinkError(
                f"{identity.data} no longer holds the images that were measured, or --limit now takes all of them, in "
                f"the order of the set (block {record.block}); choose another --out"
            )
        yield record


def identity_of(
    sweep: Sweep,
    codec: Callable[[Word, float], Any] = make_codec,
    link: Callable[[Word], Any] = make_link,
    block: int = BLOCK,
) -> Identity:
    """What all records of this sweep agree on. codec, link: what makes them of their words. block: images of one."""
    data = os.path.normpath(sweep.data)
    return Identity(data, sweep.seed, block, versions().get("semlink", ""), plugin_files(sweep, codec, link))


def plugin_files(
    sweep: Sweep, codec: Callable[[Word, float], Any] = make_codec, link: Callable[[Word], Any] = make_link
) -> dict[str, str]:
    """SHA-256 of the files and folders that plug-ins declare (`files`), by `word name`.

    One without `files`, or that cannot be made (it fails later, alone), has the files that its word names.
    """
    makers = [(parse(text), partial(codec, parse(text), rho)) for text in sweep.codecs for rho in sweep.rho]
    makers += [(parse(text), partial(link, parse(text))) for text in sweep.channels]
    found = {f"{word} {name}": path for word, make in makers for name, path in declared(word, make).items()}
    digests = {path: digest(path) for path in set(found.values())}
    return {name: digests[path] for name, path in found.items()}


def declared(word: Word, make: Callable[[], Any]) -> dict[str, Path]:
    """What a plug-in declares, by name: as its word spells it, else the file's own, in full where two have the same."""
    spelled = {Path(os.path.expanduser(value)): value for _, value in word.settings if isinstance(value, str)}
    try:
        paths = tuple(dict.fromkeys(path for path in _plugin(make()).files() if is_here(path)))
    except (Exception, SystemExit):  # noqa: BLE001 - a plug-in may raise anything; it is told where it is measured
        paths = tuple(path for path in spelled if is_here(path) and path.is_file())
    names = Counter(path.name for path in paths)
    return {spelled.get(p) or (p.name if names[p.name] == 1 else str(p)): p for p in paths}


def _plugin(made: Any) -> Any:
    """The codec itself; of a link its bare channel."""
    while hasattr(made, "channel"):
        made = made.channel
    return made


def _empty(sweep: Sweep, block: ImageBlock, condition: Condition, identity: Identity) -> Record:
    words = (f"{condition.codec} ", f"{condition.channel} ")
    own = {name: digest for name, digest in identity.files.items() if name.startswith(words)}
    return Record(replace(identity, files=own), condition, block.index, block.images, block.positions, sweep.metrics)


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that shape a result."""
    found = {name: version for name in PACKAGES if (version := _version(name))}
    return {"python": platform.python_version(), **found}


@cache
def _version(package: str) -> str:
    """Of a package of this process, empty where there is none; reading it takes 2 ms."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
