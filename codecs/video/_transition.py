"""What is new in a frame against another: its innovation, how far motion can be trusted, and whether the scene changed.

As seen by a transmitter, on source frames `[batch, 3, H, W]` in [0, 1] whose sides 8 divides.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from semlink.codecs.video._motion import block_motion, moved

DARK = (2 / 255) ** 2  # variance below which a frame is flat
MISSED = (0.01, 0.5)  # |there + back|^2 > 0.01 (|there|^2 + |back|^2) + 0.5, px^2 (Lai et al., ECCV 2018)
CUT = (0.45, 0.85)  # innovation and doubt from which on it is another scene; chosen on video/train and video/val


@dataclass(frozen=True)
class Transition:
    """From one frame to another. innovation: `[batch]`, squared error of the moved frame, lighting fitted, over the
    variance of the new one. doubt: `[batch]` in [0, 1], share of cells whose motion does not lead back, not looked for
    and 0 where little is new. flow: as of `block_motion`.
    """

    innovation: Tensor
    doubt: Tensor
    flow: Tensor

    @property
    def cut(self) -> Tensor:
        """Whether the scene is another one, bool `[batch]`."""
        return (self.innovation >= CUT[0]) & (self.doubt >= CUT[1])


def transition(now: Tensor, before: Tensor) -> Transition:
    """What leads from the frame before to the one now.

    Where blocks find nothing alike, the whole frame may have jumped beyond their reach: then that shift comes first.
    """
    near = _led(now, before)
    if not bool(near.cut.any()):
        return near
    shift = frame_shift(now, before)
    far = _led(now, moved(before, shift), shift)
    better = far.innovation < near.innovation
    flow = torch.where(better[:, None, None, None], far.flow, near.flow)
    innovation, doubt = (
        torch.where(better, a, b) for a, b in ((far.innovation, near.innovation), (far.doubt, near.doubt))
    )
    return Transition(innovation, doubt, flow)


def flow_unless_cut(now: Tensor, before: Tensor) -> Tensor | None:
    """The flow of one frame `[1, 3, H, W]` to the one before, or None where the scene is another one."""
    found = transition(now, before)
    return None if bool(found.cut) else found.flow


def _led(now: Tensor, before: Tensor, ahead: Tensor | None = None) -> Transition:
    """ahead: shift of the whole frame that `before` has been moved by."""
    alike = relit(before, now)
    there = block_motion(now, alike)
    shift = torch.zeros_like(there[:, :, :1, :1]) if ahead is None else ahead
    new = innovation(now, moved(before, there))
    lost, asked = torch.zeros_like(new), new >= CUT[0]
    if bool(asked.any()):
        lost[asked] = doubt(there[asked], block_motion(alike[asked], now[asked]), shift[asked])
    return Transition(new, lost, there + shift)


def relit(frame: Tensor, like: Tensor) -> Tensor:
    """A frame with the mean and the spread of another, so that motion is found across a fade or a flash."""
    mean, own = (z.mean((1, 2, 3), keepdim=True) for z in (like, frame))
    gain = ((like - mean).square().mean((1, 2, 3)) / (frame - own).square().mean((1, 2, 3)).clamp_min(DARK)).sqrt()
    return (frame - own) * gain.clamp(1 / 4, 4)[:, None, None, None] + mean


def frame_shift(now: Tensor, before: Tensor) -> Tensor:
    """The shift of the whole frame `[batch, 2, 1, 1]` in px (rows, columns), as a flow, by phase correlation."""
    one, other = (torch.fft.rfft2(_windowed(z.mean(1))) for z in (now, before))
    cross = other * one.conj()
    height, width = now.shape[2:]
    peak = torch.fft.irfft2(cross / cross.abs().clamp_min(1e-9), s=(height, width)).flatten(1).argmax(1)
    rows, columns = peak // width, peak % width
    wrapped = [torch.where(v > n // 2, v - n, v) for v, n in ((rows, height), (columns, width))]
    return torch.stack(wrapped, 1).to(now.dtype)[:, :, None, None]


def _windowed(luma: Tensor) -> Tensor:
    """Without mean, and without edges, which would correlate with themselves."""
    height, width = luma.shape[1:]
    window = torch.hann_window(height, False)[:, None] * torch.hann_window(width, False)
    return (luma - luma.mean((1, 2), keepdim=True)) * window.to(luma)


def innovation(now: Tensor, guess: Tensor) -> Tensor:
    """Squared error `[batch]` of a guess over the variance of the frame, after the best gain and offset.

    So fades and flashes of the same scene are not new.
    """
    x, y = (z - z.mean((1, 2, 3), keepdim=True) for z in (now, guess))
    gain = (x * y).mean((1, 2, 3)) / y.square().mean((1, 2, 3)).clamp_min(DARK)
    error = (x - gain.clamp(0, 4)[:, None, None, None] * y).square().mean((1, 2, 3))
    return error / x.square().mean((1, 2, 3)).clamp_min(DARK)


def doubt(there: Tensor, back: Tensor, ahead: Tensor) -> Tensor:
    """Share of cells `[batch]` from which flow there and flow back miss each other, or that come from outside.

    ahead: a shift of the whole frame beside the flow.
    """
    met = there + moved(back, there / 8)
    gap = met.square().sum(1)
    size = there.square().sum(1) + back.square().sum(1)
    rows, columns = (torch.arange(n, device=there.device) * 8 + 4.0 for n in there.shape[2:])
    y, x = there[:, 0] + ahead[:, 0] + rows[:, None], there[:, 1] + ahead[:, 1] + columns
    outside = (y < 0) | (y > 8 * len(rows)) | (x < 0) | (x > 8 * len(columns))
    return ((gap > MISSED[0] * size + MISSED[1]) | outside).float().mean((1, 2))
