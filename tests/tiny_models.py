"""Small random models of diffusers' and transformers' kinds, saved as the hub's large ones are."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderTiny,
    ControlNetModel,
    DDIMScheduler,
    EulerDiscreteScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from semlink.codecs._diffusion.latent_receiver import LatentReceiverPipeline
from semlink.codecs._diffusion.levels import alphas

LETTERS = "abcdefghijklmnopqrstuvwxyz"
NOISE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}  # Stable Diffusion's


def tokenizer(folder: Path) -> CLIPTokenizer:
    """Spells words letter by letter."""
    vocabulary = ["<|startoftext|>", "<|endoftext|>", *LETTERS, *(f"{letter}</w>" for letter in LETTERS)]
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(vocabulary)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=16)


def text_encoder() -> CLIPTextModel:
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    ids = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    return CLIPTextModel(CLIPTextConfig(vocab_size=54, max_position_embeddings=16, **sizes, **ids)).eval()


def autoencoder(channels: int = 4) -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(8,) * 4,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=channels,
        layers_per_block=1,
        norm_num_groups=4,
        scaling_factor=6.0,
        shift_factor=0.1,
    ).eval()


def tiny_autoencoder() -> AutoencoderTiny:
    widths = {"encoder_block_out_channels": (8,) * 4, "decoder_block_out_channels": (8,) * 4}
    return AutoencoderTiny(**widths, num_encoder_blocks=(1,) * 4, num_decoder_blocks=(1,) * 4).eval()


def unet(**settings: Any) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        block_out_channels=(16, 16),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        norm_num_groups=4,
        attention_head_dim=8,
        **{"cross_attention_dim": 16, **settings},
    ).eval()


def controlnet(of: UNet2DConditionModel) -> ControlNetModel:
    """One that has an effect: a new one's links are zero."""
    made = ControlNetModel.from_unet(of, conditioning_embedding_out_channels=(8,) * 4)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return made.eval()


def save_all(folder: Path) -> Path:
    """`sd` (with SD-Turbo's scheduler), `taesd`, `control` and, of 16 latent channels, `wide`, under a folder."""
    torch.manual_seed(0)
    network, euler = unet(), EulerDiscreteScheduler(**NOISE, timestep_spacing="trailing", steps_offset=1)
    modules = autoencoder(), text_encoder(), tokenizer(folder), network, euler
    StableDiffusionPipeline(*modules, None, None, requires_safety_checker=False).save_pretrained(folder / "sd")
    tiny_autoencoder().save_pretrained(folder / "taesd")
    controlnet(network).save_pretrained(folder / "control")
    autoencoder(16).save_pretrained(folder / "wide")
    return folder


class Exact(torch.nn.Module):
    """E[z | state] of latents that are independent N(mean, spread^2): what training would end with."""

    def __init__(self, mean: torch.Tensor, spread: float) -> None:
        super().__init__()
        self.mean, self.spread, self.dtype, self.device = mean, spread, torch.float32, torch.device("cpu")
        self.config = SimpleNamespace(in_channels=4, get=lambda _: None)
        self.asked: list[int] = []

    def forward(self, x: torch.Tensor, steps: torch.Tensor, **_: Any) -> SimpleNamespace:
        self.asked.append(int(steps[0]))
        alpha = alphas(DDIMScheduler(**NOISE))[int(steps[0])].float()
        share = alpha.sqrt() * self.spread**2 / (alpha * self.spread**2 + 1 - alpha)
        return SimpleNamespace(sample=self.mean + share * (x - alpha.sqrt() * self.mean))


def exact_receiver(
    folder: Path, mean: torch.Tensor, spread: float, kind: Any = DDIMScheduler
) -> LatentReceiverPipeline:
    """A pipeline around the exact network."""
    modules = autoencoder(), text_encoder(), tokenizer(folder), Exact(mean, spread)
    made = LatentReceiverPipeline(*modules, kind(**NOISE, prediction_type="sample"))
    made.set_progress_bar_config(disable=True)
    return made


def go_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """No name is looked up on the hub."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("diffusers.utils.constants.HF_HUB_OFFLINE", True, raising=False)
