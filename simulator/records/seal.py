"""The checksums of a rows file: SHA-256 of its bytes behind them, and of all that it holds as an attribute.

The first is asked before HDF5 sees the file: on damaged bytes the library may crash, or never come back. HDF5 leaves
what is behind its own bytes alone, and cuts it off where it changes the file; then the second finds what was changed.
A file without them, written before there were any, reads as it is.
"""

from __future__ import annotations

import hashlib
import io
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:  # h5py loads when a file is read or written
    import h5py

NAME = "sha256"
_LINKS = ("DIMENSION_LIST", "REFERENCE_LIST")  # places in the file, which tell nothing of what was measured
_AT_ONCE = 1 << 24  # bytes
_STAMP, _STAMPED = b"\nsha256 %s\n", re.compile(rb"\nsha256 ([0-9a-f]{64})\n")
_PACKING = 1100  # bytes that deflate makes of one at most, and some more


def seal(file: h5py.File) -> None:
    """Add the checksum of what a file holds."""
    file.attrs[NAME] = _digest(file)


def stamp(target: io.IOBase) -> None:
    """Add the checksum of its bytes to a file that is open for reading and writing."""
    found = _digest_of(target, target.seek(0, io.SEEK_END))
    target.seek(0, io.SEEK_END)
    target.write(_STAMP % found.encode())


def is_stamped(path: Path) -> bool:
    """Whether a file ends in the checksum of its bytes. ValueError when that is not theirs."""
    with open(path, "rb") as file:
        size = file.seek(0, io.SEEK_END) - len(_STAMP % bytes(64))
        file.seek(max(0, size))
        told = _STAMPED.fullmatch(file.read())
        if told and told[1].decode() != _digest_of(file, size):
            raise ValueError("not what was written")
    return told is not None


def _digest_of(file: io.IOBase, size: int) -> str:
    """Of the first bytes of a file."""
    found = hashlib.sha256()
    file.seek(0)
    for start in range(0, size, _AT_ONCE):
        found.update(file.read(min(_AT_ONCE, size - start)))
    return found.hexdigest()


def check(file: h5py.File) -> None:
    """ValueError when the file claims more than its bytes can hold, or holds something else than when it was sealed."""
    size = file.id.get_filesize()
    for name, dataset in file.items():
        if dataset.nbytes > _PACKING * size:
            raise ValueError(f"{name} claims {dataset.nbytes} bytes in a file of {size}")
    if NAME in file.attrs and file.attrs[NAME] != _digest(file):
        raise ValueError("not what was written")


def _digest(file: h5py.File) -> str:
    found = hashlib.sha256()
    for name, value in _attributes("", file):
        _add(found, name, np.asarray(value))
    for name, dataset in sorted(file.items()):
        for own, value in _attributes(name, dataset):
            _add(found, own, np.asarray(value))
        _add(found, name, dataset)
    return found.hexdigest()


def _add(found: hashlib._Hash, name: str, value: np.ndarray | h5py.Dataset) -> None:
    """All that it holds, in the order of C, some at a time."""
    found.update(f"{name}\x1f{value.dtype.str}{value.shape}\x1f".encode())
    if value.dtype.kind in "OSU":
        found.update(repr(np.asarray(value[()]).tolist()).encode())
        return
    if value.nbytes <= _AT_ONCE:
        found.update(np.ascontiguousarray(value[()]).tobytes())
        return
    sizes = [math.prod(value.shape[axis:]) * value.dtype.itemsize for axis in range(value.ndim + 1)]
    split = next(axis for axis, size in enumerate(sizes) if size <= _AT_ONCE or axis == value.ndim)
    for at in np.ndindex(*value.shape[:split]):
        found.update(np.ascontiguousarray(value[at]).tobytes())


def _attributes(place: str, holder: h5py.File | h5py.Dataset) -> Iterator[tuple[str, Any]]:
    attributes = holder.attrs
    for name in sorted(attributes):
        if name not in (*_LINKS, NAME):
            yield f"{place}@{name}", attributes[name]
