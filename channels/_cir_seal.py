"""The checksum behind a CIR file: SHA-256 of all its bytes but the gains, asked before HDF5 sees them.

On damaged bytes the library may crash, or never come back. HDF5 leaves what is behind its own bytes alone. A file
without one, as others write them, is read as it is.
"""

from __future__ import annotations

import hashlib
import io
import re
from pathlib import Path

_STAMP = re.compile(rb"\nsha256 but gains at (\d{1,18}) of (\d{1,18}): ([0-9a-f]{64})\n\Z")
_LONGEST = 160  # bytes of a stamp
_AT_ONCE = 1 << 20


def seal(path: Path, offset: int, size: int) -> None:
    """Add the checksum to a file whose gains are `size` bytes from `offset` on."""
    with open(path, "r+b") as file:
        end = file.seek(0, io.SEEK_END)
        told = _digest(file, offset, size, end)
        file.seek(end)
        file.write(f"\nsha256 but gains at {offset} of {size}: {told}\n".encode())


def check_seal(path: str) -> None:
    """ValueError for a file whose checksum is not that of its bytes."""
    with open(path, "rb") as file:
        end = file.seek(0, io.SEEK_END)
        file.seek(max(0, end - _LONGEST))
        found = _STAMP.search(file.read())
        if found is None:
            return
        offset, size, told = int(found[1]), int(found[2]), found[3].decode()
        if told != _digest(file, offset, size, end - len(found[0])):
            raise ValueError("not what was written")


def _digest(file: io.BufferedIOBase, offset: int, size: int, end: int) -> str:
    """Of the bytes up to `end`, without `size` of them from `offset` on."""
    digest = hashlib.sha256(f"{offset} {size} {end}".encode())
    for start, stop in ((0, min(offset, end)), (offset + size, end)):
        file.seek(start)
        for place in range(start, stop, _AT_ONCE):
            digest.update(file.read(min(_AT_ONCE, stop - place)))
    return digest.hexdigest()
