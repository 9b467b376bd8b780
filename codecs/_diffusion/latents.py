"""Latents of a pre-trained autoencoder: in the units of its diffusion model, on the channel, and as received states.

A diffusion model knows latents z whose variance is 1 over many pictures, not over each one. What is sent of a picture
is u = (z - m) / s, of unit variance, with mean m and spread s of each channel beside it in a byte each. A received
sqrt(a) u + sqrt(1 - a) n then is z + s sqrt((1 - a) / a) n but for its gain, a state of the model with alpha such that
(1 - alpha) / alpha = s^2 (1 - a) / a.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from semlink.codecs._learned.codec import in_parts
from semlink.codecs._learned.received import sound_symbols
from semlink.simulator.values import ReceivedStream

MEAN_STEP = 1 / 16  # byte b: (b - 128) / 16, within -8 and 8
SPREAD_STEPS, SPREAD_ZERO = 24, 168  # byte b: 2^((b - 168) / 24), 0.008 to 12 in steps of 3 %


def cell_of(vae: Any) -> int:
    """Side in px of the pixels behind one latent position."""
    return 2 ** (len(vae.config.block_out_channels) - 1)


def to_latents(vae: Any, images: Tensor) -> Tensor:
    """Pictures `[batch, 3, H, W]` in [0, 1] to latents float32 in the units of the diffusion model; without noise."""

    def encode(part: Tensor) -> Tensor:
        found = vae.encode(2 * part.to(vae.device, vae.dtype) - 1)
        latents = found.latents if hasattr(found, "latents") else found.latent_dist.mode()
        return (latents.float() - _shift(vae)) * vae.config.scaling_factor

    return in_parts(False, encode, images, pixels=images[0, 0].numel()).to(images.device)


def to_pictures(vae: Any, latents: Tensor) -> Tensor:
    """Latents in the units of the diffusion model to pictures float32 in [0, 1]; grey where they are not finite."""

    def decode(part: Tensor) -> Tensor:
        z = part.to(vae.device) / vae.config.scaling_factor + _shift(vae)
        return vae.decode(z.to(vae.dtype)).sample.float() / 2 + 0.5

    pictures = in_parts(False, decode, latents, pixels=latents[0, 0].numel() * cell_of(vae) ** 2)
    return pictures.to(latents.device).nan_to_num(0.5, 0.5, 0.5).clamp(0, 1)


def _shift(vae: Any) -> float:
    return vae.config.get("shift_factor") or 0.0


def scale_bytes(latents: Tensor) -> list[bytes]:
    """Mean and spread of each channel of each picture, `2 channels` bytes a picture."""
    mean = (latents.mean((2, 3)) / MEAN_STEP + 128).round().clamp(0, 255)
    centred = latents - (mean[:, :, None, None] - 128) * MEAN_STEP
    rms = centred.square().mean((2, 3)).sqrt().clamp_min(1e-9)
    spread = (rms.log2() * SPREAD_STEPS + SPREAD_ZERO).round().clamp(0, 255)
    return [bytes(row) for row in torch.cat([mean, spread], 1).to(torch.uint8).tolist()]


def scales(payloads: Sequence[bytes | None], channels: int) -> tuple[Tensor, Tensor, int]:
    """m and s of pictures, each `[batch, channels, 1, 1]`; 0 and 1 where the bytes are lost; how many are."""
    lost = [payload is None or len(payload) != 2 * channels for payload in payloads]
    usual = bytes([128] * channels + [SPREAD_ZERO] * channels)
    rows = [usual if gone or p is None else p for p, gone in zip(payloads, lost, strict=True)]
    mean, spread = torch.tensor([list(row) for row in rows], dtype=torch.float32)[:, :, None, None].chunk(2, 1)
    return (mean - 128) * MEAN_STEP, 2 ** ((spread - SPREAD_ZERO) / SPREAD_STEPS), sum(lost)


def combined(stream: ReceivedStream, copies: int) -> ReceivedStream:
    """A stream of so many copies of the same symbols, one after another, as one (maximum ratio combining).

    The SINRs a / (1 - a) add up, and the contract of x_hat and a holds again. Symbols that are not finite are lost.
    """
    if copies == 1:
        return stream
    x_hat, a = sound_symbols(stream)
    left = 1 / (1 - a.double()).clamp_min(1e-7)  # 1 + SINR
    sinr = (a * left).unflatten(1, (copies, -1)).sum(1)
    unbiased = (x_hat * left).unflatten(1, (copies, -1)).sum(1)
    x_hat, a = (unbiased / (1 + sinr)).to(x_hat.dtype), (sinr / (1 + sinr)).to(a.dtype)
    return replace(stream, x_hat=x_hat, a=a)


def to_model(unit: Tensor, a: Tensor, mean: Tensor, spread: Tensor) -> tuple[Tensor, Tensor]:
    """States sqrt(alpha) z + sqrt(1 - alpha) n of the model and their alpha, from sqrt(a) u + sqrt(1 - a) n and a.

    All `[batch, channels, h, w]`, mean and spread broadcast. Where a = 0 so is alpha.
    """
    total = a + spread**2 * (1 - a)
    alpha = a / total
    return alpha.sqrt() * mean + unit * spread / total.sqrt(), alpha


def least_square(unit: Tensor, a: Tensor, mean: Tensor, spread: Tensor) -> Tensor:
    """z of least mean squared error that is linear in sqrt(a) u + sqrt(1 - a) n; the mean where nothing arrived."""
    return mean + spread * a.sqrt() * unit
