"""Ways in which a frame may be told from an anchor: held, by one motion of the whole frame, or by blocks of some size.

As in CVSC's accumulated motion, and beside it motion straight from the anchor: the better of both is coded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from semlink.codecs.video import _control
from semlink.codecs.video import _motion_code as motion_code
from semlink.codecs.video._motion import CELL, block_motion, moved
from semlink.codecs.video._transition import innovation

HOLD, GLOBAL, BLOCKS = 0, 1, (32, 16, 8)  # px; mode 2 + k has blocks of BLOCKS[k]
MODES = 2 + len(BLOCKS)
LONG = 255  # a length that does not fit into a byte


@dataclass(frozen=True)
class Anchor:
    """A frame that others are told from, as the source has it. number: of its sending. since: flow from the last frame
    seen to it, `[1, 2, H/8, W/8]`.
    """

    frame: Tensor
    number: int
    since: Tensor

    @classmethod
    def of(cls, frame: Tensor, number: int) -> Anchor:
        """A frame `[1, 3, H, W]` that has just been sent."""
        return cls(frame, number, frame.new_zeros(1, 2, frame.shape[2] // CELL, frame.shape[3] // CELL))

    def seen(self, step: Tensor) -> Anchor:
        """After one more frame, which flow `step` leads back from."""
        return replace(self, since=step + moved(self.since, step / CELL))


@dataclass(frozen=True)
class Offer:
    """mode, motion: what is sent, and kind, control: of `_control`, beside it. innovation: what it leaves of the
    frame's variance.
    """

    mode: int
    motion: bytes
    innovation: float
    kind: int = _control.NONE
    control: bytes = b""

    @property
    def body(self) -> bytes:
        """Motion and control as bytes; `parted` reads them."""
        return delimited(self.motion) + self.control if self.kind else self.motion


def offers(now: Tensor, anchor: Anchor) -> Iterator[Offer]:
    """All modes for a frame `[1, 3, H, W]`, from the shortest on. anchor: `since` leads to it from this very frame."""
    yield Offer(HOLD, b"", float(innovation(now, anchor.frame)))
    flow = best_flow(now, anchor)
    for mode in range(GLOBAL, MODES):
        yield offer_of(now, anchor.frame, flow, mode)


def controlled(now: Tensor, before: Tensor, offer: Offer) -> Iterator[Offer]:
    """An offer for a frame `[1, 3, H, W]` told from another, with each kind of control."""
    guess = moved(before, unpack(offer.motion, offer.mode, now.shape[2], now.shape[3]))
    for kind in (_control.COARSE, _control.FINE):
        numbers = _control.differences(now, guess, kind)
        left = float(innovation(now, _control.applied(guess, _control.change(numbers, kind))))
        yield replace(offer, innovation=left, kind=kind, control=_control.pack(numbers))


def delimited(data: bytes) -> bytes:
    """Bytes behind how many they are."""
    size = len(data)
    return (bytes([size]) if size < LONG else bytes([LONG, size >> 8, size & 255])) + data


def parted(body: bytes, kind: int) -> tuple[bytes, bytes]:
    """Motion and control of any bytes."""
    if not kind:
        return body, b""
    size, start = (body[0], 1) if body and body[0] < LONG else (int.from_bytes(body[1:3], "big"), 3)
    return body[start : start + size], body[start + size :]


def offer_of(now: Tensor, before: Tensor, flow: Tensor, mode: int) -> Offer:
    """A frame `[1, 3, H, W]` told from another by their flow in a mode."""
    numbers = quantised(flow, mode)
    told = field(numbers, mode, now.shape[2], now.shape[3])
    data = motion_code.pack(numbers) if mode != HOLD else b""
    return Offer(mode, data, float(innovation(now, moved(before, told))))


def best_flow(now: Tensor, anchor: Anchor) -> Tensor:
    """From a frame to an anchor, accumulated and then found anew around that, or straight: what leaves less."""
    pair = torch.cat([moved(anchor.frame, anchor.since), anchor.frame])
    around, straight = block_motion(now.expand(2, -1, -1, -1), pair).split(1)
    accumulated = around + moved(anchor.since, around / CELL)
    found = [(float(innovation(now, moved(anchor.frame, flow))), flow) for flow in (accumulated, straight)]
    return min(found, key=lambda pair: pair[0])[1]


def quantised(flow: Tensor, mode: int) -> np.ndarray:
    """A flow `[1, 2, H/8, W/8]` in px as what that mode tells, whole half pixels `[2, rows, columns]`."""
    if mode == HOLD:
        return np.zeros((2, 1, 1), int)
    if mode == GLOBAL:
        half = 2 * _similarity(flow)
    else:
        size = BLOCKS[mode - 2] // CELL
        half = 2 * F.avg_pool2d(flow, size, ceil_mode=True, count_include_pad=False)[0].numpy()
    return np.clip(np.round(half), -motion_code.LIMIT, motion_code.LIMIT).astype(int)


def field(numbers: np.ndarray, mode: int, height: int, width: int) -> Tensor:
    """The flow that they tell, in px `[1, 2, rows, columns]`."""
    if mode == GLOBAL:
        return _spread(numbers / 2, height // CELL, width // CELL)
    return torch.from_numpy(numbers).float()[None] / 2


def unpack(data: bytes, mode: int, height: int, width: int) -> Tensor:
    """The flow of an offer's bytes in px `[1, 2, rows, columns]`, of any bytes; sides are multiples of 8."""
    if mode == HOLD:
        return torch.zeros(1, 2, 1, 1)
    size = BLOCKS[mode - 2] if mode != GLOBAL else 0
    shape = (-(-height // size), -(-width // size)) if size else (1, 2)
    return field(motion_code.unpack(data, *shape), mode, height, width)


def _similarity(flow: Tensor) -> np.ndarray:
    """Shift, and zoom and turn in px at the edge, `[2, 1, 2]`, that most cells of a flow agree on.

    Least squares, twice again without the half of the cells that fits worst.
    """
    field = flow[0].permute(1, 2, 0).numpy().astype(float)
    basis = _basis(*field.shape[:2])
    kept = np.ones(field.shape[:2], bool)
    for _ in range(3):
        fit = np.linalg.lstsq(basis[kept].reshape(-1, 4), field[kept].reshape(-1), rcond=None)[0]
        miss = np.abs(basis @ fit - field).sum(-1)
        kept = miss <= np.median(miss)
    shift_row, shift_column, zoom, turn = fit
    return np.array([[[shift_row, zoom]], [[shift_column, turn]]])


def _spread(numbers: np.ndarray, rows: int, columns: int) -> Tensor:
    """Flow `[1, 2, rows, columns]` of shift, zoom and turn `[2, 1, 2]`."""
    (shift_row, zoom), (shift_column, turn) = numbers[:, 0]
    field = _basis(rows, columns) @ np.array([shift_row, shift_column, zoom, turn])
    return torch.from_numpy(field).float().permute(2, 0, 1)[None]


def _basis(rows: int, columns: int) -> np.ndarray:
    """What a unit of shift (row, column), zoom and turn does to each cell, `[rows, columns, 2, 4]`."""
    y, x = np.meshgrid(*((np.arange(n) + 0.5) * 2 / n - 1 for n in (rows, columns)), indexing="ij")
    zeros, ones = np.zeros_like(y), np.ones_like(y)
    return np.stack([np.stack([ones, zeros, y, x], -1), np.stack([zeros, ones, x, -y], -1)], -2)
