"""Pictures by name or path: `load("kodak")`, `load("holiday/")`, `load("cat.png")`; decoded when they are asked for.

Named sets lie under the data root: the folder in SEMLINK_DATA, else `semlink/data` in the user's cache. Kodak and
CIFAR-10 are fetched where they are missing, checked, unless SEMLINK_OFFLINE is set.
A name goes before a path of the same spelling; write `./kodak` for a folder.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from semlink.channels.base.names import did_you_mean
from semlink.simulator.data import pictures
from semlink.simulator.data.class_names import find_classes, read_classes
from semlink.simulator.data.published import fetch_cifar, fetch_kodak
from semlink.simulator.data.spread import spread
from semlink.simulator.errors import SemlinkError

if TYPE_CHECKING:  # names and sizes need no torch
    from torch import Tensor

SAMPLES = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "motorcycle_left.png", "hubble_deep_field.jpg")
SAMPLE_SIZE = 256
CIFAR = "cifar-10-batches-bin"
CIFAR_TEST = ("test_batch.bin",)
CIFAR_TRAIN = tuple(f"data_batch_{k}.bin" for k in range(1, 6))
CIFAR_ROW = 1 + 3 * 32 * 32  # label, then the red, green and blue planes
MOSAIC = 8  # pictures along each side of a mosaic
FOLDERS = {
    "kodak": "kodak",
    "photos48": "photos48",
    "imagenet-256": "imagenet-256/test",
    "imagenet-256-train": "imagenet-256/train",
    "tiny-imagenet-64": "tiny-imagenet-64/val",
    "tiny-imagenet-64-train": "tiny-imagenet-64/train",
    "bsds500-train": "bsds500/train",
    "camvid-drives": "camvid-drives/test",
    "camvid-drives-train": "camvid-drives/train",
    "camvid-drives-val": "camvid-drives/val",
}
LABELLED = ("camvid-drives", "camvid-drives-train", "camvid-drives-val")
SHUFFLED = ("samples", "cifar10", "cifar10-train", "cifar10-mosaic", "kodak")  # in no order of what they show
NAMES = ("samples", "cifar10", "cifar10-train", "cifar10-mosaic", *FOLDERS)


class Items(Protocol):
    """Pictures by index: an id, (H, W) without a full decode, and float32 `[3, H, W]` in [0, 1].

    shuffled: whether their own order says nothing of what they show, so that the first so many are a fair sample.
    """

    @property
    def shuffled(self) -> bool: ...
    def __len__(self) -> int: ...
    def id(self, index: int) -> str: ...
    def size(self, index: int) -> tuple[int, int]: ...
    def read(self, index: int) -> np.ndarray: ...


@dataclass(frozen=True)
class Dataset:
    """Those of `items` that `order` names, each cropped to its central `crop` x `crop` pixels unless that is None.

    `dataset[i]` is a float32 torch tensor `[3, H, W]` in [0, 1], read anew each time; iteration works too.
    Reading raises SemlinkError that names the file when it is damaged or smaller than the crop.
    """

    name: str
    items: Items
    order: Sequence[int]
    crop: int | None = None

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, index: int) -> Tensor:
        import torch

        return torch.from_numpy(self._array(self.order[index]))

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    @property
    def tile(self) -> int | None:
        """Side in px of the pictures that a mosaic is made of; metrics are means over them. None for other sets."""
        return self.items.tiles.size(0)[0] if isinstance(self.items, MosaicItems) else None

    @property
    def ids(self) -> tuple[str, ...]:
        """File names, or numbers within the set."""
        return tuple(self.items.id(i) for i in self.order)

    def sizes(self) -> tuple[tuple[int, int], ...]:
        """(H, W) of each picture, from the headers; finds files that are no pictures or too small for the crop."""
        found = [(i, self.items.size(i)) for i in self.order]
        return tuple(size if self.crop is None else self._crop_size(i, size) for i, size in found)

    def batch(self, indices: Sequence[int]) -> Tensor:
        """float32 `[n, 3, H, W]` in [0, 1]. SemlinkError when the pictures differ in size."""
        import torch

        places = [self.order[i] for i in indices]
        arrays = [self._array(i) for i in places]
        for place, array in zip(places, arrays, strict=True):
            if array.shape != arrays[0].shape:
                first, other = (
                    f"{self.items.id(i)} {a.shape[1]}x{a.shape[2]}" for i, a in ((places[0], arrays[0]), (place, array))
                )
                raise SemlinkError(f"{self.name}: a batch needs one size, not {first} and {other}; crop with a size")
        return torch.from_numpy(arrays[0][None] if len(arrays) == 1 else np.stack(arrays))

    def _array(self, index: int) -> np.ndarray:
        picture = self.items.read(index)
        if self.crop is None:
            return picture
        height, width = picture.shape[1:]
        side, _ = self._crop_size(index, (height, width))
        top, left = (height - side) // 2, (width - side) // 2
        return np.ascontiguousarray(picture[:, top : top + side, left : left + side])

    def _crop_size(self, index: int, size: tuple[int, int]) -> tuple[int, int]:
        assert self.crop is not None
        if min(size) < self.crop:
            what = f"{self.items.id(index)} is {size[0]}x{size[1]}"
            raise SemlinkError(f"{self.name}: {what}, too small for size {self.crop}")
        return self.crop, self.crop


def load(name_or_path: str | os.PathLike[str], limit: int | None = None, size: int | None = None) -> Dataset:
    """A set by name (NAMES), the pictures of a folder in order of file name (subfolders are left out), or one file.

    limit: at most so many, spread over the whole set, which may be in order of class or time; a larger limit takes the
    same ones first, then others, and one that leaves nothing out is none. Sets whose order says nothing (SHUFFLED) give
    their first ones. size: central square crop in pixels; None keeps whole pictures, except that `samples` are cropped
    to 256. `cifar10-mosaic` is the test set in order, 8 x 8 to a picture of 256 x 256;
    the last 16 of its 10,000 pictures fill no mosaic and are left out.
    Raises SemlinkError: unknown name, nothing there, damaged CIFAR files, a limit or size below 1.
    """
    for what, value in (("limit", limit), ("size", size)):
        if value is not None and value < 1:
            raise SemlinkError(f"{what} must be at least 1, not {value}")
    name = os.fspath(name_or_path)
    items = _named(name) if name in NAMES else _at(Path(name).expanduser())
    crop = SAMPLE_SIZE if name == "samples" and size is None else size
    return Dataset(name, items, _chosen(items, limit), crop)


def _chosen(items: Items, limit: int | None) -> Sequence[int]:
    """Indices of the pictures that a limit takes, in the order in which it takes them."""
    if limit is None or limit >= len(items):
        return range(len(items))
    return range(limit) if items.shuffled else spread(len(items))[:limit]


@dataclass(frozen=True)
class Labels:
    """Class maps of a labelled set in the order of its pictures; `labels[i]` is a uint8 torch tensor `[H, W]`.

    classes: names by class number, in small letters; ignore: the number of pixels that belong to none of them.
    Reading raises SemlinkError that names a file which is damaged or has other numbers.
    """

    classes: tuple[str, ...]
    ignore: int
    paths: tuple[Path, ...]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Tensor:
        import torch

        path = self.paths[index]
        found = pictures.indices(path)
        if ((found >= len(self.classes)) & (found != self.ignore)).any():
            raise SemlinkError(
                f"{path}: class {found.max()} is not among {len(self.classes)} classes and no {self.ignore}"
            )
        return torch.from_numpy(found)


def labels(
    name: str, limit: int | None = None, folder: str | Path | None = None, classes: str | Path | None = None
) -> Labels:
    """The class maps of a set of LABELLED, or those in `folder` of any other pictures, one for each of them.

    A map has the file name of its picture, or its name with .png. classes: the class file (`class_names`); None: the
    one in the folder or beside it. Raises SemlinkError: a set without labels, or a file that is missing.
    """
    if folder is None and name not in LABELLED:
        raise SemlinkError(f"{name}: no labels; name their folder, or take a set that has some: {', '.join(LABELLED)}")
    own = root() / f"{FOLDERS[name]}annot" if folder is None else Path(folder).expanduser()
    if not own.is_dir():
        raise SemlinkError(f"{own}: no such folder of class maps")
    paths = tuple(_map_of(own, each) for each in load(name, limit).ids)
    names, ignore = read_classes(Path(classes).expanduser() if classes else find_classes(own))
    return Labels(names, ignore, paths)


def _map_of(folder: Path, picture: str) -> Path:
    places = (folder / picture, (folder / picture).with_suffix(".png"))
    found = [path for path in places if path.is_file()]
    if not found:
        raise SemlinkError(f"{places[1]}: no such file; every picture needs a class map of its name")
    return found[0]


def root() -> Path:
    """The folder that holds the named sets."""
    if os.environ.get("SEMLINK_DATA"):
        return Path(os.environ["SEMLINK_DATA"]).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "semlink" / "data"


def no_such_data(name: str) -> str:
    """One line on what is no set and no place."""
    return f"{name}: no such file, folder or data set; {did_you_mean(name, NAMES)}known sets: {', '.join(NAMES)}"


def _named(name: str) -> Items:
    if name == "samples":
        return _samples()
    if name in FOLDERS:
        return _folder(name, root() / FOLDERS[name])
    cifar = CifarItems(_cifar(name, CIFAR_TRAIN if name == "cifar10-train" else CIFAR_TEST))
    return MosaicItems(cifar) if name == "cifar10-mosaic" else cifar


def _folder(name: str, folder: Path) -> FileItems:
    """A named set that is a folder; the Kodak suite is fetched where it is missing."""
    paths, why = _images(folder, "**/*"), ""
    if not paths and name == "kodak":
        why = _tried(partial(fetch_kodak, folder))
        paths = _images(folder, "**/*")
    if not paths:
        raise SemlinkError(f"{name}: no pictures in {folder}{why}; put its image files there or set SEMLINK_DATA")
    return FileItems(folder, paths, name in SHUFFLED)


def _tried(fetch: Callable[[], None]) -> str:
    """Why what could be fetched was not, for the middle of a message; empty where it was."""
    try:
        fetch()
    except SemlinkError as error:
        return f", and {error}"
    return ""


def _at(path: Path) -> Items:
    if path.is_file():
        return FileItems(path.parent, (path,))
    if not path.is_dir():
        raise SemlinkError(no_such_data(str(path)))
    paths = _images(path, "*")
    if not paths:
        known = " ".join(sorted(pictures.SUFFIXES))
        raise SemlinkError(f"{path}: no pictures in this folder (subfolders are not searched; known: {known})")
    return FileItems(path, paths)


def _images(folder: Path, pattern: str) -> tuple[Path, ...]:
    """Picture files by suffix, sorted; hidden ones are left out."""
    found = (p for p in folder.glob(pattern) if p.suffix.lower() in pictures.SUFFIXES and not p.name.startswith("."))
    return tuple(sorted(p for p in found if p.is_file()))


def _samples() -> FileItems:
    """Photographs inside the scikit-image wheel; finding them imports nothing."""
    package = importlib.util.find_spec("skimage")
    if package is None or package.origin is None:
        raise SemlinkError("samples: scikit-image is not installed; pip install scikit-image")
    folder = Path(package.origin).parent / "data"
    paths = tuple(folder / name for name in SAMPLES)
    missing = [path.name for path in paths if not path.is_file()]
    if missing:
        raise SemlinkError(f"samples: scikit-image came without {', '.join(missing)}; pip install scikit-image==0.26.0")
    return FileItems(folder, paths, shuffled=True)


def _cifar(name: str, files: Sequence[str]) -> tuple[Path, ...]:
    """Batches of CIFAR-10, fetched where one is missing."""
    folder, why = root() / CIFAR, ""
    missing = [file for file in files if not (folder / file).is_file()]
    if missing and (why := _tried(partial(fetch_cifar, folder, missing))):
        put = f"unpack cifar-10-binary.tar.gz in {root()} or set SEMLINK_DATA"
        raise SemlinkError(f"{name}: no {folder / missing[0]}{why}; {put}")
    return tuple(_sound(folder / file) for file in files)


def _sound(path: Path) -> Path:
    """A batch of CIFAR-10 that holds whole pictures; SemlinkError for another."""
    length = path.stat().st_size
    if length == 0 or length % CIFAR_ROW:
        raise SemlinkError(f"{path}: {length} bytes are no whole number of {CIFAR_ROW}-byte pictures; unpack it again")
    return path


@dataclass(frozen=True)
class FileItems:
    """Picture files; ids are their paths below `folder`."""

    folder: Path
    paths: tuple[Path, ...]
    shuffled: bool = False

    def __len__(self) -> int:
        return len(self.paths)

    def id(self, index: int) -> str:
        return self.paths[index].relative_to(self.folder).as_posix()

    def size(self, index: int) -> tuple[int, int]:
        return pictures.size(self.paths[index])

    def read(self, index: int) -> np.ndarray:
        return pictures.read(self.paths[index])


@dataclass(frozen=True)
class CifarItems:
    """CIFAR-10's binary batches one after the other; ids are five-digit numbers from 0."""

    paths: tuple[Path, ...]
    shuffled: bool = True

    def __len__(self) -> int:
        return sum(len(_rows(path)) for path in self.paths)

    def id(self, index: int) -> str:
        return f"{index:05d}"

    def size(self, index: int) -> tuple[int, int]:
        return 32, 32

    def read(self, index: int) -> np.ndarray:
        return self.pixels(index).astype(np.float32) / 255

    def pixels(self, index: int) -> np.ndarray:
        """The picture as stored, uint8 `[3, 32, 32]`."""
        for path in self.paths:
            rows = _rows(path)
            if index < len(rows):
                return rows[index, 1:].reshape(3, 32, 32)
            index -= len(rows)
        raise IndexError(index)


