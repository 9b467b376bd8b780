"""The checksum of a rows file: SHA-256 of all that it holds, kept in it as an attribute, finds any flipped bit.

A file without one, written before there were any, reads as it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:  # h5py loads when a file is read or written
    import h5py

NAME = "sha256"
_LINKS = ("DIMENSION_LIST", "REFERENCE_LIST")  # places in the file, which tell nothing of what was measured
_PACKING = 1100  # bytes that deflate makes of one at most, and some more


def seal(file: h5py.File) -> None:
    """Add the checksum of what a file holds."""
    file.attrs[NAME] = _digest(file)


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
    for name, value in _values(file):
        array = np.asarray(value)
        found.update(f"{name}\x1f{array.dtype.str}{array.shape}\x1f".encode())
        found.update(repr(array.tolist()).encode() if array.dtype.kind in "OSU" else array.tobytes())
    return found.hexdigest()


def _values(file: h5py.File) -> Iterator[tuple[str, Any]]:
    """All attributes and datasets with their names, in order of name."""
    yield from _attributes("", file)
    for name in sorted(file):
        yield from _attributes(name, file[name])
        yield name, file[name][()]


def _attributes(place: str, holder: h5py.File | h5py.Dataset) -> Iterator[tuple[str, Any]]:
    for name in sorted(holder.attrs):
        if name not in (*_LINKS, NAME):
            yield f"{place}@{name}", holder.attrs[name]
