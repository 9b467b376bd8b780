"""The network of `wvsc`: semantic frames, of which a few planes are sent at a time, and decoded against a cue.

After WVSC (Xie et al., WCNC 2025; arXiv 2503.21197), from its published description: semantic frames, a reference and
changes against it. As in asymmetric contexts (arXiv 2601.06170) the encoder sees source frames alone, because it cannot
know what the receiver has; how far the receiver trusts its own is learned (UIIC, Uni-LVC). Ours: the receiver makes a
semantic frame of its cue too and looks at the innovation alone, and the sender chooses which planes it lacks most.
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
SNRS = (0.0, 20.0)  # dB, of training
FADING_TRUST = 0.7  # of what is left of it by a frame of which nothing arrived
SURE = 5.0  # logit of the share of a cue, before anything is learned
SOLID = 1e-4  # least power of what is normalised


@dataclass(frozen=True)
class Held:
    """What a receiver has. frame: the last one, `[batch, 3, H, W]`. features: beside it, `[batch, memory, H/8, W/8]`.

    trust: `[batch]` in [0, 1], how reliable both are; 0 makes the next frame stand by itself.
    """

    frame: Tensor
    features: Tensor
    trust: Tensor


@dataclass(frozen=True)
class Side:
    """What is told of each frame beside its symbols. start: first symbol of the semantic frame that is sent, int64
    `[batch]`. scale: root mean square of those sent, `[batch]`. intra: to be decoded without a cue, bool `[batch]`.

    flow: to the frame before, in px, `[batch, 2, rows, columns]`.
    """

    start: Tensor
    scale: Tensor
    intra: Tensor
    flow: Tensor


class SemanticNetwork(nn.Module):
    """planes: complex planes of a semantic frame, of which any run may be sent; width: features; blocks: (encoder,
    decoder); memory: features that a receiver keeps. Fully convolutional; frames have sides that 8 divides.

    worth: `[planes]`, squared error of pixels per squared error of a plane.
    """

    worth: Tensor

    def __init__(self, planes: int = 32, width: int = 64, blocks: tuple[int, int] = (1, 4), memory: int = 24) -> None:
        super().__init__()
        self.settings = {"planes": planes, "width": width, "blocks": list(blocks), "memory": memory}
        self.planes, self.memory = planes, memory
        heard = 2 * 2 * planes + planes + PIXELS + memory + 1
        self.encoder = ModulatedStack(PIXELS, 2 * planes, width, blocks[0])
        self.gate = ModulatedStack(heard, 1, width // 2, 1)
        self.decoder = ModulatedStack(heard, PIXELS + memory, width, blocks[1])
        self.register_buffer("worth", torch.ones(planes))

    @torch.no_grad()
    def start_linear(self, cells_seen: Tensor) -> None:
        """Begin as the best linear code of such cells `[n, PIXELS]`: their principal components in order, each with the
        power of Lee and Petersen (1976), the square root of its variance.
        """
        mean = cells_seen.mean(0)
        variance, basis = torch.linalg.eigh(torch.cov((cells_seen - mean).T))
        order = variance.argsort(descending=True)[: 2 * self.planes]
        basis, gain = basis[:, order], variance[order].clamp_min(1e-6) ** -0.25
        for stack in (self.encoder, self.decoder, self.gate):
            stack.last.weight.zero_()
            stack.last.bias.zero_()
            stack.linear.weight.zero_()
            stack.linear.bias.zero_()
        self.encoder.linear.weight[:, :, 0, 0] = (basis * gain).T
        self.decoder.linear.weight[:PIXELS, 2 * self.planes : 4 * self.planes, 0, 0] = basis / gain
        self.worth.copy_((gain**-2).unflatten(0, (-1, 2)).mean(1))

    def encode(self, frames: Tensor, snr_db: Tensor) -> Tensor:
        """Semantic frames complex64 `[batch, planes, H/8, W/8]` of frames `[batch, 3, H, W]` in [0, 1]; snr_db
        `[batch]`.
        """
        found = self.encoder(cells(frames), snr_db.clamp(*SNRS)).unflatten(1, (self.planes, 2))
        return torch.complex(found[:, :, 0], found[:, :, 1])

    def decode(self, x_hat: Tensor, a: Tensor, side: Side, held: Held) -> Held:
        """The next frame, not clamped, and what is kept beside it, of symbols `[batch, k]` and their `a`; trust is left
        as it was.
        """
        height, width = held.features.shape[2:]
        heard = placed(x_hat * side.scale[:, None], side.start, self.planes, (height, width))
        known = placed(a, side.start, self.planes, (height, width))
        snr_db = forms.snr_db(a.mean(1), least=1e-3).clamp(SNRS[0] - 10, SNRS[1])
        cue, features = moved(held.frame, side.flow), moved(held.features, side.flow / CELL)
        own = known * self.encode(cue, snr_db)
        trust = (held.trust * ~side.intra)[:, None, None, None].expand(-1, 1, height, width)
        there = (trust > 0).float()
        level = _parts(heard), _parts(heard - own * there), known, cells(cue) * there, features * there, trust
        share = torch.sigmoid(self.gate(torch.cat(level, 1), snr_db) + SURE) * there
        left = _parts(heard), _parts(heard - own * share), known, cells(cue) * share, features * share, share
        found = self.decoder(torch.cat(left, 1), snr_db)
        frame = F.pixel_shuffle(found[:, :PIXELS] + cells(cue) * share, CELL) / 2 + 0.5
        return Held(frame, torch.tanh(found[:, PIXELS:]), held.trust)

    def nothing(self, frames: Tensor) -> Held:
        """What a receiver of frames `[batch, 3, H, W]` holds at the beginning."""
        batch, _, height, width = frames.shape
        features = frames.new_zeros(batch, self.memory, height // CELL, width // CELL)
        return Held(torch.full_like(frames, 0.5), features, frames.new_zeros(batch))


def cells(frames: Tensor) -> Tensor:
    """Frames in [0, 1] as features per 8x8 cell, within -1 and 1."""
    return F.pixel_unshuffle(2 * frames - 1, CELL)


def taken(z: Tensor, start: Tensor, uses: int) -> Tensor:
    """So many symbols `[batch, uses]` of semantic frames, plane by plane, from the one `start` `[batch]` on."""
    return z.flatten(1).gather(1, start[:, None] + torch.arange(uses))


def placed(values: Tensor, start: Tensor, planes: int, size: tuple[int, int]) -> Tensor:
    """Symbols `[batch, k]`, or their `a`, at their places in semantic frames `[batch, planes, *size]`, 0 elsewhere."""
    whole = values.new_zeros(len(values), planes * size[0] * size[1])
    places = (start[:, None] + torch.arange(values.shape[1])).clamp_max(whole.shape[1] - 1)
    return whole.scatter(1, places, values).unflatten(1, (planes, *size))


def normalised(symbols: Tensor) -> tuple[Tensor, Tensor]:
    """Symbols `[batch, k]` with mean power 1 each, and what they were divided by `[batch]`."""
    scale = symbols.abs().square().mean(1).clamp_min(SOLID).sqrt()
    return symbols / scale[:, None], scale


def new_trust(trust: Tensor, a: Tensor, intra: Tensor) -> Tensor:
    """How reliable what was decoded is, `[batch]`: by itself as its symbols, a change half as what it stands on."""
    own = a.mean(1) if a.shape[1] else torch.zeros(len(trust))
    return torch.where(intra, own, (own + trust) / 2)


def _parts(z: Tensor) -> Tensor:
    """Real and imaginary parts of planes `[batch, P, h, w]` in turn, `[batch, 2 P, h, w]`."""
    return torch.view_as_real(z).movedim(-1, 2).flatten(1, 2)
