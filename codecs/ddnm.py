"""DeepJSCC of the pooled picture, then range-null-space diffusion at the receiver: what was pooled away is imagined.

Yilmaz et al., "High perceptual quality wireless image delivery with denoising diffusion models", arXiv 2309.15889: a
coarse picture y = A x crosses the channel, and an unconditional diffusion model draws a picture whose block means are
what arrived. Ours: the error of y is known from a table and counted with (mode "noisy").
"""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from semlink.codecs._diffusion import loading
from semlink.codecs._diffusion.levels import sound
from semlink.codecs._learned.codec import SMALL
from semlink.simulator.errors import SemlinkError
from semlink.simulator.values import ReceivedStream, Reception, Session, Transmission, TxInfo
from semlink.simulator.words import parse

log = logging.getLogger(__name__)

FOLDER = Path(__file__).parent
TABLE = FOLDER / "tables" / "ddnm_sigma.json"
WEIGHTS = FOLDER / "weights"
MODES = ("noisy", "paper")
POOLS = (1, 2, 4)
PIXELS_AT_ONCE = 1 << 21  # bounds the memory of a call of the pipeline


class Ddnm:
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
        mode: str = "noisy",
        steps: int = 20,
        eta: float = 0.85,
        prior: str | Path | None = None,
        sigma_y: float | None = None,
        scheduler: str | None = None,
        dtype: str = "float32",
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
        self.inner_word, self.inner = inner, inner_codec(inner, rho * pool**2)
        self.prior = str(prior) if prior else None
        self.sigma_y, self.scheduler, self.dtype = sigma_y, scheduler, dtype

    @property
    def encodes_on(self) -> str:
        """What the encoding depends on: the same as the inner codec's."""
        return self.inner.encodes_on

    def coarse(self, height: int, width: int) -> tuple[int, int]:
        """Size of the coarse picture."""
        return -(-height // self.pool), -(-width // self.pool)

    def uses(self, height: int, width: int) -> int:
        """Channel uses of the main stream per picture of that size."""
        return self.inner.uses(*self.coarse(height, width))

    def encode(self, images: Tensor, tx: TxInfo | None = None) -> Transmission:
        """Pictures `[batch, 3, H, W]` in [0, 1] to the inner codec's streams of their block means."""
        height, width = images.shape[-2:]
        padded = F.pad(images, (0, -width % self.pool, 0, -height % self.pool), mode="replicate")
        sent = self.inner.encode(F.avg_pool2d(padded, self.pool), tx)
        return replace(sent, session=Session(height, width, sent.session.constants))

    def decode(self, reception: Reception) -> Tensor:
        """Pictures `[batch, 3, H, W]` in [0, 1]; those of which nothing arrived are the inner codec's, enlarged."""
        height, width = reception.session.height, reception.session.width
        means, quality = self.received(reception)
        pictures = F.interpolate(means, scale_factor=float(self.pool), mode="nearest")
        arrived = quality > 0 if quality is not None else torch.ones(len(means), dtype=torch.bool)
        if not arrived.all():
            log.warning("ddnm: nothing arrived of %d of %d pictures; no diffusion there", (~arrived).sum(), len(means))
        sigma = self.uncertainty(quality, len(means), max(means.shape[-2:])).to(means.device)
        chosen = arrived.nonzero()[:, 0]
        for part in chosen.split(max(1, PIXELS_AT_ONCE // pictures[0, 0].numel())) if len(chosen) else ():
            refined = self.refine(means[part], sigma[part], reception.public_seed).to(pictures.device)
            good = torch.isfinite(refined).flatten(1).all(1)
            if not good.all():
                log.warning("ddnm: the prior failed on %d of %d pictures; left coarse", (~good).sum(), len(good))
            pictures[part[good]] = refined[good]
        return pictures[..., :height, :width]

    def received(self, reception: Reception) -> tuple[Tensor, Tensor | None]:
        """The coarse pictures within [0, 1] and the mean `a` of each one's main stream, None when that has none."""
        streams, lost = zip(*(_sound(stream) for stream in reception.streams), strict=True)
        if any(lost):
            log.warning("%s: %d symbols were not finite; taken for lost", self.inner_word, sum(lost))
        height, width = self.coarse(reception.session.height, reception.session.width)
        session = replace(reception.session, height=height, width=width)
        with torch.no_grad():
            means = self.inner.decode(replace(reception, streams=streams, session=session))
        a = streams[0].a
        return means.float().nan_to_num(0.5).clamp(0, 1), None if a is None else a.mean(1)

    def uncertainty(self, quality: Tensor | None, batch: int, side: int) -> Tensor:
        """sigma_y of each picture, float32 `[batch]`, from the mean `a` of each; side: of the coarse picture, in px."""
        if self.mode == "paper" or self.sigma_y is not None:
            return torch.full((batch,), 0.0 if self.mode == "paper" else cast(float, self.sigma_y))
        levels, errors = measured_errors(self.inner_word, self.rho * self.pool**2, self.pool, side)
        if quality is None:
            raise SemlinkError(f"{self.inner_word} has no analog stream that tells its quality; give sigma_y=")
        a = quality.double().clamp(1e-6, 1 - 1e-6).cpu().numpy()
        snr_db = 10 * np.log10(a / (1 - a))
        beyond = (snr_db < levels[0]) | (snr_db > levels[-1])
        if beyond.any():
            ends = f"{levels[0]:g} to {levels[-1]:g} dB"
            log.warning("%s: SNR of %d pictures beyond %s; the ends hold", self.inner_word, beyond.sum(), ends)
        return torch.from_numpy(np.interp(snr_db, levels, errors)).float()

    def refine(self, means: Tensor, sigma: Tensor, public_seed: int) -> Tensor:
        """Pictures from coarse ones; each gets the same noise, whatever the batch."""
        device = self.device or str(means.device)
        name = self.prior or shipped_prior(self.pool * max(means.shape[-2:]))
        pipeline = prior(name, self.scheduler, self.dtype, device, self.memory)
        generators = [Generator().manual_seed(public_seed % (1 << 63)) for _ in means]
        settings = {"num_inference_steps": self.steps, "eta": self.eta, "generator": generators}
        return pipeline(means, self.pool, sigma, output_type="pt", **settings).images


def shipped_prior(side: int) -> str:
    """Folder of the prior for pictures whose longer side has that many pixels."""
    return str(WEIGHTS / ("prior-small" if side <= SMALL else "prior-natural"))


def inner_codec(word: str, rho: float) -> Any:
    """The codec of a word such as "roi_jscc:importance=none;share=0.5" at that rate."""
    from semlink import codecs

    parsed = parse(word.replace(";", ","))
    if parsed.name == Ddnm.name:
        raise SemlinkError("ddnm cannot carry itself; choose another inner codec, e.g. inner=adjscc")
    return codecs.create(parsed.name, rho=rho, **dict(parsed.settings))


def measured_errors(inner: str, rho: float, pool: int, side: int) -> tuple[list[float], list[float]]:
    """SNRs in dB, rising, and RMS errors of the coarse picture there, measured at the nearest size.

    Table of experiments/measure_sigma.py. SemlinkError when it lacks that codec, rate or pool.
    """
    fits = [e for e in _table() if e["inner"] == inner and e["pool"] == pool and abs(e["rho"] / rho - 1) < 0.02]
    if not fits:
        raise SemlinkError(
            f"no measured error of {inner} at rho {rho:.4f} behind pool {pool}; run python experiments/measure_sigma.py"
            f' --inner "{inner}" --rho {rho:.4f} --pools {pool}, or give sigma_y=, or ddnm mode=paper'
        )
    entry = min(fits, key=lambda e: abs(np.log(e["side"] / side)))
    return entry["snr_db"], entry["sigma"]


@lru_cache(maxsize=1)
def _table() -> list[dict[str, Any]]:
    return json.loads(TABLE.read_text(encoding="utf-8"))["entries"]


@lru_cache(maxsize=2)
def prior(name: str, scheduler: str | None, dtype: str, device: str = "cpu", memory: tuple[str, ...] = ()) -> Any:
    """The pipeline of a folder or hub id, with that scheduler (None: DDNM's own step), without progress bar.

    memory: names of `loading.MEMORY`.
    """
    from semlink.codecs._diffusion.range_null import RangeNullPipeline, RangeNullScheduler

    pipeline = loading.load_pipeline(RangeNullPipeline, name, dtype)
    config = pipeline.scheduler
    pipeline.scheduler = (
        loading.scheduler_of(scheduler, config) if scheduler else RangeNullScheduler.from_config(config.config)
    )
    pipeline.set_progress_bar_config(disable=True)
    return loading.placed(pipeline, device, memory)


def _sound(stream: ReceivedStream) -> tuple[ReceivedStream, int]:
    """An analog stream without symbols that are not finite, and their number; others as they are."""
    if stream.kind != "analog":
        return stream, 0
    x_hat, a, lost = sound(stream)
    return replace(stream, x_hat=x_hat, a=a), lost


PLUGIN = Ddnm
