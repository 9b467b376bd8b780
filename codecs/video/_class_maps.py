"""Maps of at most 8 classes: what a street scene is made of, or where there is none, which of 8 colours is where.

Shares are float32 `[8, H, W]`, of pixels, or `[8, rows, columns]`, of cells; a map is uint8 `[rows, columns]`. A
palette is uint8 `[8, 3]`, the mean colour of each class. A cell is of the class with the largest share; what was there
before stays where another is hardly larger, so that maps do not flicker.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from semlink.codecs._regions import unet

CLASSES = 8
STREET = (  # which classes of CamVid are one
    ("sky",),
    ("building", "fence"),
    ("pole", "signsymbol"),
    ("road",),
    ("pavement",),
    ("tree",),
    ("car",),
    ("pedestrian", "bicyclist"),
)
ROAD = 3
SURE, AHEAD = 0.68, 0.4  # mean share of the likeliest class, and of road ahead, of a street scene
STAYS = 0.1  # share by which another class must be larger than the one that was there
ROUNDS = 6  # of k-means
GRID = 4  # px: colours are found on means over so many
USUAL = np.array(  # mean colours of the classes in CamVid's training frames
    (
        *((226, 244, 244), (94, 94, 93), (85, 86, 88), (64, 68, 76)),
        *((65, 66, 70), (107, 107, 107), (75, 77, 82), (63, 64, 67)),
    ),
    np.uint8,
)
_NUMBERS = [[unet.CLASSES.index(name) for name in group] for group in STREET]


def street_shares(frame: Tensor) -> Tensor:
    """Odds of the classes of a street in a frame `[1, 3, H, W]`, as our street segmenter sees it."""
    with torch.no_grad():
        odds = unet.load()(frame)[0].softmax(0)
    return torch.stack([odds[numbers].sum(0) for numbers in _NUMBERS])


def colour_shares(frame: Tensor, palette: np.ndarray) -> Tensor:
    """1 for the colour of the palette that is nearest to each pixel."""
    pixels = frame[0].flatten(1).T
    colours = torch.from_numpy(palette).to(pixels) / 255
    nearest = torch.cdist(pixels, colours).argmin(1)
    return F.one_hot(nearest, CLASSES).T.reshape(CLASSES, *frame.shape[2:]).float()


def colours_of(frame: Tensor) -> np.ndarray:
    """8 colours of a frame `[1, 3, H, W]`: k-means on means over 4x4 pixels, begun at shares of the brightness."""
    pixels = F.avg_pool2d(frame, GRID, ceil_mode=True, count_include_pad=False)[0].flatten(1).T
    order = pixels.sum(1).argsort(stable=True)
    places = ((torch.arange(CLASSES) + 0.5) / CLASSES * len(order)).long()
    centres = pixels[order[places]]
    for _ in range(ROUNDS):
        own = F.one_hot(torch.cdist(pixels, centres).argmin(1), CLASSES).float()
        count = own.sum(0)[:, None]
        centres = torch.where(count > 0, own.T @ pixels / count.clamp_min(1), centres)
    return told_colours((255 * centres).numpy())


def means_of(frame: Tensor, shares: Tensor) -> np.ndarray:
    """Mean colour of each class in a frame `[1, 3, H, W]`; of one that is hardly there the usual one."""
    sizes = shares.flatten(1).sum(1)
    means = shares.flatten(1) @ frame[0].flatten(1).T / sizes.clamp_min(1e-6)[:, None]
    there = (sizes >= 8)[:, None].numpy()
    return told_colours(np.where(there, (255 * means).numpy(), USUAL))


def told_colours(palette: np.ndarray) -> np.ndarray:
    """A palette as `pack_palette` tells it."""
    return unpack_palette(pack_palette(np.clip(np.rint(palette), 0, 255).astype(np.uint8)))


def pack_palette(palette: np.ndarray) -> bytes:
    """Two bytes for a colour: 5, 6 and 5 bits."""
    r, g, b = (palette.astype(int) * (31, 63, 31) + 127).T // 255
    return b"".join(int(v).to_bytes(2, "big") for v in r << 11 | g << 5 | b)


def unpack_palette(data: bytes) -> np.ndarray:
    """The palette of any 16 bytes."""
    words = np.frombuffer(data, ">u2").astype(int)
    levels = np.stack([words >> 11, words >> 5 & 63, words & 31], 1)
    return (levels * 255 / (31, 63, 31)).round().astype(np.uint8)


def cells(shares: Tensor, cell: int) -> Tensor:
    """Means over cells of so many px; those at the right and the lower edge may be smaller."""
    return F.avg_pool2d(shares[None], cell, ceil_mode=True, count_include_pad=False)[0]


def map_of(shares: Tensor, before: np.ndarray | None = None) -> np.ndarray:
    """The map of cells' shares; before: what was there, of the same size."""
    if before is not None:
        shares = shares + STAYS * F.one_hot(torch.from_numpy(before).long(), CLASSES).permute(2, 0, 1)
    return shares.argmax(0).numpy().astype(np.uint8)


def resized(labels: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """A map with other cells."""
    y, x = (np.arange(n) * own // n for n, own in zip((rows, columns), labels.shape, strict=True))
    return labels[y][:, x]


def is_street(shares: Tensor) -> bool:
    """Whether a frame looks like a street from a car: our segmenter is sure of itself, and there is road ahead."""
    height, width = shares.shape[1:]
    ahead = shares[ROAD, 5 * height // 8 :, width // 4 : 3 * width // 4]
    return bool(shares.amax(0).mean() >= SURE and ahead.mean() >= AHEAD)
