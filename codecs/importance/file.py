"""The user's own masks: white where it matters, black elsewhere, grey in between."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from semlink.codecs._learned.shipped import local
from semlink.codecs.importance._maps import one_by_one
from semlink.simulator import data
from semlink.simulator.errors import SemlinkError
from semlink.simulator.files import is_here


@dataclass(frozen=True)
class File:
    """path: one mask for every picture, or a folder with one for each, in order of file name.

    pictures: the set or folder that the masks of a folder belong to; each picture then finds its mask by what it shows,
    in any order and batch. Without it, the pictures of a call meet the masks in order, and must be as many.
    size: central crop of pictures and masks in px, as the experiment's; 0 for none. hard: greys become 0 below one half
    and 1 from there on.
    SemlinkError that names the mask: other size than the picture, colours, values 0 and 1 of 255, none for a picture.
    """

    path: str
    pictures: str = ""
    size: int = 0
    hard: bool = True

    def files(self) -> tuple[Path, ...]:
        """The mask or the folder of masks, and the folder of the pictures that they belong to."""
        named = not self.pictures or self.pictures in data.NAMES
        return local(self.path, None if named else self.pictures)

    def maps(self, images: Tensor) -> Tensor:
        """The mask of each picture, `[batch, H, W]`."""
        masks = _masks(self.path, self.size)
        places = iter(self._places(images, len(masks)))
        return one_by_one(lambda picture: self._fitting(masks, next(places), picture), images)

    def _places(self, images: Tensor, count: int) -> list[int]:
        """Which of `count` masks each picture has."""
        if not Path(self.path).expanduser().is_dir():
            return [0] * len(images)
        if not self.pictures:
            if count != len(images):
                raise SemlinkError(
                    f"{self.path} holds {count} masks for {len(images)} pictures in one go; name the pictures that "
                    f"they belong to, e.g. file:path={self.path},pictures=kodak"
                )
            return list(range(count))
        known = _fingerprints(self.pictures, self.size)
        if count != known.count:
            raise SemlinkError(f"{self.path} holds {count} masks for the {known.count} pictures of {self.pictures}")
        return [known.place(image) for image in images]

    def _fitting(self, masks: data.Dataset, place: int, picture: Tensor) -> Tensor:
        """The mask at `place`, of the picture's size."""
        mask, name = self._grey(masks[place], masks.ids[place]), masks.ids[place]
        if mask.shape != picture.shape[1:]:
            sizes = [f"{s[1]}x{s[0]}" for s in (mask.shape, picture.shape[1:])]
            raise SemlinkError(f"{name}: a mask of {sizes[0]} px for a picture of {sizes[1]} px; make it that size")
        return mask

    def _grey(self, colours: Tensor, name: str) -> Tensor:
        grey = colours[0]
        if not torch.equal(colours, grey.expand_as(colours)):
            raise SemlinkError(f"{name}: a mask has no colours; save it in grey, white where it matters")
        if 0 < grey.max() < 1.5 / 255:
            raise SemlinkError(f"{name}: its values are 0 and 1 of 255, all but black; save 0 and 255")
        return (grey >= 0.5).float() if self.hard else grey


@dataclass(frozen=True)
class Fingerprints:
    """Places of a set's `count` pictures by what they show; of equal ones the first."""

    name: str
    count: int
    places: dict[bytes, int]

    def place(self, picture: Tensor) -> int:
        """The picture's place; SemlinkError when it is not in the set."""
        found = self.places.get(_fingerprint(picture))
        if found is None:
            raise SemlinkError(f"a picture is not among those of {self.name}; is the crop (size) the same?")
        return found


def _masks(path: str, size: int) -> data.Dataset:
    """The masks as grey pictures. SemlinkError when there are none."""
    place = Path(path).expanduser()
    if not is_here(place):
        raise SemlinkError(f"{path}: no such mask file or folder")
    return data.load(place.resolve(), size=size or None)


@lru_cache(maxsize=4)
def _fingerprints(name: str, size: int) -> Fingerprints:
    """Of the pictures of a set or folder."""
    found: dict[bytes, int] = {}
    pictures = data.load(name, size=size or None)
    for place, picture in enumerate(pictures):
        found.setdefault(_fingerprint(picture), place)
    return Fingerprints(name, len(pictures), found)


def _fingerprint(picture: Tensor) -> bytes:
    whole = (255 * picture.detach().cpu()).round().to(torch.uint8).contiguous()
    return hashlib.blake2b(whole.numpy().tobytes() + repr(tuple(whole.shape)).encode(), digest_size=16).digest()


PLUGIN = File
