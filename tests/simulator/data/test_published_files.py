"""Sets and weights that are fetched, from a server on this machine: whole, once, checked, and told in a line."""

import io
import socket
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from web import Web, serving

from semlink.simulator import data
from semlink.simulator.data import published
from semlink.simulator.errors import SemlinkError
from semlink.simulator.fetch import OFFLINE, Published, fetched

PICTURES = ("kodim01.png", "kodim02.png", "kodim03.png")


def png(grey: int) -> bytes:
    held = io.BytesIO()
    Image.new("RGB", (4, 4), (grey,) * 3).save(held, "PNG")
    return held.getvalue()


def cifar() -> bytes:
    """The archive, of 5 + 1 batches of two pictures."""
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w:gz") as packed:
        for number, name in enumerate((*data.CIFAR_TRAIN, *data.CIFAR_TEST)):
            inside = tarfile.TarInfo(f"{data.CIFAR}/{name}")
            inside.size = 2 * data.CIFAR_ROW
            packed.addfile(inside, io.BytesIO(bytes([40 * number]) * inside.size))
    return held.getvalue()


@pytest.fixture
def web(tmp_path, monkeypatch):
    """The sets as served here, and an empty data root that is still to be made."""
    monkeypatch.setenv("SEMLINK_DATA", str(tmp_path / "root"))
    monkeypatch.delenv(OFFLINE)
    files = {name: png(50 * number) for number, name in enumerate(PICTURES)}
    with serving({**files, "cifar-10-binary.tar.gz": cifar()}) as web:
        monkeypatch.setattr(published, "KODAK", tuple(map(web.published, PICTURES)))
        monkeypatch.setattr(published, "CIFAR", web.published("cifar-10-binary.tar.gz"))
        yield web


def test_kodak_is_fetched_once_whole_and_in_order(web: Web, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    found = data.load("kodak")
    assert found.ids == PICTURES and [round(255 * float(picture[0, 0, 0])) for picture in found] == [0, 50, 100]
    said = capsys.readouterr()
    assert said.err.count("\n") == 1 and said.err.startswith("kodak (15 MB): fetching from 127.0.0.1") and not said.out
    assert data.load("kodak").ids == PICTURES and web.asked == list(PICTURES) and not capsys.readouterr().err
    assert [path.name for path in (tmp_path / "root").iterdir()] == ["kodak"]


def test_an_interrupted_set_is_no_set_and_goes_on(web: Web, tmp_path: Path) -> None:
    last = web.files.pop(PICTURES[2])
    with pytest.raises(
        SemlinkError, match=r"^kodak: no pictures in .*, and .*03.png cannot be fetched \(HTTP 404\); put"
    ):
        data.load("kodak")
    assert not (tmp_path / "root/kodak").exists()
    web.files[PICTURES[2]] = last
    assert data.load("kodak").ids == PICTURES and web.asked == [*PICTURES, PICTURES[2]]


def test_other_contents_are_not_kept(web: Web, tmp_path: Path) -> None:
    web.files[PICTURES[1]] = png(77)
    with pytest.raises(SemlinkError, match="kodim02.png has another checksum than what was published") as error:
        data.load("kodak")
    assert "\n" not in str(error.value) and "put its image files there or set SEMLINK_DATA" in str(error.value)
    assert [path.name for path in (tmp_path / "root").rglob("*.png")] == [PICTURES[0]]


def test_batches_of_cifar_are_fetched_where_they_are_missing(web: Web, tmp_path: Path) -> None:
    folder = tmp_path / "root" / data.CIFAR
    assert len(data.load("cifar10")) == 2 and [path.name for path in folder.iterdir()] == ["test_batch.bin"]
    own = np.full(data.CIFAR_ROW, 255, np.uint8)
    own.tofile(folder / "data_batch_1.bin")
    train = data.load("cifar10-train")
    levels = [round(255 * float(picture[0, 0, 0])) for picture in train]
    assert levels == [255, 40, 40, 80, 80, 120, 120, 160, 160]
    assert [path.name for path in folder.parent.iterdir()] == [data.CIFAR]


def test_without_network_a_line_says_what_to_put_where(web: Web, tmp_path: Path, monkeypatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}/cifar-10-binary.tar.gz"
    monkeypatch.setattr(published, "CIFAR", Published(address, "0" * 64))
    with pytest.raises(SemlinkError, match=r"cannot be fetched \(no connection\); unpack cifar-10-binary.tar.gz in"):
        data.load("cifar10")
    monkeypatch.setenv(OFFLINE, "1")
    with pytest.raises(SemlinkError, match="nothing is fetched while SEMLINK_OFFLINE is set; put its image files"):
        data.load("kodak")
    assert not web.asked and not list((tmp_path / "root").iterdir())


def test_a_folder_that_cannot_be_written_is_told(web: Web, tmp_path: Path) -> None:
    (tmp_path / "blocked").write_text("a file in the way")
    with pytest.raises(SemlinkError, match=r"^cannot write .*/blocked/kodak \(Not a directory\)$"):
        fetched(published.KODAK, tmp_path / "blocked/kodak", "kodak")
