"""What `semmap`'s network learns from: key frames as they were coded, frames after them, maps of both and motion.

Nothing is coded twice: of each clip drawn there is one key frame, with frames in pairs at random ages, and what a
sender would tell of them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.random import Generator as Random
from safetensors.torch import load_file, save_file
from torch import Generator, Tensor
from tqdm import tqdm

from semlink.codecs._sources import ladder
from semlink.codecs._sources.coders import coder
from semlink.codecs._sources.fitting import fit
from semlink.codecs.video import _class_maps as maps
from semlink.codecs.video import _offers
from semlink.codecs.video._generator import GRID, Told, about, told_of
from semlink.codecs.video._motion import CELL, block_motion, moved
from semlink.simulator.files import reading, write_aside

SIDE, LONGEST = 128, 18  # px and frames
STRIDE = 4  # frames between those by which motion is accumulated
PAIRS = 2  # of frames, of each key frame
BPP = (0.06, 0.8)  # bits per pixel of key frames
MODES = (0.3, 0.4, 0.2, 0.1)  # how often motion is told of the whole frame, and of blocks of 32, 16 and 8 px
CELLS = (4, 8, 16)
STREETS = 0.4  # share of stills of streets
NO_KEY, NO_MAP, AT_KEY = 0.1, 0.12, 0.12  # shares of examples without, and of the key frame's own
DRAWS, WILD = 4, 0.004  # of clips, at most, and squared error between frames
Shots = Callable[[Random, int, int], Tensor]


class Examples(NamedTuple):
    """frames: uint8 `[n, 1 + 2 PAIRS, 3, SIDE, SIDE]`, the key frame first. coded: that as it arrives. flow: px float16
    `[n, 2 PAIRS, 2, rows, columns]`. labels: maps uint8 `[n, 1 + 2 PAIRS, rows, columns]`. palette: uint8 `[n, 8, 3]`.
    street: bool `[n]`. ages: int64 `[n, 2 PAIRS]`. bpp: `[n]`.
    """

    frames: Tensor
    coded: Tensor
    flow: Tensor
    labels: Tensor
    palette: Tensor
    street: Tensor
    ages: Tensor
    bpp: Tensor


class Batch(NamedTuple):
    """told: of frames in pairs. frames: `[batch, 3, H, W]` in [0, 1]. street: bool `[batch]`. pairs: whether frames 2 k
    and 2 k + 1 follow each other, bool `[batch / 2]`."""

    told: Told
    frames: Tensor
    street: Tensor
    pairs: Tensor


def prepare(shots: Shots, count: int, seed: int) -> Examples:
    """So many examples of clips that `shots` draws; half a second each."""
    drawn = [_example(shots, np.random.default_rng([seed, k])) for k in tqdm(range(count), desc="examples")]
    return Examples(*(torch.stack(column) for column in zip(*drawn, strict=True)))


def kept(path: Path, make: Callable[[], Examples]) -> Examples:
    """Those of a file, which are made where it is missing."""
    if not path.exists():
        made = make()
        path.parent.mkdir(parents=True, exist_ok=True)
        write_aside(path, lambda aside: save_file({k: v.contiguous() for k, v in made._asdict().items()}, aside))
    with reading(path, "no examples; choose another --out"):
        return Examples(**load_file(path))


def _example(shots: Shots, rng: Random) -> tuple[Tensor, ...]:
    clip = _calm(shots, rng)
    starts = np.sort(rng.integers(1, LONGEST - 1, PAIRS))
    ages = [int(age) for start in starts for age in (start, start + 1)]
    chosen = torch.cat([clip[:1], clip[ages]])
    bits = float(np.exp(rng.uniform(*np.log(BPP))) * SIDE**2)
    coded, size = _coded(chosen[0], bits)
    shares = [maps.street_shares(frame[None]) for frame in chosen]
    street = maps.is_street(shares[0])
    palette = maps.means_of(clip[:1], shares[0]) if street else maps.colours_of(clip[:1])
    if not street:
        shares = [maps.colour_shares(frame[None], palette) for frame in chosen]
    labels: list[np.ndarray] = []
    for own in shares:
        labels.append(maps.map_of(maps.cells(own, GRID), labels[-1] if labels else None))
    flow = torch.stack([_told_flow(clip, age, rng) for age in ages])
    return (
        (255 * chosen).round().to(torch.uint8),
        torch.from_numpy(coded).permute(2, 0, 1),
        flow,
        torch.from_numpy(np.stack(labels)),
        torch.from_numpy(palette),
        torch.tensor(street),
        torch.tensor(ages),
        torch.tensor(size / SIDE**2),
    )


def _calm(shots: Shots, rng: Random) -> Tensor:
    """A clip that is no wilder than films are, mostly: another is drawn where two frames differ much."""
    for _ in range(DRAWS):
        clip = shots(rng, LONGEST, SIDE)
        if float((clip[1] - clip[0]).square().mean()) <= WILD:
            break
    return clip


def _coded(frame: Tensor, bits: float) -> tuple[np.ndarray, float]:
    """A key frame as it arrives, uint8 `[H, W, 3]`, and its bits: HEVC at the size that is usual for them."""
    levels = (255 * frame).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
    bpp = bits / SIDE**2
    step = 0 if bpp > 0.35 else 1 if bpp > 0.2 else 2
    small = np.ascontiguousarray(ladder.resized(levels, *ladder.size_at(SIDE, SIDE, step)))
    found = fit(coder("hevc"), small, int(bits / 8)) or (coder("hevc").encode(small, 0), 0)
    picture = coder("hevc").decode(found[0], *small.shape[:2])
    return np.array(ladder.resized(picture, SIDE, SIDE)), 8.0 * len(found[0])


def _told_flow(clip: Tensor, age: int, rng: Random) -> Tensor:
    """Motion of a frame to the first one, found along others between, as a mode tells it; px `[2, rows, columns]`."""
    since = torch.zeros(1, 2, SIDE // CELL, SIDE // CELL)
    for start in range(0, age, STRIDE):
        stop = min(start + STRIDE, age)
        around = block_motion(clip[stop : stop + 1], moved(clip[start : start + 1], torch.zeros(1, 2, 1, 1)))
        since = around + moved(since, around / CELL)
    mode = 1 + int(rng.choice(len(MODES), p=MODES))
    told = _offers.field(_offers.quantised(since, mode), mode, SIDE, SIDE)
    return F.interpolate(told, (SIDE // CELL, SIDE // CELL), mode="bilinear", align_corners=False)[0].half()


def draw(examples: Examples, batch: int, generator: Generator) -> Batch:
    """A random batch of pairs of frames, half of them mirrored, some without key frame or map."""
    found = [_pair(examples, generator) for _ in range(max(1, batch // 2))]
    told = Told(*(torch.cat(parts) for parts in zip(*(one.told for one in found), strict=True)))
    return Batch(told, *(torch.cat(parts) for parts in zip(*(one[1:] for one in found), strict=True)))


def _pair(examples: Examples, generator: Generator) -> Batch:
    which = int(torch.randint(len(examples.frames), (1,), generator=generator))
    pair, cell = (int(torch.randint(n, (1,), generator=generator)) for n in (PAIRS, len(CELLS)))
    no_key, no_map, at_key, mirrored = torch.rand(4, generator=generator).tolist()
    own, places = Examples(*(part[which] for part in examples)), [2 * pair, 2 * pair + 1]
    frames, labels, flow = own.frames[[1 + p for p in places]], own.labels[[1 + p for p in places]], own.flow[places]
    ages, following = own.ages[places].tolist(), True
    if at_key < AT_KEY:
        frames = torch.stack([own.frames[0], frames[1]])
        labels, flow = torch.stack([own.labels[0], labels[1]]), torch.stack([torch.zeros_like(flow[0]), flow[1]])
        ages, following = [0, ages[1]], False
    told = told_of(
        own.coded[None].float() / 255,
        flow.float(),
        (coarser(own.labels[:1], CELLS[cell]), coarser(labels, CELLS[cell])),
        (CELLS[cell],) * 2,
        own.palette,
        [about(no_key >= NO_KEY, bool(own.street), CELLS[cell], age, float(own.bpp)) for age in ages],
    )
    if no_map < NO_MAP and no_key >= NO_KEY:
        told = told._replace(now=torch.stack([told.now[0], told.then[1]]))
    shown = Batch(told, frames.float() / 255, own.street.expand(2), torch.tensor([following]))
    return flipped(shown) if mirrored < 0.5 else shown


def coarser(labels: Tensor, cell: int) -> Tensor:
    """Maps uint8 `[batch, rows, columns]` of cells of 4 px as ones of larger cells."""
    if cell == GRID:
        return labels
    shares = F.one_hot(labels.long(), maps.CLASSES).permute(0, 3, 1, 2).float()
    return F.avg_pool2d(shares, cell // GRID, ceil_mode=True, count_include_pad=False).argmax(1).to(torch.uint8)


def flipped(batch: Batch) -> Batch:
    """The mirror image."""
    told = batch.told
    key, now, then = (part.flip(-1) for part in (told.key, told.now, told.then))
    flow = told.flow.flip(-1) * torch.tensor([1.0, -1.0])[:, None, None]
    return batch._replace(told=told._replace(key=key, now=now, then=then, flow=flow), frames=batch.frames.flip(-1))
