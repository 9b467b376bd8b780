"""DeepJSCC as Bourtsoulatze, Burth Kurka and Gunduz published it in 2019 (arXiv 1809.01733, fig. 2).

Encoder: 5x5 convolutions, filters/stride 16/2, 32/2, 32/1, 32/1, 2m/1, each with PReLU; power normalisation per image.
Decoder: 5x5 transposed convolutions 32/1, 32/1, 32/1, 16/2, 3/2, PReLU, the last a sigmoid. One network per SNR and
rate.
"""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from semlink.codecs._learned.codec import LatentCodec
from semlink.simulator.forms import zero_forcing


class DeepJscc(LatentCodec):
    """The 2019 network, trained at one SNR; any picture size; rho = m / 48.

    train_snr: SNR in dB of the shipped weights (10). They know nothing of the SNR they meet.
    """

    name = "deepjscc"
    encodes_on = "nothing"
    cell = 4

    def __init__(self, rho: float = 1 / 6, weights: str | Path | None = None, train_snr: int = 10) -> None:
        self.train_snr = train_snr
        super().__init__(rho, weights, Network2019, variant=f"-snr{train_snr}")


class Network2019(nn.Module):
    """The five-layer encoder and decoder. planes: complex symbols per 4x4 cell (c = 2 planes in the paper)."""

    def __init__(self, planes: int = 8) -> None:
        super().__init__()
        self.settings = {"planes": planes}
        self.reach = 32, 40
        sizes = [(3, 16, 2), (16, 32, 2), (32, 32, 1), (32, 32, 1), (32, 2 * planes, 1)]
        self.encoder = nn.Sequential(*(m for s in sizes for m in (nn.Conv2d(s[0], s[1], 5, s[2], 2), nn.PReLU())))
        layers: list[nn.Module] = []
        for outputs, inputs, stride in reversed(sizes):
            layers += [nn.ConvTranspose2d(inputs, outputs, 5, stride, 2, stride - 1), nn.PReLU()]
        self.decoder = nn.Sequential(*layers[:-1], nn.Sigmoid())

    def encode(self, images: Tensor, snr_db: Tensor) -> Tensor:
        """Pictures `[batch, 3, H, W]` in [0, 1] to a latent `[batch, 2 m, H/4, W/4]`; the SNR is not used."""
        return self.encoder(images)

    def decode(self, z: Tensor, a: Tensor) -> Tensor:
        """Pictures from x_hat as real `[batch, 2 m, h, w]`; the network sees x + noise, as in the paper."""
        return self.decoder(zero_forcing(z, a.repeat(1, 2, 1, 1)))


PLUGIN = DeepJscc
