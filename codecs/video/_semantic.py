"""The network of `wvsc`: frames as symbols, decoded with what the receiver holds of the frames before.

After WVSC (Xie et al., WCNC 2025; arXiv 2503.21197), from its published description: semantic frames, a reference and
changes against it. As in asymmetric contexts (arXiv 2601.06170) the encoder sees source frames alone, because it cannot
know what the receiver has; how far the receiver trusts its own is learned (UIIC, Uni-LVC). Ours: motion is sent within
the analog symbols, and changes differ by their number since the reference, so that a still picture is told ever more.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semlink.codecs._learned.modulated import ModulatedStack
from semlink.codecs.video._motion import CELL, moved
from semlink.simulator import forms

PIXELS = 3 * CELL**2
PHASES = 8  # kinds of frames: 0 a reference, then changes in turn
TOLD = PHASES + 1  # planes that tell phase and rate
SNRS = (0.0, 20.0)  # dB, of training
FADING_TRUST = 0.7  # of what is left of it by a frame of which nothing arrived
FAR = 8.0  # px of motion that networks see as 1


@dataclass(frozen=True)
class Held:
    """What a receiver has. frame: the last one, `[batch, 3, H, W]`. features: beside it, `[batch, memory, H/8, W/8]`.

    trust: `[batch]` in [0, 1], how reliable both are; 0 makes the next frame stand by itself.
    """

    frame: Tensor
    features: Tensor
    trust: Tensor


@dataclass(frozen=True)
class Decoded:
    """frame: `[batch, 3, H, W]`, not clamped. features: for the next one. flow: the motion that was understood."""

    frame: Tensor
    features: Tensor
    flow: Tensor


@dataclass(frozen=True)
class Motion:
    """What a transmitter sees besides a frame. before: the source's frame before it. flow: from one to the other."""

    before: Tensor
    flow: Tensor


class SemanticNetwork(nn.Module):
    """planes: complex symbols per 8x8 cell, of which any first so many may be sent; width: features; blocks: (encoder,
    decoder); memory: features that a receiver keeps. Fully convolutional; frames have sides that 8 divides.
    """

    def __init__(self, planes: int = 16, width: int = 64, blocks: tuple[int, int] = (3, 4), memory: int = 24) -> None:
        super().__init__()
        self.settings = {"planes": planes, "width": width, "blocks": list(blocks), "memory": memory}
        self.planes, self.memory = planes, memory
        heard = 3 * planes + PIXELS + memory + 1 + TOLD
        self.encoder = ModulatedStack(2 * PIXELS + 3 + TOLD, 2 * planes, width, blocks[0])
        self.motion = ModulatedStack(heard, 3, width // 2, 2)
        self.decoder = ModulatedStack(heard, PIXELS + memory, width, blocks[1])

    def encode(self, frames: Tensor, motion: Motion | None, phase: int, uses: int, snr_db: Tensor) -> Tensor:
        """Frames `[batch, 3, H, W]` in [0, 1] as symbols complex64 `[batch, min(uses, planes H W / 64)]` of power 1.

        motion: None at the beginning. phase: 0 makes them references, which need nothing of the frames before. snr_db:
        `[batch]`.
        """
        x = cells(frames)
        change, flow = torch.zeros_like(x), torch.zeros_like(x[:, :2])
        if motion:
            flow = motion.flow
            change = x - cells(moved(motion.before, flow)) if phase else change
        known = torch.full_like(x[:, :1], float(motion is not None))
        seen = torch.cat([x, change, flow / FAR, known, self._told(phase, uses, x)], 1)
        real, imaginary = self.encoder(seen, snr_db.clamp(*SNRS)).chunk(2, 1)
        return unit_power(torch.complex(real, imaginary).flatten(1)[:, :uses])

    def decode(self, x_hat: Tensor, a: Tensor, held: Held, phase: int) -> Decoded:
        """Frames of symbols x_hat complex64 and their `a`, `[batch, k]`, whatever the k first ones are."""
        height, width = held.features.shape[2:]
        z, reliability = (self._planes(v, height, width) for v in (x_hat, a))
        told = self._told(phase, x_hat.shape[1], held.features)
        snr_db = forms.snr_db(a.mean(1), least=1e-3).clamp(SNRS[0] - 10, SNRS[1])
        heard = torch.cat([z.real, z.imag, reliability, told], 1)
        trust = held.trust[:, None, None, None].expand(-1, 1, height, width)
        known = self.motion(torch.cat([heard, cells(held.frame) * trust, held.features * trust, trust], 1), snr_db)
        share, flow = torch.sigmoid(known[:, :1]) * trust, FAR * known[:, 1:]
        cue = cells(moved(held.frame, flow)) * share
        features = moved(held.features, flow / CELL) * share
        found = self.decoder(torch.cat([heard, cue, features, share], 1), snr_db)
        frame = F.pixel_shuffle(found[:, :PIXELS] + cue, CELL) / 2 + 0.5
        return Decoded(frame, torch.tanh(found[:, PIXELS:]), flow)

    def nothing(self, frames: Tensor) -> Held:
        """What a receiver of frames `[batch, 3, H, W]` holds at the beginning."""
        batch, _, height, width = frames.shape
        features = frames.new_zeros(batch, self.memory, height // CELL, width // CELL)
        return Held(torch.full_like(frames, 0.5), features, frames.new_zeros(batch))

    def _told(self, phase: int, uses: int, like: Tensor) -> Tensor:
        """What both ends know of a frame, as planes `[batch, TOLD, h, w]`: its phase, and its rate."""
        batch, _, height, width = like.shape
        told = like.new_zeros(batch, TOLD, height, width)
        told[:, phase] = 1
        told[:, PHASES] = torch.tensor(max(1, uses) / (height * width)).log2() / 4
        return told

    def _planes(self, values: Tensor, height: int, width: int) -> Tensor:
        whole = values.new_zeros(len(values), self.planes * height * width)
        count = min(values.shape[1], whole.shape[1])
        whole[:, :count] = values[:, :count]
        return whole.reshape(len(values), self.planes, height, width)


def cells(frames: Tensor) -> Tensor:
    """Frames in [0, 1] as features per 8x8 cell, about within -1 and 1."""
    return F.pixel_unshuffle(2 * frames - 1, CELL)


def unit_power(symbols: Tensor) -> Tensor:
    """Symbols `[batch, k]` with mean power 1 each."""
    power = symbols.abs().square().mean(1, keepdim=True)
    return symbols / power.clamp_min(1e-12).sqrt()


def new_trust(trust: Tensor, a: Tensor, reference: bool) -> Tensor:
    """How reliable what was decoded is, `[batch]`: a reference as its symbols, a change half as what it stands on."""
    own = a.mean(1) if a.shape[1] else torch.zeros(len(trust))
    return own if reference else (own + trust) / 2


def phase_of(age: int) -> int:
    """The phase of a frame so many frames after its reference."""
    return 0 if age == 0 else 1 + (age - 1) % (PHASES - 1)
