"""Which pre-trained latent diffusion model a codec runs, and how; loaded on first use and kept."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from semlink.codecs._diffusion import loading
from semlink.codecs._learned.shipped import local

MODEL = "stabilityai/sd-turbo"


@dataclass(frozen=True)
class Pretrained:
    """model, vae, controlnet: folders of `save_pretrained` or hub ids; vae None: the model's, controlnet None: none.

    scheduler: "ddim", "dpm" or "lcm" instead of the model's own. dtype: of all networks but the autoencoder, which
    stays float32 because many overflow in halves. device: None for that of the tensors at hand. memory: diffusers' own
    options, e.g. "attention_slicing/vae_tiling/cpu_offload".
    """

    model: str = MODEL
    vae: str | None = None
    controlnet: str | None = None
    scheduler: str | None = None
    dtype: str = "float32"
    device: str | None = None
    memory: str | None = None

    def __post_init__(self) -> None:
        """SemlinkError for settings that are wrong whatever the model."""
        known = {**loading.MEMORY, **loading.VAE_MEMORY}
        loading.check_settings(self.scheduler, self.dtype, self.device, self.memory, known)

    def files(self) -> tuple[Path, ...]:
        """Those of the models that are folders."""
        return local(self.model, self.vae, self.controlnet)

    def check(self) -> None:
        """SemlinkError, which says what to download, for models that are nowhere to be had; loads nothing."""
        for name in filter(None, (self.model, self.vae, self.controlnet)):
            loading.check_there(name)

    def at(self, device: torch.device) -> Pretrained:
        """These settings with that device where none is set."""
        return self if self.device else replace(self, device=str(device))

    def options(self, known: dict[str, str]) -> tuple[str, ...]:
        """The memory options that are among `known`."""
        wanted = loading.memory_options(self.memory, {**loading.MEMORY, **loading.VAE_MEMORY})
        return tuple(option for option in wanted if option in known)

    def autoencoder(self, device: torch.device) -> Any:
        """The VAE, float32, on its device. SemlinkError says what to download."""
        where = self.at(device)
        return _autoencoder(where.vae or where.model, None if where.vae else "vae", str(where.device), where.memory)

    def receiver(self, device: torch.device) -> Any:
        """The `LatentReceiverPipeline`, without progress bars, on its device. SemlinkError says what to download."""
        return _receiver(self.at(device))


def path(name: str | Path | None) -> str | None:
    """A folder or hub id as text, which settings are compared by."""
    return None if name is None else str(name)


@lru_cache(maxsize=2)
def _autoencoder(name: str, subfolder: str | None, device: str, memory: str | None) -> Any:
    from diffusers import AutoencoderKL, AutoencoderTiny

    kinds = {"AutoencoderKL": AutoencoderKL, "AutoencoderTiny": AutoencoderTiny}
    vae = loading.load_one_of(kinds, name, subfolder=subfolder)
    return loading.placed(vae, device, Pretrained(memory=memory).options(loading.VAE_MEMORY))


@lru_cache(maxsize=2)
def _receiver(settings: Pretrained) -> Any:
    from diffusers import ControlNetModel

    from semlink.codecs._diffusion.latent_receiver import LatentReceiverPipeline

    device = torch.device(str(settings.device))
    modules = {"vae": settings.autoencoder(device)}
    if settings.controlnet:
        modules["controlnet"] = loading.load_model(ControlNetModel, settings.controlnet, settings.dtype)
    made = loading.load_pipeline(LatentReceiverPipeline, settings.model, settings.dtype, modules)
    if settings.scheduler:
        made.scheduler = loading.scheduler_of(settings.scheduler, made.scheduler)
    made.set_progress_bar_config(disable=True)
    return loading.placed(made, device, settings.options(loading.MEMORY))
