"""Quality of received pictures where it matters: PSNR by region, and what a segmenter still sees in them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import torch
from torch import Tensor

from semlink.simulator.errors import SemlinkError
from semlink.simulator.metrics import of_set
from semlink.simulator.metrics.psnr import psnr, psnr_roi, psnr_roni, theta_psnr
from semlink.simulator.metrics.segmentation import confusion, mean_iou_of_present, overlaps

PSNRS = ("psnr", "psnr_roi", "psnr_roni", "theta_psnr")
MIOUS = tuple(of_set.AGAINST)


@dataclass(frozen=True)
class Segmenter:
    """label: pictures `[batch, 3, H, W]` to classes int64 `[batch, H, W]`, which `names` names."""

    label: Callable[[Tensor], Tensor]
    names: tuple[str, ...]


@dataclass(frozen=True)
class Truth:
    """Annotated class maps, integers `[H, W]`, by the `digest` of their picture; pixels of `ignore` do not count."""

    maps: Mapping[str, Tensor]
    ignore: int | None = None


@dataclass(frozen=True)
class Judge:
    """Metrics under their names in rows. maps: pictures to importance maps; at least 0.5 is of interest.

    An image without a region of interest has its plain PSNR as psnr_roi, whatever the codec, so that it speaks for none
    of them; likewise psnr_roni of an image that is all of interest. mIoU of an image is a mean over the classes that
    its truth holds; with it come the pixel counts of `of_set`. sent: pictures to the maps that were transmitted, in the
    segmenter's numbers; None: what it sees itself. Originals are looked at once.
    """

    maps: Callable[[Tensor], Tensor]
    theta: float = 0.8
    segmenter: Segmenter | None = None
    truth: Truth | None = None
    sent: Callable[[Tensor], Tensor] | None = None
    _seen: dict[tuple[str, str], Tensor] = field(default_factory=dict, repr=False, compare=False)

    def names(self) -> tuple[str, ...]:
        """All metrics that can be measured."""
        return (*PSNRS, *(name for name, can in zip(MIOUS, (self.truth, self.segmenter), strict=True) if can))

    def measure(self, names: Sequence[str], original: Tensor, received: Tensor) -> dict[str, Tensor]:
        """Metrics of pictures `[batch, 3, H, W]` in [0, 1], float64 `[batch]` each, and their pixel counts.

        SemlinkError for a metric that cannot be measured, or a picture whose annotation is not known.
        """
        missing = set(names) - set(self.names())
        if missing:
            raise SemlinkError(
                f"cannot measure {', '.join(sorted(missing))} here; what can be: {', '.join(self.names())}"
            )
        found = {name: value for name, value in self._psnrs(original, received).items() if name in names}
        wanted = [name for name in MIOUS if name in names]
        if wanted:
            seen = cast(Segmenter, self.segmenter).label(received)
            for name in wanted:
                found |= self._miou(name, original, seen)
        return found

    def _psnrs(self, original: Tensor, received: Tensor) -> dict[str, Tensor]:
        region = self._once("region", lambda pictures: self.maps(pictures) >= 0.5, original)
        whole = psnr(original, received)
        parts = (measure(original, received, region) for measure in (psnr_roi, psnr_roni))
        inside, outside = (torch.where(part.isnan(), whole, part) for part in parts)
        weighted = theta_psnr(original, received, region, self.theta)
        return dict(zip(PSNRS, (whole, inside, outside, weighted), strict=True))

    def _miou(self, name: str, original: Tensor, seen: Tensor) -> dict[str, Tensor]:
        segmenter = cast(Segmenter, self.segmenter)
        if name == "miou_sent":
            labels, ignore = self._once("map", self.sent or segmenter.label, original), None
        else:
            labels, ignore = self._annotations(original), cast(Truth, self.truth).ignore
        counts = confusion(seen, labels, len(segmenter.names), ignore)
        hits, unions = (part.double().numpy() for part in overlaps(counts))
        columns = of_set.columns(name, segmenter.names, hits, unions)
        return {name: mean_iou_of_present(counts)} | {key: torch.from_numpy(v) for key, v in columns.items()}

    def _annotations(self, original: Tensor) -> Tensor:
        maps, keys = cast(Truth, self.truth).maps, [digest(picture) for picture in original]
        if not all(key in maps for key in keys):
            raise SemlinkError("a picture is none of those that were annotated")
        return torch.stack([maps[key] for key in keys])

    def _once(self, kind: str, make: Callable[[Tensor], Tensor], originals: Tensor) -> Tensor:
        """`make` of each picture, kept as long as this object lives."""
        keys = [(kind, digest(picture)) for picture in originals]
        for key, picture in zip(keys, originals, strict=True):
            if key not in self._seen:
                self._seen[key] = make(picture[None])[0]
        return torch.stack([self._seen[key] for key in keys])


def digest(picture: Tensor) -> str:
    """A name for a picture float32 `[3, H, W]`, from its pixels."""
    pixels = picture.contiguous()
    return hashlib.sha256(repr(tuple(pixels.shape)).encode() + pixels.numpy().tobytes()).hexdigest()
