"""Files written whole or not at all, in folders that one run holds at a time; OSErrors as one line with the remedy."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from semlink.simulator.errors import SemlinkError

ASIDE = ".aside"  # marks what is being written beside a file
_FORGOTTEN_S = 24 * 3600  # after which what another machine has half written is nobody's


def lock(out: str | Path) -> IO[str]:
    """Keep other runs out of the folder until the returned file is closed, or the process ends."""
    try:
        import fcntl
    except ImportError:  # no such lock on Windows
        return open(os.devnull)
    with mending(Path(out)):
        handle = open(Path(out) / ".lock", "a+")  # noqa: SIM115 - held open as long as the run
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        handle.seek(0)
        who = handle.read(200).strip()
        handle.close()
        by = f" ({who})" if who else ""
        raise SemlinkError(f"another run{by} is writing to {out}; wait for it or choose another --out") from None
    with mending(Path(out)):
        handle.truncate(0)
        handle.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        handle.flush()
    return handle


def aside_of(path: Path) -> Path:
    """Where this process writes what will be `path`: no other has that name, on whichever machine of a shared disk."""
    return path.with_name(f"{path.name}{ASIDE}-{socket.gethostname()}-{os.getpid()}")


def is_left_over(aside: Path) -> bool:
    """Whether nobody goes on writing it: its process has ended, or it is another machine's and a day old."""
    host, _, process = aside.name.rpartition(f"{ASIDE}-")[2].rpartition("-")
    if not host or not process.isdigit():
        return True
    if host == socket.gethostname():
        return not _runs(int(process))
    try:
        return time.time() - aside.stat().st_mtime > _FORGOTTEN_S
    except FileNotFoundError:
        return False


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        return True
    return process != os.getpid()  # this one writes nothing at the moment


def write_aside(path: Path, write: Callable[[Path], Any]) -> None:
    """Let `write` make a file beside `path`, sync it and rename it: readers see the old file or the whole new one."""
    aside = aside_of(path)
    with mending(path):
        try:
            write(aside)
            _sync(aside)
            os.replace(aside, path)
            _sync(path.parent)
        finally:
            aside.unlink(missing_ok=True)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """`value` as readable JSON at `path`, all or nothing."""
    text = json.dumps(value, indent=2, default=str) + "\n"
    write_aside(path, lambda aside: aside.write_text(text))


def write_table(path: Path, head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A CSV file at `path`, all or nothing: a line of names, then a line per row; floats with six digits."""

    def write(aside: Path) -> None:
        with open(aside, "w", newline="") as handle:
            writer = csv.writer(handle, lineterminator="\n")
            writer.writerow(head)
            writer.writerows([_spell(value) for value in row] for row in rows)

    write_aside(path, write)


def _spell(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)  # single precision rounds the seventh digit


def is_here(path: str | Path) -> bool:
    """Whether a file or folder of that name is here; False too for text that is no file name, such as a long prompt."""
    return os.path.exists(path)


def slug(text: str) -> str:
    """`text` as a file name, another for every text; long ones are cut, and those that lose more end in a hash."""
    name = re.sub(r"[^A-Za-z0-9.+=-]+", "_", text)
    if len(name) <= 120 and re.fullmatch(r"[A-Za-z0-9.+=:,_-]*", text):
        return name
    return f"{name[:100]}_{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def check_file(path: Path) -> None:
    """SemlinkError for what is there but no file: a folder, or a pipe, which would be waited for without end."""
    if os.path.exists(path) and not os.path.isfile(path):  # a name that is too long for one is left to who opens it
        raise SemlinkError(f"{path}: a folder, pipe or device, not a file")


def read_json(path: Path, wrong: str) -> Any:
    """What a JSON file says. FileNotFoundError where there is none; SemlinkError for any other, see `reading`."""
    with reading(path, wrong):
        return json.loads(path.read_text(encoding="utf-8"))


def file_digest(path: str | Path) -> str:
    """SHA-256 of a file's contents. SemlinkError for what is no file."""
    check_file(Path(path))
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def digest(path: str | Path) -> str:
    """SHA-256 of a file's contents, or of a folder's: names and contents of all files in it but the hidden ones."""
    place = Path(path)
    if not place.is_dir():
        return file_digest(place)
    inside = sorted(file.relative_to(place) for file in place.rglob("*") if file.is_file())
    told = "".join(f"{p.as_posix()} {file_digest(place / p)}\n" for p in inside if not _hidden(p))
    return hashlib.sha256(told.encode()).hexdigest()


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


class reading:
    """All that libraries raise on a damaged or foreign file as one-line SemlinkErrors; what is no file is refused.

    wrong: what the file is not, and the remedy. FileNotFoundErrors and SemlinkErrors pass.
    """

    def __init__(self, path: Path, wrong: str) -> None:
        self._path, self._wrong = path, wrong

    def __enter__(self) -> None:
        check_file(self._path)

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, SemlinkError | FileNotFoundError):
            raise SemlinkError(f"{self._path}: {self._wrong} ({_first_line(error)})") from error


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:200] or type(error).__name__


class mending:
    """OSErrors on `path` as one-line SemlinkErrors that say what to do."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            raise SemlinkError(
                f"cannot write {self._path}: {error.strerror or error}; what was measured is kept: "
                "make room or choose another --out, then give the same command again"
            ) from error


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
