"""The Bourtsoulatze codec by Kaira's own blocks, for the Python of an environment that has `pykaira`; no semlink here.

Usage: python kaira_side.py FILE.npz, with pictures and the weights of both halves of the network; see `lines.py`.

SNR is Es/N0 per complex symbol of mean power 1, averaged over fading. Over AWGN that is Kaira's `snr_db`, which takes
the power of what is sent: real and imaginary parts are real numbers of power 1/2, so that the noise of each has half of
N0. Over fading Kaira's `snr_db` would take the power of what arrives, fades of the batch included; `avg_noise_power`
fixes N0 instead. Fades are drawn here, one per picture, and handed to the channel as its `csi`, because it does not
tell those that it draws itself; the receiver divides by them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from cpu_only import make_importable
from lines import Question, Work, serve
from torch import Tensor, nn

make_importable()  # before Kaira

from kaira.channels import AWGNChannel, FlatFadingChannel  # noqa: E402
from kaira.constraints import AveragePowerConstraint  # noqa: E402
from kaira.models import DeepJSCCModel  # noqa: E402
from kaira.models.image import Bourtsoulatze2019DeepJSCCDecoder, Bourtsoulatze2019DeepJSCCEncoder  # noqa: E402

Step = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Codec:
    """Kaira's encoder and decoder with given weights, and the pictures `[n, 3, H, W]` that are sent."""

    encoder: nn.Module
    decoder: nn.Module
    pictures: Tensor

    def prepare(self, request: Mapping[str, Any]) -> Work:
        """The work of a request: `way`, `channel`, `snrs`, `pictures` (first, count) and `seed`."""
        torch.manual_seed(request["seed"])
        asked = Question.of(request, self.pictures)
        latents = [self.encoder(x) for x in asked.batches]
        alone = partial(asked.decoded, self.decoder, latents)
        ways = {"model": partial(self.model, asked), "once": partial(self.once, asked), "decoder": alone}
        return ways[request["way"]]

    def model(self, asked: Question) -> list[Tensor]:
        """Kaira as it is meant: its whole model for every SNR."""
        power = constraint(asked.channel)
        models = [DeepJSCCModel(self.encoder, power, sending(asked.channel, s), self.decoder) for s in asked.snrs]
        return joined([[psnr(x, model(x)) for model in models] for x in asked.batches])

    def once(self, asked: Question) -> list[Tensor]:
        """Its blocks by hand: pictures are encoded once for all SNRs."""
        return joined([self._batch(x, asked) for x in asked.batches])

    def _batch(self, pictures: Tensor, asked: Question) -> list[Tensor]:
        sent = constraint(asked.channel)(self.encoder(pictures))
        return [psnr(pictures, self.decoder(sending(asked.channel, snr)(sent))) for snr in asked.snrs]


def constraint(channel: str) -> Step:
    """A latent `[n, 2 m, h, w]` to what is sent: real numbers of power 1/2, or complex `[n, m, h, w]` of power 1."""
    if channel == "awgn":
        return AveragePowerConstraint(0.5)
    return lambda latent: AveragePowerConstraint(1.0)(torch.complex(*latent.chunk(2, 1)))


def sending(channel: str, snr_db: float) -> Step:
    """What is sent to what the decoder sees: sent plus noise, real, `[n, 2 m, h, w]`."""
    return AWGNChannel(snr_db=float(snr_db)) if channel == "awgn" else partial(faded, snr_db=snr_db)


def faded(sent: Tensor, snr_db: float) -> Tensor:
    """Symbols over Rayleigh fading with one gain per picture, known to the receiver, which divides by it."""
    gains = torch.randn(len(sent), 1, dtype=torch.complex64)  # of variance 1
    channel = FlatFadingChannel("rayleigh", sent[0].numel(), avg_noise_power=10 ** (-snr_db / 10))
    received = channel(sent, csi=gains) / gains[:, :, None, None]
    return torch.cat([received.real, received.imag], 1)


def psnr(pictures: Tensor, received: Tensor) -> Tensor:
    """PSNR in dB of each picture at peak 1."""
    return -10 * torch.log10((pictures - received).square().mean((1, 2, 3)))


def joined(batches: Sequence[Sequence[Tensor]]) -> list[Tensor]:
    """Values of batches by SNR as those of all pictures."""
    return [torch.cat(of_snr) for of_snr in zip(*batches, strict=True)]


def filled(module: nn.Module, tensors: Sequence[Tensor]) -> nn.Module:
    """The module with those weights, which come in its own order: both networks have the same layers one by one."""
    module.load_state_dict(dict(zip(module.state_dict(), tensors, strict=True)))
    return module.eval()


def main() -> None:
    """Serve the pictures and weights of the file."""
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    arrays = {name: torch.from_numpy(array) for name, array in np.load(sys.argv[1]).items()}
    encoder, decoder = ([t for name, t in arrays.items() if name.startswith(half)] for half in ("encoder", "decoder"))
    filters = decoder[0].shape[0]
    codec = Codec(
        filled(Bourtsoulatze2019DeepJSCCEncoder(filters), encoder),
        filled(Bourtsoulatze2019DeepJSCCDecoder(filters), decoder),
        arrays["pictures"],
    )
    serve(codec.prepare, {name: version(name) for name in ("pykaira", "torch", "numpy")})


if __name__ == "__main__":
    main()
