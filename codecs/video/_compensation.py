"""The networks of `wvsc_d`: what noise left of semantic frames, found by diffusion whose noise is shared and own.

After the decoupled diffusion of WVSC-D (Xie et al., IEEE TCOM 2025; arXiv 2511.02478), from its published description,
which names VideoFusion (Luo et al., CVPR 2023; arXiv 2303.08320): the noise of frame i at signal share alpha is
sqrt(1 - alpha) (sqrt(share) b + sqrt(1 - share) r_i), base b common to a group, residual r_i its own; the reference
has the base alone. One network finds the base from the reference, another the residual of each frame. Ours: both answer
with the clean semantic frame, preconditioned around the one that was decoded (Karras et al., 2022), and a last network
shows in pixels what changed.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from semlink.codecs._learned.modulated import ModulatedStack
from semlink.codecs.video._motion import CELL
from semlink.codecs.video._semantic import PIXELS, SemanticNetwork, cells
from semlink.simulator import forms

SPREAD = 0.5  # rms of what a decoded semantic frame is off by, of unit variance itself
CLEAR_DB = 20.0  # SNR for which frames are made semantic here
LEAST = 1e-3  # of levels and reliabilities
HEARD_DB = (-10.0, 18.0)  # of reliabilities in training, fades included: beyond, networks are told the nearest


class NoiseNetwork(ModelMixin, ConfigMixin):
    """Clean semantic frames of noisy ones. planes: real planes of them; width, blocks: as of a `ModulatedStack`."""

    config_name = "config.json"

    @register_to_config
    def __init__(self, planes: int = 64, width: int = 96, blocks: int = 3) -> None:
        super().__init__()
        self.stack = ModulatedStack(2 * planes + 1, planes, width, blocks)
        _silent(self.stack)

    def forward(self, state: Tensor, alpha: Tensor, noise: Tensor, decoded: Tensor, heard: Tensor) -> Tensor:
        """x0 `[batch, planes, h, w]` of a state sqrt(alpha) x0 + sqrt(noise) n.

        alpha, noise: `[batch]`. decoded: what was decoded of x0. heard: mean `a` of its symbols, `[batch]`.
        """
        sigma = (noise / alpha).sqrt()
        keep, take, scale = (each[:, None, None, None] for each in shares(sigma))
        around = state / alpha.sqrt()[:, None, None, None] - decoded
        seen = torch.cat([scale * around, decoded, level_plane(heard, decoded)], 1)
        told = forms.snr_db(1 / (1 + sigma.square()), LEAST)
        return decoded + keep * around + take * self.stack(seen, told)


class Synthesis(ModelMixin, ConfigMixin):
    """Frames of semantic ones that were compensated."""

    config_name = "config.json"

    @register_to_config
    def __init__(self, planes: int = 64, width: int = 64, blocks: int = 2) -> None:
        super().__init__()
        self.stack = ModulatedStack(2 * planes + PIXELS, PIXELS, width, blocks)
        _silent(self.stack)

    def forward(self, frames: Tensor, decoded: Tensor, found: Tensor, heard: Tensor) -> Tensor:
        """Frames `[batch, 3, H, W]`, not clamped, of decoded ones and their semantic frames before and after."""
        seen = torch.cat([cells(frames), decoded, found - decoded], 1)
        change = self.stack(seen, heard_db(heard))
        return frames + F.pixel_shuffle(change, CELL) / 2


class CompensationNetwork(nn.Module):
    """All three. planes: real planes of semantic frames."""

    def __init__(self, planes: int = 64, width: int = 96, blocks: int = 3, shown: int = 64) -> None:
        super().__init__()
        self.settings = {"planes": planes, "width": width, "blocks": blocks, "shown": shown}
        self.base, self.residual = NoiseNetwork(planes, width, blocks), NoiseNetwork(planes, width, blocks)
        self.synthesis = Synthesis(planes, shown, 2)


def semantics(network: SemanticNetwork, frames: Tensor) -> Tensor:
    """Semantic frames as real planes of about unit variance, `[batch, 2 planes, H/8, W/8]`, of frames in [0, 1]."""
    z = torch.view_as_real(network.encode(frames, torch.full((len(frames),), CLEAR_DB)))
    return (z / network.worth.sqrt()[:, None, None, None]).movedim(-1, 2).flatten(1, 2)


def shares(sigma: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of what is around the decoded frame at noise `sigma`: kept, taken of the network's answer; and its scale."""
    total = (sigma.square() + SPREAD**2).sqrt()
    return SPREAD**2 / total**2, sigma * SPREAD / total, 1 / total


def noisy(x0: Tensor, alpha: Tensor, noise: Tensor) -> Tensor:
    """sqrt(alpha) x0 + sqrt(1 - alpha) noise; alpha `[batch]`."""
    alpha = alpha[:, None, None, None]
    return alpha.sqrt() * x0 + (1 - alpha).sqrt() * noise


def noise_in(state: Tensor, x0: Tensor, alpha: Tensor) -> Tensor:
    """The noise of a state whose clean frame is known."""
    alpha = alpha[:, None, None, None]
    return (state - alpha.sqrt() * x0) / (1 - alpha).sqrt()


def without_base(state: Tensor, base: Tensor, alpha: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """A frame's state less the base noise, and the power of noise that is left of it, `[batch]`."""
    level = 1 - alpha
    return state - (share * level).sqrt()[:, None, None, None] * base, (1 - share) * level


def heard_db(heard: Tensor) -> Tensor:
    """The SNR in dB that mean reliabilities `[batch]` amount to, within the range of training."""
    return forms.snr_db(heard, LEAST).clamp(*HEARD_DB)


def level_plane(heard: Tensor, like: Tensor) -> Tensor:
    """A reliability as a plane, in tens of dB."""
    return (heard_db(heard) / 10)[:, None, None, None].expand(-1, 1, *like.shape[2:])


def _silent(stack: ModulatedStack) -> None:
    """Answers zero before it learns."""
    for layer in (stack.last, stack.linear):
        nn.init.zeros_(layer.weight)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
