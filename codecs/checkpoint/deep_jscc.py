"""Networks of Deep-JSCC-PyTorch: five and five convolutions for one SNR and one rate, in cells of 4x4 px."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from semlink.codecs._learned.clone import TOLD, clone_module, published_tensors
from semlink.codecs._learned.codec import LatentCodec
from semlink.codecs._learned.shipped import local
from semlink.codecs._learned.weights import rebuilt
from semlink.simulator.errors import SemlinkError
from semlink.simulator.forms import zero_forcing

ITS_DB = 10 * math.log10(2)  # what its SNRs lie below those of this link
LAST = "encoder.conv5.conv.weight"  # whose outputs are the 2 m latent planes


class DeepJsccClone(LatentCodec):
    """A network of Deep-JSCC-PyTorch; rho = c / 48 for its `c` inner channels. model: nothing, it has one kind."""

    name = "checkpoint"
    encodes_on = "nothing"
    cell = 4

    def __init__(self, rho: float = 1 / 6, repo: str = "", weights: str | Path | None = None, model: str = "") -> None:
        if model:
            raise SemlinkError(f"{repo or 'checkpoint'} is no clone of SwinJSCC or WITT, so it has no model={model}")
        self.repo, self.model = repo, model
        super().__init__(rho, weights, partial(published, repo), variant="")

    def check(self, height: int, width: int) -> None:
        """SemlinkError when it has no clone or no weights, or they do not fit; loads them."""
        self.network(height, width)

    def weight_file(self, height: int, width: int) -> Path:
        """Its own weights; SemlinkError when none were given."""
        if not self.weights:
            raise SemlinkError(TOLD)
        return super().weight_file(height, width)

    def files(self) -> tuple[Path, ...]:
        """The weights and the modules of the clone."""
        modules = sorted(Path(self.repo).expanduser().glob("*.py")) if self.repo else []
        return local(self.weights, *modules)

    def read(self, path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors of a weight file, and the planes that they are for."""
        if path.suffix == ".safetensors":
            return super().read(path)
        state = published_tensors(path)
        if LAST not in state:
            raise SemlinkError(f"{path}: no {LAST} in it, so it is no network of Deep-JSCC-PyTorch")
        return state, {"planes": len(state[LAST]) // 2}

    def load(self, path: Path) -> nn.Module:
        """A network in evaluation mode. SemlinkError when clone and weights do not fit each other or this rate."""
        if path.suffix == ".safetensors":
            return super().load(path)
        state, settings = self.read(path)
        network = rebuilt(self._build, self.fits(settings, path), state, path)
        return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it

    def __getstate__(self) -> dict[str, Any]:
        """Without networks: their class is the clone's, which another process imports again."""
        return {**self.__dict__, "_networks": {}}


class Published(nn.Module):
    """Encoder and decoder of the clone, with the names of their tensors. planes: c there."""

    def __init__(self, planes: int, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.settings = {"planes": planes}
        self.encoder, self.decoder = encoder, decoder

    def encode(self, images: Tensor, snr_db: Tensor) -> Tensor:
        """Pictures `[batch, 3, H, W]` in [0, 1] to a latent `[batch, 2 m, H/4, W/4]`; the SNR is not used."""
        latent = self.encoder(images)  # without its first axis where the batch is 1
        return latent.reshape(len(images), -1, *latent.shape[-2:])

    def decode(self, z: Tensor, a: Tensor) -> Tensor:
        """Pictures from x_hat as real `[batch, 2 m, h, w]`: the network sees x + noise, power 1 per real number."""
        return self.decoder(math.sqrt(2) * zero_forcing(z, a.repeat(1, 2, 1, 1)))


def published(repo: str, planes: int) -> Published:
    """The network of a clone with random weights. SemlinkError where there is none, or not of 4x4 px cells."""
    if not repo:
        raise SemlinkError(TOLD)
    home = Path(repo).expanduser()
    module = clone_module(home, "model")
    if not hasattr(module, "DeepJSCC"):
        raise SemlinkError(f"{home}/model.py has no DeepJSCC, so it is no clone of Deep-JSCC-PyTorch")
    made = module.DeepJSCC(c=planes)
    network = Published(planes, made.encoder, made.decoder)
    with torch.no_grad():
        places = tuple(network.encode(torch.zeros(1, 3, 64, 64), torch.zeros(1)).shape[1:])
    if places != (2 * planes, 16, 16):
        told = f"{home}/model.py makes {places} of 64x64 px, not {(2 * planes, 16, 16)}"
        raise SemlinkError(f"{told}: a version before June 2024 or of another layout; pull it")
    return network
