"""Denoisers that are exact where statistics are simple, in place of trained ones; which steps a decoding asks."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor

from semlink.codecs._diffusion.denoising import ChannelDenoisingPipeline
from semlink.codecs._diffusion.networks import make_scheduler
from semlink.simulator import Reception


class Gaussian(ModelMixin, ConfigMixin):
    """The exact denoiser of pixels that are independent N(mean, spread^2), as a network that predicts samples."""

    @register_to_config
    def __init__(self, mean: float, spread: float, in_channels: int = 3) -> None:
        super().__init__()
        self.register_to_config(block_out_channels=(1,))
        self.scale = torch.nn.Parameter(torch.ones(()))
        self.alphas = make_scheduler().alphas_cumprod

    def forward(self, state: Tensor, t: Tensor | int) -> SimpleNamespace:
        alpha, mean, spread = self.alphas[int(t)], self.config.mean, self.config.spread
        gain = spread**2 * alpha.sqrt() / (spread**2 * alpha + 1 - alpha)
        return SimpleNamespace(sample=mean + gain * (state - alpha.sqrt() * mean))


class Wiener(torch.nn.Module):
    """The best linear denoiser of states like `examples`, which need no training: their mean and covariance.

    hints: planes behind those of the state, which it does not look at; labels: number of those it is given.
    """

    def __init__(self, examples: Tensor, hints: int = 0, labels: int | None = None) -> None:
        super().__init__()
        flat, self.planes = examples.flatten(1), examples.shape[1]
        self.mean = flat.mean(0)
        self.variances, self.axes = torch.linalg.eigh(torch.cov(flat.T))
        self.config = SimpleNamespace(
            num_class_embeds=labels, out_channels=self.planes, in_channels=self.planes + hints
        )
        self.dtype, self.table = torch.float32, make_scheduler().alphas_cumprod

    def forward(self, x: Tensor, steps: Tensor, class_labels: Tensor | None) -> SimpleNamespace:
        alpha, states = self.table[steps[0]], x[:, : self.planes].flatten(1)
        gains = alpha.sqrt() * self.variances / (alpha * self.variances + 1 - alpha)
        found = self.mean + ((states - alpha.sqrt() * self.mean) @ self.axes * gains) @ self.axes.T
        return SimpleNamespace(sample=found.reshape(len(x), self.planes, *x.shape[2:]))


def pipeline_of(unet: torch.nn.Module, kind: str = "v_prediction") -> ChannelDenoisingPipeline:
    """The pipeline around a network that predicts that, without progress bars."""
    made = ChannelDenoisingPipeline(unet, make_scheduler(kind))
    made.set_progress_bar_config(disable=True)
    return made


def asked(codec: Any, reception: Reception) -> list[int]:
    """The steps at which a decoding asks the network."""
    steps: list[int] = []
    unet = codec.denoiser.pipeline(torch.device("cpu")).unet
    hook = unet.register_forward_pre_hook(lambda module, inputs: steps.append(int(inputs[1][0])))
    codec.decode(reception)
    hook.remove()
    return steps
