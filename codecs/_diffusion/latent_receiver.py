"""A pre-trained latent diffusion model (Stable Diffusion's kind) as a receiver: from a latent's own level to a picture.

What `ChannelDenoisingPipeline` does, with a network that is guided by a prompt and, through a ControlNet, by edges.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from diffusers import DiffusionPipeline
from diffusers.pipelines.pipeline_utils import ImagePipelineOutput
from torch import Generator, Tensor

from semlink.codecs._diffusion.denoising import descend
from semlink.codecs._diffusion.latents import to_pictures
from semlink.codecs._diffusion.levels import predicted_sample
from semlink.codecs._diffusion.loading import startable
from semlink.simulator.errors import SemlinkError

OUTPUTS = ("latent", "pt", "np", "pil")


class LatentReceiverPipeline(DiffusionPipeline):
    """The modules of a `StableDiffusionPipeline`, whose folders and hub ids it loads, and maybe a `ControlNetModel`.

    vae: `AutoencoderKL` or `AutoencoderTiny`. scheduler: one that cannot start within its schedule (Euler's kind)
    gives way to DDIM over the same noise levels. SemlinkError for modules that do not fit together.
    """

    model_cpu_offload_seq = "text_encoder->unet"
    _exclude_from_cpu_offload = ["vae"]  # the transmitter may share it
    _optional_components = ["controlnet"]

    def __init__(
        self, vae: Any, text_encoder: Any, tokenizer: Any, unet: Any, scheduler: Any, controlnet: Any = None
    ) -> None:
        super().__init__()
        _check(vae, unet, controlnet)
        self.register_modules(
            vae=vae,
            text_encoder=text_encoder,
            tokenizer=tokenizer,
            unet=unet,
            scheduler=startable(scheduler),
            controlnet=controlnet,
        )

    @torch.no_grad()
    def __call__(
        self,
        states: Tensor,
        alpha: Tensor,
        prompt: str = "",
        edges: Tensor | None = None,
        num_inference_steps: int | None = None,
        guidance_scale: float = 1.0,
        control_scale: float = 1.0,
        generator: Generator | None = None,
        output_type: str = "pil",
        return_dict: bool = True,
        may_go: Callable[[], bool] = lambda: True,
    ) -> ImagePipelineOutput | tuple[Any]:
        """Pictures from states sqrt(alpha) z + sqrt(1 - alpha) n, float32 `[batch, channels, h, w]`.

        z: latents in the model's units (`latents.to_latents`). alpha: `[batch, channels, h, w]` or broadcastable, 0
        where nothing arrived; a batch should hold states of one level and one prompt. edges: pictures
        `[batch, 3, H, W]` in [0, 1] for the ControlNet, of any size. num_inference_steps: None for as many as the level
        needs. guidance_scale: w of x0 = x0("") + w (x0(prompt) - x0("")); 1 asks the network once a step.
        A model that was distilled with guidance (a consistency model) is told w instead, and asked once a step.
        generator: the same noise is added to every image. output_type: "latent" (the clean z), "pt" (float32 in
        [0, 1]), "np" or "pil". may_go: see `descend`. The states stay float32 whatever the networks' dtype.
        """
        if output_type not in OUTPUTS:
            raise SemlinkError(f"output_type {output_type!r}; known: {', '.join(OUTPUTS)}")
        device = self._execution_device
        states, alpha = states.to(device, torch.float32), alpha.to(device, torch.float32)
        words = [self.embedded(prompt, len(states))]
        told = guidance_told(self.unet, guidance_scale, len(states))
        if guidance_scale != 1 and prompt and told is None:
            words.append(self.embedded("", len(states)))
        picture = None if edges is None or self.controlnet is None else self._control_picture(edges, states)

        def predict(seen: Tensor, step: int, common: Tensor) -> Tensor:
            found = [self._ask(seen, step, common, given, picture, control_scale, told) for given in words]
            return found[0] if len(found) == 1 else found[1] + guidance_scale * (found[0] - found[1])

        chain = num_inference_steps, generator, self.progress_bar, may_go
        clean = descend(self.scheduler, states, alpha, predict, *chain)
        images = self._as(output_type, clean.states)
        self.maybe_free_model_hooks()
        return ImagePipelineOutput(images=images) if return_dict else (images,)

    def embedded(self, prompt: str, batch: int) -> Tensor:
        """What the network is told of a prompt, `[batch, tokens, features]`; longer prompts are cut."""
        length = min(self.tokenizer.model_max_length, self.text_encoder.config.max_position_embeddings)
        tokens = self.tokenizer(prompt, padding="max_length", max_length=length, truncation=True, return_tensors="pt")
        found = self.text_encoder(tokens.input_ids.to(self._execution_device))[0]
        return found.to(self.unet.dtype).expand(batch, -1, -1)

    def _control_picture(self, edges: Tensor, states: Tensor) -> Tensor:
        """Edges at the size that the ControlNet takes for these states."""
        factor = 2 ** (len(self.controlnet.config.conditioning_embedding_out_channels) - 1)
        size = (states.shape[-2] * factor, states.shape[-1] * factor)
        return torch.nn.functional.interpolate(edges.to(states), size, mode="nearest").to(self.controlnet.dtype)

    def _ask(
        self,
        seen: Tensor,
        step: int,
        alpha: Tensor,
        words: Tensor,
        picture: Tensor | None,
        control_scale: float,
        told: Tensor | None,
    ) -> Tensor:
        """x0 by the network."""
        inputs = seen.to(self.unet.dtype)
        steps = torch.full((len(seen),), step, device=seen.device)
        down, middle = None, None
        if picture is not None:
            down, middle = self.controlnet(inputs, steps, words, picture, control_scale, return_dict=False)
        output = self.unet(
            inputs,
            steps,
            timestep_cond=told,
            encoder_hidden_states=words,
            down_block_additional_residuals=down,
            mid_block_additional_residual=middle,
        ).sample.float()
        return predicted_sample(output, seen, alpha, self.scheduler.config.prediction_type)

    def _as(self, output_type: str, latents: Tensor) -> Any:
        if output_type == "latent":
            return latents
        pictures = to_pictures(self.vae, latents)
        if output_type == "pt":
            return pictures
        arrays = pictures.permute(0, 2, 3, 1).cpu().numpy()
        return self.numpy_to_pil(arrays) if output_type == "pil" else arrays


def guidance_told(unet: Any, scale: float, batch: int) -> Tensor | None:
    """What a network that was distilled with guidance is told of its scale, `[batch, features]`; None of others.

    1000 (w - 1) as sines and cosines, as consistency models were trained with (Luo et al. 2023, arXiv 2310.04378).
    """
    size = unet.config.get("time_cond_proj_dim")
    if not size:
        return None
    half = size // 2
    rates = torch.exp(torch.arange(half) * -math.log(10000.0) / (half - 1))
    angles = torch.full((batch, 1), 1000.0 * (scale - 1)) * rates
    told = torch.cat([angles.sin(), angles.cos()], 1)
    return torch.nn.functional.pad(told, (0, size % 2)).to(unet.device, unet.dtype)


def _check(vae: Any, unet: Any, controlnet: Any) -> None:
    """SemlinkError unless the network takes this autoencoder's latents, a prompt and this ControlNet, and no more."""
    takes, gives = unet.config.in_channels, vae.config.latent_channels
    if takes != gives:
        raise SemlinkError(f"the network takes {takes} latent channels, the autoencoder gives {gives}; choose another")
    if unet.config.get("addition_embed_type"):
        raise SemlinkError(
            "the network wants more than a prompt (as SDXL's do); choose a model of one text encoder such as "
            "stabilityai/sd-turbo"
        )
    own, wanted = unet.config.get("cross_attention_dim"), controlnet and controlnet.config.cross_attention_dim
    if controlnet is not None and own != wanted:
        raise SemlinkError(
            f"the ControlNet was made for another model ({wanted} features of a prompt, the network has {own}); "
            f"choose one of the same family"
        )
