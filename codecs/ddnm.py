"""DeepJSCC of the pooled picture, then range-null-space diffusion at the receiver: what was pooled away is imagined.

Yilmaz et al., "High perceptual quality wireless image delivery with denoising diffusion models", arXiv 2309.15889: a
coarse picture y = A x crosses the channel, and an unconditional diffusion model draws a picture whose block means are
what arrived. Ours: the error of y is known from a table and counted with (mode "noisy").
"""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from semlink.codecs._diffusion import loading
from semlink.codecs._diffusion.inner import Carried, Inner, check_inner
from semlink.codecs._diffusion.priors import prior_files, range_null_prior, shipped_prior
from semlink.simulator.errors import SemlinkError
from semlink.simulator.reprs import ShownSettings
from semlink.simulator.values import Reception, Session, Transmission, TxInfo

log = logging.getLogger(__name__)

MODES = ("noisy", "paper")
POOLS = (1, 2, 4)
PIXELS_AT_ONCE = 1 << 21  # bounds the memory of a call of the pipeline


class Ddnm(ShownSettings):
    """A coarse picture by another codec within rho n uses, refined by a diffusion prior; any picture size.

    inner: the codec of the coarse picture, a word whose settings are separated by semicolons; it runs at
    rho pool^2 of the coarse picture, which for `adjscc` must be 1/6 or 1/12 unless its weights are given.
    pool: side of the blocks whose means are sent; 1 sends the picture itself and makes this a denoiser.
    mode: "noisy" takes the coarse picture for as uncertain as it is (DDNM+), "paper" for exact (DDNM).
    steps, eta: of the sampling. scheduler: "ddim", "dpm" or "lcm" instead of DDNM's own step.
    prior: folder or hub id of a RangeNullPipeline or another unconditional pipeline of a UNet2DModel and a scheduler,
    e.g. a DDPMPipeline; None: a shipped one, of CIFAR-10 up to 40 px and of photographs above. dtype: the prior's,
    "float32" or "bfloat16". device: of the prior, None for that of what is received. memory: diffusers' own options,
    e.g. "attention_slicing/cpu_offload".
    sigma_y: RMS error of the coarse picture (peak 1) instead of the table's for the received quality.
    """

    name = "ddnm"
    capabilities = {"steps": 20}

    def __init__(
        self,
        rho: float = 1 / 24,
        inner: str = "adjscc",
        pool: int = 2,
        mode: Literal["noisy", "paper"] = "noisy",
        steps: int = 20,
        eta: float = 0.85,
        prior: str | Path | None = None,
        sigma_y: float | None = None,
        scheduler: Literal["ddim", "dpm", "lcm"] | None = None,
        dtype: Literal["float32", "bfloat16", "float16"] = "float32",
        device: str | None = None,
        memory: str | None = None,
    ) -> None:
        if mode not in MODES or pool not in POOLS:
            raise SemlinkError(f"mode {mode!r}, pool {pool}; known: {', '.join(MODES)}, and pools {POOLS}")
        if steps < 1 or not 0 <= eta <= 1 or (sigma_y is not None and sigma_y < 0):
            raise SemlinkError(
                f"steps {steps}, eta {eta}, sigma_y {sigma_y}: need steps >= 1, 0 <= eta <= 1, sigma >= 0"
            )
        self.device, self.memory = device, loading.check_settings(scheduler, dtype, device, memory)
        self.rho, self.pool, self.mode, self.steps, self.eta = rho, pool, mode, steps, eta
        self.carried = Inner(inner, rho * pool**2, pool, 0.0 if mode == "paper" else sigma_y)
        self.prior = str(prior) if prior else None
        self.scheduler, self.dtype = scheduler, dtype

    def files(self) -> tuple[Path, ...]:
        """What its pictures depend on: the inner codec, the table of its errors where it is asked, the prior."""
        return (*self.carried.files(), *prior_files(self.prior))

    def check(self, height: int, width: int) -> None:
        """SemlinkError when the inner codec cannot meet pictures of that size; loads nothing."""
        check_inner(self.inner, *self.coarse(height, width))

    @property
    def inner(self) -> Any:
        """The codec of the coarse picture."""
        return self.carried.codec

    @property
    def encodes_on(self) -> str:
        """What the encoding depends on: the same as the inner codec's."""
        return self.inner.encodes_on

    def coarse(self, height: int, width: int) -> tuple[int, int]:
        """Size of the coarse picture."""
        return -(-height // self.pool), -(-width // self.pool)

    def carrying(self, height: int, width: int) -> Inner:
        """The inner codec for a picture of that size: within rho 3 H W, though blocks may reach beyond the picture."""
        rows, columns = self.coarse(height, width)
        share = height * width / (self.pool**2 * rows * columns)
        return self.carried if share == 1 else self.carried.at(share * self.inner.rho)

    def uses(self, height: int, width: int) -> int:
        """Channel uses of the main stream per picture of that size."""
        return self.carrying(height, width).codec.uses(*self.coarse(height, width))

    def encode(self, images: Tensor, tx: TxInfo | None = None) -> Transmission:
        """Pictures `[batch, 3, H, W]` in [0, 1] to the inner codec's streams of their block means."""
        height, width = images.shape[-2:]
        padded = F.pad(images, (0, -width % self.pool, 0, -height % self.pool), mode="replicate")
        sent = self.carrying(height, width).codec.encode(F.avg_pool2d(padded, self.pool), tx)
        return replace(sent, session=Session(height, width, sent.session.constants))

    def decode(self, reception: Reception) -> Tensor:
        """Pictures `[batch, 3, H, W]` in [0, 1]; those of which nothing arrived are the inner codec's, enlarged."""
        return self.decode_marked(reception)[0]

    def decode_marked(self, reception: Reception) -> tuple[Tensor, tuple[bool, ...]]:
        """Also what the inner codec marks."""
        height, width = reception.session.height, reception.session.width
        found = self.received(reception)
        means, arrived = found.pictures, found.arrived
        pictures = F.interpolate(means, scale_factor=float(self.pool), mode="nearest")
        if not arrived.all():
            log.warning("ddnm: nothing arrived of %d of %d pictures; no diffusion there", (~arrived).sum(), len(means))
        sigma = self.uncertainty(found.quality, len(means), max(means.shape[-2:])).to(means.device)
        chosen = arrived.nonzero()[:, 0]
        for part in chosen.split(max(1, PIXELS_AT_ONCE // pictures[0, 0].numel())) if len(chosen) else ():
            refined = self.refine(means[part], sigma[part], reception.public_seed).to(pictures.device)
            good = torch.isfinite(refined).flatten(1).all(1)
            if not good.all():
                log.warning("ddnm: the prior failed on %d of %d pictures; left coarse", (~good).sum(), len(good))
            pictures[part[good]] = refined[good]
        return pictures[..., :height, :width], found.undecoded

    def received(self, reception: Reception) -> Carried:
        """What the inner codec makes of the coarse pictures."""
        size = reception.session.height, reception.session.width
        height, width = self.coarse(*size)
        session = replace(reception.session, height=height, width=width)
        return self.carrying(*size).received(replace(reception, session=session))

    def uncertainty(self, quality: Tensor | None, batch: int, side: int) -> Tensor:
        """sigma_y of each picture, float32 `[batch]`, from the mean `a` of each; side: of the coarse picture, in px."""
        return self.carried.uncertainty(quality, batch, side)

    def refine(self, means: Tensor, sigma: Tensor, public_seed: int) -> Tensor:
        """Pictures from coarse ones; each gets the same noise, whatever the batch."""
        device = self.device or str(means.device)
        name = self.prior or shipped_prior(self.pool * max(means.shape[-2:]))
        pipeline = range_null_prior(name, self.scheduler, self.dtype, device, self.memory)
        generators = [Generator().manual_seed(public_seed % (1 << 63)) for _ in means]
        settings = {"num_inference_steps": self.steps, "eta": self.eta, "generator": generators}
        return pipeline(means, self.pool, sigma, output_type="pt", **settings).images


PLUGIN = Ddnm
