"""A learned codec whose receiver draws from the posterior: likely under a diffusion prior and under what arrived.

DiffCom, Wang et al., arXiv 2406.07390: transmitter and prior stay as they are. The receiver encodes its estimate again
with the transmitter's own network, compares with the received symbols, and corrects the estimate by the gradient of
what is left, step by step. Here the link is x_hat = a x + noise of variance a (1 - a), which weighs every symbol, and
the correction is that of `_diffusion/posterior_sampling.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Generator, Tensor

from semlink.codecs._diffusion import loading
from semlink.codecs._diffusion.inner import (
    LEAST_RELIABLE,
    TABLE,
    check_inner,
    files_of,
    inner_codec,
    nearest_errors,
    told_beyond,
)
from semlink.codecs._diffusion.levels import step_of
from semlink.codecs._diffusion.priors import posterior_prior, prior_files, shipped_prior
from semlink.codecs._learned.codec import LatentCodec, pad_to_cells, to_symbols
from semlink.codecs._learned.received import sound, sound_symbols
from semlink.simulator import forms
from semlink.simulator.errors import SemlinkError
from semlink.simulator.reprs import ShownSettings
from semlink.simulator.values import Reception, Transmission, TxInfo

log = logging.getLogger(__name__)

MODES = ("hifi", "plain")
REACH = 0.3
STEPS_ALIKE = 2  # training steps of the prior: pictures whose starts are that near share a chain
MOST_RELIABLE = 0.9999  # 40 dB: no network reproduces its symbols better
PIXELS_AT_ONCE = 1 << 19  # bounds the memory of gradients


class Posterior(ShownSettings):
    """The streams of `inner`, decoded by sampling; any picture size.

    inner: a word of a learned codec, settings separated by semicolons, e.g. "adjscc:weights=mine.safetensors".
    mode: "plain" compares symbols; "hifi" also pictures, the inner decoder's of x_hat with those of the symbols of the
    estimate. zeta, gamma: weights of these two, 1 being what the noise alone would justify. steps: of the sampling.
    start: RMS error of the inner picture (peak 1); None: the table's at the received SNR. The chain begins with that
    picture and `reach` times as much noise, so that reach says how much is left to the prior. start="paper": from the
    level 10 log10(alpha / (1 - alpha)) = 50 log10((1 + SNR)^rho) of DiffCom, whatever the inner picture is worth.
    eta: share of fresh noise in a step. scheduler: "ddim", "dpm" or "lcm". prior: folder or hub id of an unconditional
    pipeline of a UNet2DModel and a scheduler; None: a shipped one, as in ddnm, which knows little, so that zeta, gamma
    and reach ask little of it; a strong one deserves a reach of 1 or more. dtype: the prior's, "float32" or "bfloat16".
    device: of the prior, None for that of what is received. memory: diffusers' own options, e.g. "attention_slicing".
    SemlinkError for unknown settings and for an inner codec that is no learned one with a plain latent.
    """

    name = "posterior"
    capabilities = {"steps": 8}

    def __init__(
        self,
        rho: float = 1 / 24,
        inner: str = "adjscc",
        mode: Literal["hifi", "plain"] = "hifi",
        steps: int = 8,
        zeta: float = 30.0,
        gamma: float = 30.0,
        start: float | str | None = None,
        reach: float = REACH,
        eta: float = 0.0,
        prior: str | Path | None = None,
        scheduler: Literal["ddim", "dpm", "lcm"] = "ddim",
        dtype: Literal["float32", "bfloat16", "float16"] = "float32",
        device: str | None = None,
        memory: str | None = None,
    ) -> None:
        if mode not in MODES or (isinstance(start, str) and start != "paper"):
            raise SemlinkError(f"mode {mode!r}, start {start!r}; known: {', '.join(MODES)}; paper, a number, or None")
        if steps < 1 or not 0 <= eta <= 1 or min(zeta, gamma) < 0 or reach <= 0:
            raise SemlinkError(
                f"steps {steps}, eta {eta}, zeta {zeta}, gamma {gamma}, reach {reach}: need steps >= 1, 0 <= eta <= 1, "
                f"weights >= 0, reach > 0"
            )
        self.device, self.memory = device, loading.check_settings(scheduler, dtype, device, memory)
        self.inner_word, self.inner = inner, inner_codec(inner, rho)
        if not plain(self.inner):
            raise SemlinkError(f"posterior needs a codec that is one network at each end, not {inner}; try adjscc")
        if not isinstance(start, (int, float, str)):
            nearest_errors(inner, rho, 64)  # complain now
        self.rho, self.mode, self.steps, self.eta, self.start, self.reach = rho, mode, steps, eta, start, reach
        self.zeta, self.gamma = zeta, gamma if mode == "hifi" else 0.0
        self.prior, self.scheduler, self.dtype = str(prior) if prior else None, scheduler, dtype

    def files(self) -> tuple[Path, ...]:
        """What its pictures depend on: the inner codec, the table of its errors where it is asked, the prior."""
        table = (TABLE,) if self.start is None else ()
        return (*files_of(self.inner), *table, *prior_files(self.prior))

    def check(self, height: int, width: int) -> None:
        """SemlinkError when the inner codec cannot meet pictures of that size; loads nothing."""
        check_inner(self.inner, height, width)

    @property
    def encodes_on(self) -> str:
        """What the encoding depends on: the same as the inner codec's."""
        return self.inner.encodes_on

    def uses(self, height: int, width: int) -> int:
        """Channel uses of the stream per picture of that size."""
        return self.inner.uses(height, width)

    def encode(self, images: Tensor, tx: TxInfo | None = None) -> Transmission:
        """The inner codec's transmission, unchanged."""
        return self.inner.encode(images, tx)

    @torch.inference_mode(False)  # gradients are needed
    @torch.no_grad()
    def decode(self, reception: Reception) -> Tensor:
        """Pictures `[batch, 3, H, W]` in [0, 1]; those of which nothing arrived are the inner codec's."""
        heard = sound(reception)
        x_hat, a = sound_symbols(heard.streams[0])
        pictures = self.inner.decode(heard).float().nan_to_num(0.5).clamp(0, 1)
        arrived = (a > 0).any(1)
        if not arrived.all():
            log.warning("posterior: nothing arrived of %d of %d pictures; left as is", (~arrived).sum(), len(arrived))
        for part, step in self.chains(a, arrived, *pictures.shape[-2:]):
            drawn = self.draw(pictures[part], x_hat[part], a[part], step, reception.public_seed)
            good = torch.isfinite(drawn).flatten(1).all(1)
            if not good.all():
                log.warning("posterior: the prior failed on %d of %d pictures; left as is", (~good).sum(), len(good))
            pictures[part[good]] = drawn[good]
        return pictures

    def chains(self, a: Tensor, arrived: Tensor, height: int, width: int) -> Iterator[tuple[Tensor, int]]:
        """Indices of pictures that run together, and the training step at which they start."""
        if not arrived.any():
            return
        steps = self.first_steps(snr_db_of(a), max(height, width))
        for step in steps[arrived].unique().tolist():
            alike = ((steps == step) & arrived).nonzero()[:, 0]
            for part in alike.split(max(1, PIXELS_AT_ONCE // (height * width))):
                yield part, step

    def first_steps(self, snr_db: Tensor, side: int) -> Tensor:
        """Training step at which the chain of each picture starts, int64 `[batch]`, in multiples of STEPS_ALIKE."""
        scheduler = self.pipeline(snr_db.device, side).scheduler
        if self.start == "paper":
            ratio = (1 + 10 ** (snr_db.double() / 10)) ** (5 * self.rho)
        else:
            ratio = (2 * self.reach * self.error(snr_db, side)) ** -2
        steps = step_of(scheduler, ratio / (1 + ratio))
        last = scheduler.config.num_train_timesteps - 1
        return ((steps / STEPS_ALIKE).round() * STEPS_ALIKE).long().clamp(STEPS_ALIKE, last)

    def error(self, snr_db: Tensor, side: int) -> Tensor:
        """RMS error of each inner picture (peak 1), float64 `[batch]`; side: of the pictures, in px."""
        if self.start is not None:
            return torch.full_like(snr_db, max(float(self.start), 1e-4), dtype=torch.float64)
        levels, errors = nearest_errors(self.inner_word, self.rho, side)
        known = snr_db.double().cpu().numpy()
        told_beyond(self.name, known, levels)
        return torch.from_numpy(np.interp(known, levels, errors)).to(snr_db.device)

    def draw(self, pictures: Tensor, x_hat: Tensor, a: Tensor, step: int, public_seed: int) -> Tensor:
        """Pictures drawn around the inner ones; each meets the same noise, whatever the batch."""
        seed = public_seed % (1 << 63)
        network = self.inner.network(*pictures.shape[-2:])
        again = Reencoding(network, self.inner, x_hat, a)
        confirm = again.confirming(pictures, Generator().manual_seed(seed)) if self.gamma else None

        def misfit(estimates: Tensor) -> Tensor:
            symbols = again.symbols(estimates.to(x_hat.device))
            parts = [self.zeta**0.5 * again.residual(symbols)]
            if confirm is not None:
                parts.append(self.gamma**0.5 * confirm(symbols))
            return torch.cat(parts, 1)

        generators = [Generator().manual_seed(seed) for _ in pictures]
        settings = {"num_inference_steps": self.steps, "eta": self.eta, "generator": generators}
        pipeline = self.pipeline(pictures.device, max(pictures.shape[-2:]))
        drawn = pipeline(pictures, misfit, step, output_type="pt", **settings)
        return drawn.images.to(pictures.device)

    def pipeline(self, home: torch.device, side: int) -> Any:
        """The prior's pipeline. home: where what is received lies; side: the longer one of the pictures, in px."""
        name = self.prior or shipped_prior(side)
        return posterior_prior(name, self.scheduler, self.dtype, self.device or str(home), self.memory)


@dataclass(frozen=True)
class Reencoding:
    """What a receiver knows of a batch: the codec and its network, and x_hat and a of each symbol, `[batch, k]`."""

    network: Any
    codec: LatentCodec
    x_hat: Tensor
    a: Tensor

    def symbols(self, pictures: Tensor) -> Tensor:
        """What the transmitter would have sent for these pictures, differentiable; its SNR is told by the mean `a`."""
        latent = self.codec.encoder(self.network)(pad_to_cells(pictures, self.codec.cell), snr_db_of(self.a))
        return to_symbols(latent, self.codec.kept(*pictures.shape[-2:]))

    def residual(self, symbols: Tensor) -> Tensor:
        """(a x - x_hat) as real numbers `[batch, 2 k]`, of unit variance when x was sent."""
        a = self.a.clamp_max(MOST_RELIABLE)
        weight = torch.where(a > 0, (a * (1 - a) / 2).clamp_min(1e-12).rsqrt(), 0.0)
        return torch.view_as_real(weight * (self.a * symbols - self.x_hat)).flatten(1)

    def decoded(self, x_hat: Tensor, height: int, width: int) -> Tensor:
        """The inner decoder's pictures of received symbols."""
        return self.network.decode(*self.codec.planes_of(x_hat, self.a, height, width))[..., :height, :width]

    def confirming(self, pictures: Tensor, generator: Generator) -> Any:
        """The misfit D(x_hat) - D(a x) of symbols x, of the scale that noise of the link gives it around `pictures`.

        In sum over the picture it then weighs as much as `residual` does over the symbols.
        """
        size = pictures.shape[-2:]
        sent = self.a * self.symbols(pictures)
        noise = torch.view_as_complex(torch.randn(sent[:1].shape + (2,), generator=generator)).to(sent.device)
        noisy = sent + (self.a * (1 - self.a) / 2).sqrt() * noise
        wanted = self.decoded(self.x_hat, *size)
        power = (self.decoded(noisy, *size) - self.decoded(sent, *size)).square().mean((1, 2, 3))
        scale = (2 * sent.shape[1] / pictures[0].numel() / power.clamp_min(1e-8)).sqrt()
        return lambda x: scale[:, None] * (self.decoded(self.a * x, *size) - wanted).flatten(1)


def plain(codec: Any) -> bool:
    """Whether a codec is a network between pictures and one analog stream, with nothing around it."""
    kind = type(codec)
    return isinstance(codec, LatentCodec) and (kind.encode, kind.decode) == (LatentCodec.encode, LatentCodec.decode)


def snr_db_of(a: Tensor) -> Tensor:
    """SNR in dB that the mean reliability of each picture's symbols `[batch, k]` tells, float32 `[batch]`."""
    return forms.snr_db(a.mean(1), LEAST_RELIABLE)


PLUGIN = Posterior
