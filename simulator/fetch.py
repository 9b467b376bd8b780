"""Published files, fetched once by pooch and checked, where there is a network and SEMLINK_OFFLINE is not set."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from semlink.simulator.errors import SemlinkError

OFFLINE = "SEMLINK_OFFLINE"
PATIENCE_S = 10  # until a server answers, and between two pieces of a file


@dataclass(frozen=True)
class Published:
    """A file on the net. digest: the SHA-256 of what it holds."""

    url: str
    digest: str

    @property
    def file(self) -> str:
        """Its name, there and here."""
        return self.url.rpartition("/")[2]

    @property
    def host(self) -> str:
        """Whose it is."""
        return urlsplit(self.url).netloc


def fetched(files: Sequence[Published], folder: Path, what: str) -> list[Path]:
    """The files in that folder, those that are not there with the right contents fetched first; a line on stderr says
    so with `what` they are.

    SemlinkError in a line: no network, SEMLINK_OFFLINE, a server without the file, other contents (which are not kept),
    or a folder that cannot be written.
    """
    if os.environ.get(OFFLINE):
        raise SemlinkError(f"nothing is fetched while {OFFLINE} is set")
    print(f"{what}: fetching from {files[0].host} into {folder}", file=sys.stderr)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        return [_fetched(file, folder) for file in files]
    finally:
        with suppress(OSError):  # it stays with what came
            folder.rmdir()


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """A folder that cannot be written as a SemlinkError in a line."""
    try:
        yield
    except OSError as error:
        raise SemlinkError(f"cannot write {folder} ({error.strerror or error})") from error


def _fetched(file: Published, folder: Path) -> Path:
    import pooch  # brings requests, which nothing else needs
    from requests import RequestException

    pooch.get_logger().setLevel(logging.ERROR)  # it tells what is said here
    patient = pooch.HTTPDownloader(timeout=PATIENCE_S, progressbar=False)
    with writing(folder):
        try:
            return Path(pooch.retrieve(file.url, f"sha256:{file.digest}", file.file, folder, downloader=patient))
        except RequestException as error:
            raise SemlinkError(f"{file.url} cannot be fetched ({_reason(error)})") from error
        except ValueError as error:  # pooch says so in three lines
            raise SemlinkError(f"{file.url} has another checksum than what was published, and is not kept") from error


def _reason(error: Exception) -> str:
    from requests import HTTPError, Timeout

    if isinstance(error, HTTPError) and error.response is not None:
        return f"HTTP {error.response.status_code}"
    return "no answer in time" if isinstance(error, Timeout) else "no connection"
