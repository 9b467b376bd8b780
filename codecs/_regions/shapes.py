"""Random regions of interest for training: boxes, ellipses and blobs, or none, drawn from a picture's own bytes."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from semlink.codecs._regions.cells import Importance


@dataclass(frozen=True)
class Shapes:
    """Regions that know nothing of what the picture shows; the same picture always gets the same one.

    none: share of pictures without a region, from which a network learns the uniform treatment. area: range of the
    region's share of the other pictures, drawn evenly on a logarithmic scale. others: gives half of the regions.
    """

    none: float = 0.3
    area: tuple[float, float] = (0.02, 0.5)
    others: Importance | None = None

    def maps(self, images: Tensor) -> Tensor:
        """0 or 1, float32 `[batch, H, W]`, for pictures `[batch, 3, H, W]` in [0, 1]."""
        return torch.stack([self._map(image) for image in images.detach().cpu()]).to(images.device)

    def _map(self, image: Tensor) -> Tensor:
        data = (image * 255).round().to(torch.uint8).contiguous().numpy().tobytes()
        rng = np.random.default_rng(zlib.crc32(data))
        height, width = image.shape[-2:]
        if rng.random() < self.none:
            return torch.zeros(height, width)
        if self.others and rng.random() < 0.5:
            return self.others.maps(image[None])[0]
        area = float(np.exp(rng.uniform(*np.log(self.area))))
        if rng.random() < 0.4:
            return _blob(rng, height, width, area)
        pieces = int(rng.integers(1, 4))
        return torch.stack([_simple(rng, height, width, area / pieces) for _ in range(pieces)]).amax(0)


def _simple(rng: np.random.Generator, height: int, width: int, area: float) -> Tensor:
    """A box or an ellipse of about that area, wholly or partly inside."""
    stretch = float(np.exp(rng.uniform(-0.7, 0.7)))
    radius = 0.5 * np.sqrt(area * height * width) * np.array([stretch, 1 / stretch])
    y = (torch.arange(height)[:, None] - rng.uniform(0, height)) / radius[0]
    x = (torch.arange(width)[None] - rng.uniform(0, width)) / radius[1]
    inside = torch.maximum(y.abs(), x.abs()) < 1 if rng.random() < 0.5 else y**2 + x**2 < 4 / np.pi
    return inside.float()


def _blob(rng: np.random.Generator, height: int, width: int, area: float) -> Tensor:
    """Where smooth noise is highest: ragged, with holes and islands, like a segmentation."""
    coarse = torch.from_numpy(rng.standard_normal((1, 1, *rng.integers(3, 8, 2)))).float()
    noise = F.interpolate(coarse, (height, width), mode="bicubic", align_corners=False)[0, 0]
    return (noise > noise.quantile(1 - area)).float()
