"""What things are: the pixels of chosen classes, as a segmentation network sees them, are the region of interest.

The network is one of the two that this project trained on a drive of CamVid (street scenes), or one of the zoo.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from semlink.codecs._learned.shipped import local
from semlink.codecs._regions.classes import class_numbers
from semlink.codecs.importance._maps import one_by_one
from semlink.codecs.importance._segmenters import OURS, find
from semlink.simulator.errors import SemlinkError

TRAFFIC = "car/pedestrian/bicyclist/sign"


@dataclass(frozen=True)
class Segmentation:
    """classes: names or numbers between slashes or plus signs, `car/pedestrian`; the beginning of a name will do when
    no other name begins so. model: a folder or hub id for transformers, or a torchvision name; none: our `network`,
    "unet", which steers and tunes codecs, or "pyramid", which has no part in any and therefore scores them. weights: a
    file of your own for it. side: pictures are shown to the network with their longer side shrunk to so many px (its
    training frames have 256); 0 never shrinks them.

    SemlinkError for an unknown class or network (lists the known ones), a model that is missing, a negative side.
    """

    classes: str | int = TRAFFIC
    model: str | None = None
    weights: str | None = None
    side: int = 256
    network: Literal["unet", "pyramid"] = "unet"

    def __post_init__(self) -> None:
        if self.network not in OURS:
            raise SemlinkError(f"unknown network {self.network!r}; known: {', '.join(OURS)}")
        if self.side < 0:
            raise SemlinkError(f"side is {self.side}; give px, or 0 for pictures as they are")

    def files(self) -> tuple[Path, ...]:
        """The network's weights or folder."""
        return local(self.model or self.weights or OURS[self.network][1])

    @property
    def names(self) -> tuple[str, ...]:
        """The classes that the network knows, by number, in small letters."""
        return find(self.model, self.weights, self.network).names

    @property
    def chosen(self) -> tuple[str, ...]:
        """The names of those that are of interest."""
        return tuple(self.names[number] for number in class_numbers(self.classes, self.names))

    def maps(self, images: Tensor) -> Tensor:
        """Hard maps `[batch, H, W]`: 1 where the network sees one of the classes."""
        wanted = torch.zeros(len(self.names))
        wanted[list(class_numbers(self.classes, self.names))] = 1
        return one_by_one(lambda picture: wanted[self._label(picture)], images)

    def labels(self, images: Tensor) -> Tensor:
        """The network's whole opinion: class of each pixel, int64 `[batch, H, W]`."""
        return one_by_one(self._label, images).long()

    def _label(self, picture: Tensor) -> Tensor:
        label, size = find(self.model, self.weights, self.network).label, picture.shape[1:]
        scale = self.side / max(size)
        if self.side == 0 or scale >= 1:
            return label(picture)
        small = [max(1, round(scale * length)) for length in size]
        shrunk = F.interpolate(picture[None], size=small, mode="bilinear", antialias=True, align_corners=False)[0]
        return F.interpolate(label(shrunk)[None, None].float(), size=size, mode="nearest")[0, 0].long()


PLUGIN = Segmentation
