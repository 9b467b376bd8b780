"""What the network makes of maps and coarse pictures of given sizes: the table that `sharing` goes by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from semlink.codecs.spic import coarse, receiver
from semlink.simulator.metrics.lpips import lpips_alex
from semlink.simulator.metrics.segmentation import confusion, mean_iou

MAP_BPP = (0.01, 0.02, 0.04, 0.08, 0.16)
COARSE_BPP = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32)


def table(codec: Any, pictures: Sequence[Tensor], judge: Callable[[Tensor], Tensor]) -> dict[str, Any]:
    """Set mIoU against the codec's own full maps, and LPIPS, at rates of both parts; the first of each: without it.

    pictures: `[3, H, W]` in [0, 1]. judge: classes of pictures, int64 `[batch, H, W]`.
    """
    rows, columns = (0.0, *MAP_BPP), (0.0, *COARSE_BPP)
    bar = tqdm(pictures, desc="pictures")
    counts = torch.zeros(len(rows), len(columns), *[len(codec.segmenter.names)] * 2, dtype=torch.long)
    lpips = torch.zeros(len(rows), len(columns), dtype=torch.float64)
    for picture in bar:
        size = (picture.shape[1], picture.shape[2])
        wanted = codec.labels(picture[None]).long()
        known = [codec.read_map(data, size) for data in codec.maps_of(picture, [_bytes(b, size) for b in rows])]
        small = [codec.read_coarse(coarse.fitted(codec.coder, picture, _bytes(b, size)), size) for b in columns]
        for i, labels in enumerate(known):
            for j, own in enumerate(small):
                pipeline = codec.pipeline if labels or own else None
                shown = receiver.shown(pipeline, labels, own, size, codec.steps, codec.scale, 0)[None]
                counts[i, j] += confusion(judge(shown), wanted, counts.shape[-1])[0]
                lpips[i, j] += float(lpips_alex(shown, picture[None])) / len(pictures)
    miou = [[round(float(mean_iou(cell)), 4) for cell in row] for row in counts]
    rounded = [[round(value, 4) for value in row] for row in lpips.tolist()]
    return {"map_bpp": MAP_BPP, "coarse_bpp": COARSE_BPP, "miou": miou, "lpips": rounded}


def _bytes(bpp: float, size: tuple[int, int]) -> int:
    return int(bpp * size[0] * size[1] / 8)
