"""The network of `wvsc`: reference frames and changes as symbols, decoded with a cue from the last decoded frame.

After WVSC (Xie et al., WCNC 2025; arXiv 2503.21197), from its published description: semantic frames, a reference and
residuals against it. As in asymmetric contexts (arXiv 2601.06170) the encoder sees source frames alone, because it
cannot know what the receiver has; how far the receiver trusts its own is learned (UIIC, Uni-LVC).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semlink.codecs._learned.modulated import ModulatedStack
from semlink.simulator import forms

CELL = 8  # px
PIXELS = 3 * CELL**2
SNRS = (0.0, 20.0)  # dB, of training


class SemanticNetwork(nn.Module):
    """planes: complex symbols per 8x8 cell, of which any first so many may be sent; width: features; blocks: (encoders,
    decoder). Fully convolutional; pictures have sides that 8 divides.
    """

    def __init__(self, planes: int = 16, width: int = 64, blocks: tuple[int, int] = (2, 4)) -> None:
        super().__init__()
        self.settings = {"planes": planes, "width": width, "blocks": list(blocks)}
        self.planes = planes
        self.reference = ModulatedStack(PIXELS, 2 * planes, width, blocks[0])
        self.change = ModulatedStack(2 * PIXELS, 2 * planes, width, blocks[0])
        self.gate = ModulatedStack(3 * planes + PIXELS + 1, 1, width // 2, 1)
        self.decoder = ModulatedStack(3 * planes + PIXELS + 1, PIXELS, width, blocks[1])

    def encode(self, frames: Tensor, before: Tensor | None, snr_db: Tensor) -> Tensor:
        """Frames `[batch, 3, H, W]` in [0, 1] to symbols complex64 `[batch, planes H W / 64]`, plane by plane.

        before: the source's frames before these, or None for reference frames. snr_db: `[batch]`.
        """
        told, x = snr_db.clamp(*SNRS), cells(frames)
        z = self.reference(x, told) if before is None else self.change(torch.cat([x, cells(before)], 1), told)
        real, imaginary = z.chunk(2, 1)
        return torch.complex(real, imaginary).flatten(1)

    def decode(self, x_hat: Tensor, a: Tensor, cue: Tensor, trust: Tensor) -> Tensor:
        """Frames `[batch, 3, H, W]`, not clamped.

        x_hat complex64 and `a` `[batch, k]`: the first symbols, fewer than all. cue: the last decoded frames, like the
        frames. trust: `[batch]` in [0, 1], how reliable they are; 0 makes the frames stand by themselves.
        """
        height, width = cue.shape[2] // CELL, cue.shape[3] // CELL
        z, reliability = (self._planes(v, height, width) for v in (x_hat, a))
        symbols = torch.cat([z.real, z.imag, reliability], 1)
        snr_db = forms.snr_db(a.mean(1), least=1e-3).clamp(SNRS[0] - 10, SNRS[1])
        plane = trust[:, None, None, None].expand(-1, 1, height, width)
        seen = torch.cat([symbols, cells(cue) * plane, plane], 1)
        share = torch.sigmoid(self.gate(seen, snr_db)) * plane
        found = self.decoder(torch.cat([symbols, cells(cue) * share, share], 1), snr_db)
        return F.pixel_shuffle(found + cells(cue) * share, CELL) / 2 + 0.5

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
