"""The picture of any codec, refined by a pre-trained latent diffusion model from the level of the picture's error.

SDEdit (Meng et al. 2022, arXiv 2108.01073), as Stable Diffusion's img2img does it: noise covers what the codec and the
channel left wrong, and the model takes both off. The start step is not a taste: the noise is as large as the error.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Generator, Tensor

from semlink.codecs._diffusion import captions, latents
from semlink.codecs._diffusion.captions import Captions
from semlink.codecs._diffusion.guided import Hint, each, finite
from semlink.codecs._diffusion.inner import Inner, check_inner, files_of
from semlink.codecs._diffusion.pretrained import MODEL, Pretrained, path
from semlink.codecs._diffusion.states import check_steps
from semlink.codecs._learned.codec import pad_to_cells
from semlink.simulator.errors import SemlinkError
from semlink.simulator.reprs import ShownSettings
from semlink.simulator.values import Reception, Transmission, TxInfo

log = logging.getLogger(__name__)


class Img2Img(ShownSettings):
    """Another codec's picture, refined at the receiver; streams, rate and picture sizes are that codec's.

    inner: the codec, a word whose settings are separated by semicolons, at the same rho. sigma_y: RMS error of its
    picture (peak 1) instead of the table's for the received quality. strength: how many times the error the noise is.
    prompt: what both ends know that pictures show; captioner: a model that describes the received picture (folder or
    hub id, or a callable of pictures), whose words follow the prompt. steps: "budget" (as many as the level needs), a
    number, or 0: the inner codec's picture as it is. guidance: of classifier-free guidance by the prompt. model, vae,
    scheduler, dtype, device, memory: see `Pretrained`.
    """

    name = "img2img"
    capabilities = {"steps": 4, "guidance": 1.0}

    def __init__(
        self,
        rho: float = 1 / 12,
        inner: str = "adjscc",
        model: str | Path = MODEL,
        vae: str | Path | None = None,
        sigma_y: float | None = None,
        strength: float = 1.0,
        prompt: str | None = None,
        captioner: str | Path | Captions | None = None,
        steps: int | str = 4,
        guidance: float = 1.0,
        scheduler: Literal["ddim", "dpm", "lcm"] | None = None,
        dtype: Literal["float32", "bfloat16", "float16"] = "float32",
        device: str | None = None,
        memory: str | None = None,
    ) -> None:
        if strength <= 0:
            raise SemlinkError(f"strength {strength:g}: noise cannot cover the error with none; give more than 0")
        self.pretrained = Pretrained(str(model), path(vae), None, scheduler, dtype, device, memory)
        self.carried = Inner(inner, rho, sigma_y=sigma_y)
        self.rho, self.strength = rho, strength
        self.prompt, self.captioner = prompt or "", captions.find_captions(captioner)
        self.steps, self.guidance = check_steps(steps), guidance

    def files(self) -> tuple[Path, ...]:
        """What its pictures depend on: the inner codec and its errors; unless steps are 0, folders of models."""
        models = () if self.steps == 0 else (*self.pretrained.files(), *files_of(self.captioner))
        return (*self.carried.files(), *models)

    def check(self, height: int, width: int) -> None:
        """SemlinkError when the inner codec cannot meet that size, or a model is not to be had; loads nothing."""
        check_inner(self.carried.codec, height, width)
        if self.steps != 0:
            self.pretrained.check()

    @property
    def encodes_on(self) -> str:
        """What the encoding depends on: the same as the inner codec's."""
        return self.carried.codec.encodes_on

    def uses(self, height: int, width: int) -> int:
        """Channel uses of the main stream per picture of that size."""
        return self.carried.codec.uses(height, width)

    def encode(self, images: Tensor, tx: TxInfo | None = None) -> Transmission:
        """Pictures `[batch, 3, H, W]` in [0, 1] to the inner codec's streams."""
        return self.carried.codec.encode(images, tx)

    def decode(self, reception: Reception) -> Tensor:
        """Pictures `[batch, 3, H, W]` in [0, 1]; those of which nothing arrived are the inner codec's."""
        return self.decode_marked(reception)[0]

    def decode_marked(self, reception: Reception) -> tuple[Tensor, tuple[bool, ...]]:
        """Also what the inner codec marks."""
        found = self.carried.received(reception)
        pictures, arrived = found.pictures, found.arrived
        if not arrived.all():
            log.warning("%s: nothing arrived of %d of %d pictures", self.name, (~arrived).sum(), len(pictures))
        if self.steps == 0 or not arrived.any():
            return pictures, found.undecoded
        sigma = self.carried.uncertainty(found.quality, len(pictures), max(pictures.shape[-2:])).to(pictures)
        pictures[arrived] = self.refine(pictures[arrived], sigma[arrived], reception.public_seed)
        return pictures, found.undecoded

    def refine(self, pictures: Tensor, sigma: Tensor, public_seed: int) -> Tensor:
        """Pictures `[batch, 3, H, W]` with an error of RMS sigma `[batch]`, refined; each the same in any batch."""
        vae = self.pretrained.autoencoder(pictures.device)
        padded = pad_to_cells(pictures, latents.cell_of(vae))
        states, alpha = covered(vae, padded, self.strength * sigma, public_seed)
        pipeline = self.pretrained.receiver(pictures.device)
        settings = {"num_inference_steps": self.steps, "guidance_scale": self.guidance}
        hints: list[Hint] = [(prompt, None) for prompt in self.prompts(pictures)]
        found = each(pipeline, states, alpha, hints, public_seed, settings).to(pictures)
        shown = latents.to_pictures(vae, found)[..., : pictures.shape[-2], : pictures.shape[-1]]
        return torch.where(finite(found, self.name), shown, pictures)

    def prompts(self, pictures: Tensor) -> list[str]:
        """The prompt of each received picture."""
        if self.captioner is None:
            return [self.prompt] * len(pictures)
        found = captions.captions_of(self.captioner, pictures)
        return [f"{self.prompt} {words}".strip() for words in found]


def covered(vae: Any, pictures: Tensor, sigma: Tensor, public_seed: int) -> tuple[Tensor, Tensor]:
    """States sqrt(alpha) z + sqrt(1 - alpha) n of the latents z of pictures, and alpha `[batch, 1, 1, 1]`.

    The noise on z is as large as the change of z by white noise of RMS sigma on the picture, which the autoencoder
    itself tells: (1 - alpha) / alpha is the mean square of that change.
    """
    generator = Generator().manual_seed(public_seed % (1 << 63))
    z = latents.to_latents(vae, pictures)
    draws = [torch.randn(shape, generator=generator).to(pictures) for shape in (pictures.shape[1:], z.shape[1:])]
    disturbed = latents.to_latents(vae, pictures + sigma[:, None, None, None] * draws[0])
    change = (disturbed - z).square().mean((1, 2, 3), keepdim=True)
    alpha = 1 / (1 + change)
    return alpha.sqrt() * z + (1 - alpha).sqrt() * draws[1], alpha


PLUGIN = Img2Img
