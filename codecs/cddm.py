"""A diffusion model between equaliser and decoder removes channel noise from the latent (CDDM, arXiv 2309.08895).

Three stages, as there: an `adjscc` network; a denoiser of its latent, the encoder frozen; its decoder, trained again on
what the denoiser answers. The chain starts at the measured noise level of each symbol. Training:

    python experiments/train.py --codec adjscc --rho 1/24 --data imagenet-256-train bsds500-train --crop 64 \\
        --batch 16 --snr -6 16 --out results/one
    python experiments/train_diffusion.py --codec cddm:weights=results/one/weights.safetensors --crop 64 \\
        --data imagenet-256-train bsds500-train --widths 64 96 --emphasis 2 --out results/two
    python experiments/train.py --codec cddm:steps=8,denoiser=results/two/pipeline --rho 1/24 --crop 64 --batch 16 \\
        --data imagenet-256-train bsds500-train --init results/one/weights.safetensors --lr 3e-4 --minutes 15

The last one trains the decoder alone, because no gradient passes the denoiser.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from semlink.codecs._diffusion.states import Denoiser, check_steps, denoise_each, received_states, shown
from semlink.codecs._diffusion.training import Examples
from semlink.codecs._learned.codec import LatentCodec, snr_per_image
from semlink.codecs._learned.modulated import CELL, AdaptiveNetwork
from semlink.codecs._learned.shipped import WEIGHTS, local
from semlink.codecs._learned.weights import read_weights
from semlink.simulator.errors import SemlinkError
from semlink.simulator.values import Reception, TxInfo


class Cddm(LatentCodec):
    """`adjscc` with its latent denoised; any picture size; rho = m / 48 (shipped: 1/24).

    steps: "budget" (as many as the noise level needs, 4 to 50), a number, or 0: no denoising, then the decoder gets
    x_hat as that of `adjscc` does. limit_db: the chain never starts noisier than the step of this SNR, even where the
    channel is worse (10 in the paper for small pictures; symbols that are lost altogether excepted); None: from the
    measured level. weights: of the network with its decoder trained again; denoiser: folder of a
    `ChannelDenoisingPipeline`; scheduler, dtype, device, memory: see `Denoiser`.
    A picture of which no symbol arrived is grey. SemlinkError for unknown settings and a denoiser of another rate.
    """

    name = "cddm"
    capabilities = {"steps": "budget"}
    encodes_on = "snr"
    cell = CELL

    def __init__(
        self,
        rho: float = 1 / 24,
        steps: int | str = "budget",
        limit_db: float | None = None,
        weights: str | Path | None = None,
        denoiser: str | Path | None = None,
        scheduler: Literal["ddim", "dpm", "lcm"] | None = None,
        dtype: Literal["float32", "bfloat16", "float16"] = "float32",
        device: str | None = None,
        memory: str | None = None,
    ) -> None:
        super().__init__(rho, weights, AdaptiveNetwork, variant="")
        if limit_db is not None and not isinstance(limit_db, (int, float)):
            raise SemlinkError(f"limit_db is {limit_db!r}; give an SNR in dB or none")
        self.steps, self.limit_db = check_steps(steps), limit_db
        folder = Path(denoiser or WEIGHTS / f"cddm-denoiser-m{self.planes}")
        self.denoiser = Denoiser(folder, scheduler, dtype, device, memory)

    def shipped(self, domain: str) -> Path:
        """One file for all picture sizes."""
        return super().shipped("natural")

    def files(self) -> tuple[Path, ...]:
        """What its pictures depend on: the weights, the encoder that goes with them, and the denoiser."""
        denoiser = self.denoiser.folder if self.steps != 0 else None
        return (*super().files(), *local(self._encoder(), denoiser))

    def _encoder(self) -> Path:
        return WEIGHTS / f"adjscc-natural-m{self.planes}.safetensors"

    def read(self, path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors and settings of a weight file; one that holds the decoder alone goes with the encoder of `adjscc`."""
        state, settings = read_weights(path)
        if any(key.startswith("encoder.") for key in state):
            return state, settings
        whole, _ = read_weights(self._encoder())
        return {**{key: value for key, value in whole.items() if key.startswith("encoder.")}, **state}, settings

    def decode(self, reception: Reception) -> Tensor:
        """Pictures `[batch, 3, H, W]`; clipped to [0, 1] unless the network is in training."""
        height, width = reception.session.height, reception.session.width
        network = self.network(height, width)
        rows, columns = -(-height // CELL), -(-width // CELL)
        states, alpha = received_states(
            self.kept(height, width).whole(reception.stream("latent")), self.planes, rows, columns
        )
        if self.steps != 0:
            clean = self.denoised(states, alpha, reception.public_seed)
        else:
            clean = alpha.sqrt() * states  # x_hat
        inputs = clean / 2**0.5, alpha[:, : self.planes]
        pictures = self.decoded(network, *inputs, pixels=rows * columns * CELL**2)[..., :height, :width]
        return pictures if network.training else shown(pictures, alpha)

    def denoised(self, states: Tensor, alpha: Tensor, seed: int) -> Tensor:
        """Clean states of noisy ones."""
        pipeline = self.denoiser.pipeline(states.device)
        if self.limit_db is not None:
            snr = 10 ** (self.limit_db / 10)
            alpha = torch.where(alpha > 0, alpha.clamp_min(snr / (1 + snr)), alpha)
        return denoise_each(pipeline, states, alpha, seed, self.steps)

    @torch.no_grad()
    def examples(self, images: Tensor, generator: torch.Generator) -> Examples:
        """What the denoiser is trained on: latents of unit variance, encoded for SNRs of the encoder's training."""
        network = self.network(*images.shape[-2:])
        low, high = network.trained.low, network.trained.high
        snr_db = low + (high - low) * torch.rand(len(images), generator=generator, device=generator.device)
        latent = network.encode(images, snr_per_image(TxInfo(snr_db=snr_db), len(images)))
        return Examples(latent / latent.square().mean((1, 2, 3), keepdim=True).clamp_min(1e-12).sqrt())


PLUGIN = Cddm
