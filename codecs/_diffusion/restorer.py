"""A frame of a clip restored by a pre-trained few-step model, from the noise level that its error asks for.

SDEdit (Meng et al. 2022, arXiv 2108.01073) on what is there before, such as a moved anchor: sqrt(1 - level) z +
sqrt(level) n is a state of the model, which takes so many steps from there. A level or a number of steps of 0 leaves
the frame as it is: a chain without a step (steps x strength < 1, in the words of img2img) would show the noise.

By name: SD-Turbo (Sauer et al. 2023, arXiv 2311.17042), LCM (Luo et al. 2023, arXiv 2310.04378) and, for either, the
tiny autoencoder TAESD. TAEHV, its sibling for video, is no model of diffusers (0.42), and so is not here: it has code
of its own, and nothing that comes with weights is run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from semlink.codecs._diffusion import latents
from semlink.codecs._diffusion.guided import finite
from semlink.codecs._diffusion.pretrained import Pretrained
from semlink.codecs._learned.codec import pad_to_cells
from semlink.simulator.errors import SemlinkError

MODELS = {"sd_turbo": "stabilityai/sd-turbo", "lcm": "SimianLuo/LCM_Dreamshaper_v7"}
VAES = {"taesd": "madebyollin/taesd"}
GUIDANCE = {"lcm": 8.0}  # what its authors sample with; SD-Turbo is asked without
MOST = 8  # steps of a few-step model


@dataclass(frozen=True)
class Restorer:
    """pretrained: the model. guidance, prompt: see `LatentReceiverPipeline`. enlarged: frames are shown to the model so
    many times as large, as 4 makes the 512 px that Stable Diffusion knows of 128.
    """

    pretrained: Pretrained
    guidance: float = 1.0
    prompt: str = ""
    enlarged: int = 1

    @classmethod
    def of(
        cls,
        generator: str,
        vae: str | None = None,
        enlarged: int = 1,
        prompt: str = "",
        dtype: str = "float32",
        device: str | None = None,
    ) -> Restorer:
        """generator: "sd_turbo", "lcm", or a folder of `save_pretrained` or hub id of Stable Diffusion's kind. vae:
        "taesd", or a folder or id, instead of the model's own. SemlinkError for what is none, or no model of diffusers.
        """
        if "taehv" in (generator, vae):
            raise SemlinkError("taehv is no model of diffusers; give vae=taesd")
        if enlarged < 1:
            raise SemlinkError(f"enlarged={enlarged}: give a whole number from 1 on")
        model = MODELS.get(generator, generator)
        own = Pretrained(model, VAES.get(vae, vae) if vae else None, dtype=dtype, device=device)
        return cls(own, GUIDANCE.get(generator, 1.0), prompt, enlarged)

    def files(self) -> tuple[Path, ...]:
        """The folders of its models."""
        return self.pretrained.files()

    def check(self) -> None:
        """Load the models. SemlinkError says what to download."""
        self.pretrained.receiver(torch.device(self.pretrained.device or "cpu"))

    @torch.no_grad()
    def restored(
        self,
        guess: Tensor,
        level: float,
        steps: int,
        seed: int = 0,
        may_go: Callable[[], bool] = lambda: True,
    ) -> Tensor:
        """A frame `[1, 3, H, W]` in [0, 1], restored; where no step was taken, the guess itself.

        level: share of noise in the start's variance, 0 to 1. steps: at most MOST are taken. seed: of the noise.
        may_go: asked before each step; no ends the chain with what it has.
        """
        if level <= 0 or steps < 1:
            return guess
        gate = Gate(may_go)
        found = self._clean(guess, min(level, 1.0), min(steps, MOST), seed, gate)
        if not gate.passed or not bool(finite(found, "restorer").all()):
            return guess
        shown = latents.to_pictures(self.pretrained.autoencoder(guess.device), found)
        height, width = (self.enlarged * side for side in guess.shape[-2:])
        return self._reduced(shown[..., :height, :width])

    def _clean(self, guess: Tensor, level: float, steps: int, seed: int, gate: Gate) -> Tensor:
        """Latents behind the chain."""
        vae, pipeline = (make(guess.device) for make in (self.pretrained.autoencoder, self.pretrained.receiver))
        z = latents.to_latents(vae, pad_to_cells(self._large(guess), latents.cell_of(vae)))
        draws = Generator().manual_seed(seed % (1 << 63))
        noise = torch.randn(z.shape, generator=draws).to(z)
        alpha = torch.full((1, 1, 1, 1), 1 - level).to(z)
        states = alpha.sqrt() * z + (1 - alpha).sqrt() * noise
        asked = {"num_inference_steps": steps, "guidance_scale": self.guidance, "generator": draws, "may_go": gate}
        return pipeline(states, alpha, self.prompt, output_type="latent", **asked).images.to(guess)

    def _large(self, frame: Tensor) -> Tensor:
        if self.enlarged == 1:
            return frame
        return F.interpolate(frame, scale_factor=self.enlarged, mode="bicubic").clamp(0, 1)

    def _reduced(self, frame: Tensor) -> Tensor:
        return F.avg_pool2d(frame, self.enlarged) if self.enlarged > 1 else frame

    def at(self, device: str) -> Restorer:
        """The same on that device."""
        return replace(self, pretrained=replace(self.pretrained, device=device))


@dataclass
class Gate:
    """Asks, and counts how often the answer was yes."""

    ask: Callable[[], bool]
    passed: int = 0

    def __call__(self) -> bool:
        may = self.ask()
        self.passed += may
        return may