@lru_cache(maxsize=8)
def _rows(path: Path) -> np.ndarray:
    """A batch file as uint8 `[n, 3073]`, mapped and not read; outside the items, so that they pickle as paths."""
    return np.memmap(path, np.uint8, "r").reshape(-1, CIFAR_ROW)


@dataclass(frozen=True)
class MosaicItems:
    """Pictures of one small size, 8 x 8 of them to a picture, row by row; ids are those of the first and last."""

    tiles: CifarItems
    shuffled: bool = True

    def __len__(self) -> int:
        return len(self.tiles) // MOSAIC**2

    def id(self, index: int) -> str:
        first = index * MOSAIC**2
        return f"{self.tiles.id(first)}-{self.tiles.id(first + MOSAIC**2 - 1)}"

    def size(self, index: int) -> tuple[int, int]:
        height, width = self.tiles.size(0)
        return MOSAIC * height, MOSAIC * width

    def read(self, index: int) -> np.ndarray:
        first = index * MOSAIC**2
        tiles = np.stack([self.tiles.read(i) for i in range(first, first + MOSAIC**2)])
        rows = tiles.reshape(MOSAIC, MOSAIC, *tiles.shape[1:]).transpose(2, 0, 3, 1, 4)
        return rows.reshape(3, *self.size(index))
