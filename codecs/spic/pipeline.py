"""The receiver as a diffusers pipeline: a picture of its coarse version and its class map, or of one of them alone.

With a coarse picture the chain starts at step `start` from what noise of that step would leave of the coarse picture
(SDEdit, Meng et al. 2022, as SPIC does); without one it starts from noise. Guidance is on the map alone (Ho and
Salimans, 2022): x0 = x0(no map) + scale (x0(map) - x0(no map)).
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from diffusers import DiffusionPipeline
from diffusers.pipelines.pipeline_utils import ImagePipelineOutput
from torch import Generator, Tensor

from semlink.codecs._diffusion.levels import alphas, as_sampler, set_timesteps
from semlink.codecs._diffusion.spade import NO_COARSE, SpadeUNet
from semlink.simulator.errors import SemlinkError

START = 200  # of 1000 steps: where a picture with a coarse one begins
STEPS = 1  # of the shipped network: more of them add up its errors (docs/results/spic.md)
GUIDANCE = 1.5


class SpicPipeline(DiffusionPipeline):
    """unet: a `SpadeUNet`. scheduler: any that `levels.set_timesteps` knows; its alphas tell the noise of a step."""

    model_cpu_offload_seq = "unet"

    def __init__(self, unet: SpadeUNet, scheduler: Any) -> None:
        super().__init__()
        self.register_modules(unet=unet, scheduler=scheduler)

    @torch.no_grad()
    def __call__(
        self,
        coarse: Tensor | None = None,
        told: Tensor | None = None,
        shares: Tensor | None = None,
        size: tuple[int, int] | None = None,
        num_inference_steps: int = STEPS,
        guidance_scale: float = GUIDANCE,
        start: int = START,
        generator: Generator | None = None,
        output_type: str = "pil",
    ) -> ImagePipelineOutput:
        """Pictures `[batch, 3, H, W]` from what there is of them.

        coarse: grown to full size, float32 `[batch, 3, H, W]` in [0, 1], with `told` of it, `[batch, 3]` (`about`);
        None: lost. shares: of the classes, float32 `[batch, classes, H, W]`, all 0 at pixels of none; None: lost.
        size: height and width where both are. start: step to begin at where there is a coarse picture. generator: the
        same noise for every picture. output_type: "pt" (float32 in [0, 1]) or "pil". Sides that the network's unit does
        not divide are padded.
        """
        if (coarse is None) != (told is None):
            raise SemlinkError("give coarse with told: 1, log2(factor) / 3, log2(bits per own pixel) / 3")
        batch, height, width = _extent(coarse if coarse is not None else shares, size)
        seen = self._padded(coarse, 3, batch, height, width, "replicate")
        classes = self._padded(shares, self.unet.config.classes, batch, height, width, "constant")
        known = torch.tensor([NO_COARSE] * batch, device=seen.device) if told is None else told
        around = torch.zeros_like(seen) if coarse is None else 2 * seen - 1
        scale = None if shares is None else guidance_scale
        first = start if coarse is not None else self.scheduler.config.num_train_timesteps - 1
        state = self._descend(around, known, classes, scale, first, num_inference_steps, generator)
        self.maybe_free_model_hooks()
        pictures = (state[..., :height, :width] / 2 + 0.5).clamp(0, 1)
        return ImagePipelineOutput(images=pictures if output_type == "pt" else _as_pil(pictures))

    def _descend(
        self,
        coarse: Tensor,
        told: Tensor,
        classes: Tensor,
        scale: float | None,
        first: int,
        steps: int,
        generator: Generator | None,
    ) -> Tensor:
        sampler, table = as_sampler(self.scheduler), alphas(self.scheduler).float().to(coarse.device)
        noise = torch.randn(coarse[:1].shape, generator=generator).to(coarse.device)
        chosen = set_timesteps(sampler, first, steps)
        state = table[first].sqrt() * coarse + (1 - table[first]).sqrt() * noise
        for step in self.progress_bar(chosen):
            x0 = self._guided(state, table[step].expand(len(state)), coarse, told, classes, scale)
            state = sampler.step(x0.clamp(-1, 1), step, state).prev_sample
        return state

    def _guided(
        self, state: Tensor, alpha: Tensor, coarse: Tensor, told: Tensor, classes: Tensor, scale: float | None
    ) -> Tensor:
        """x0 with the map's guidance; scale None: there is no map."""
        given = self.unet(state, alpha, coarse, told, classes)
        if scale is None or scale == 1:
            return given
        alone = self.unet(state, alpha, coarse, told, torch.zeros_like(classes))
        return alone + scale * (given - alone)

    def _padded(self, known: Tensor | None, planes: int, batch: int, height: int, width: int, mode: str) -> Tensor:
        """What is known, or zeros, in whole units."""
        unit = self.unet.unit
        missing = (0, -width % unit, 0, -height % unit)
        if known is None:
            return torch.zeros(batch, planes, height + missing[3], width + missing[1], device=self._execution_device)
        return F.pad(known.to(self._execution_device, torch.float32), missing, mode=mode)


def _extent(given: Tensor | None, size: tuple[int, int] | None) -> tuple[int, int, int]:
    """Pictures, height and width. SemlinkError when nothing tells."""
    if given is not None:
        return len(given), given.shape[-2], given.shape[-1]
    if size is None:
        raise SemlinkError("nothing is known of the picture, not even its size; give coarse, shares or size")
    return 1, *size


def _as_pil(pictures: Tensor) -> list[Any]:
    from PIL import Image

    levels = (255 * pictures).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    return [Image.fromarray(each) for each in levels]
