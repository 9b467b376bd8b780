"""What learned codecs share: latent <-> channel symbols, power, padding, weights; a codec adds its network.

A network maps pictures to a real latent `[batch, 2 m, H / cell, W / cell]` and back, so k = m (H / cell) (W / cell)
complex uses and rho = m / (3 cell^2). The first m latent planes are real parts, the last m imaginary parts; symbols
are sent plane by plane in raster order, which spreads the m symbols of a place over the resource grid. Of pictures that
cells do not divide, some are left out (`budget`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semlink.codecs._learned import hub
from semlink.codecs._learned.budget import ALL, Kept, budget, kept
from semlink.codecs._learned.received import sound_symbols
from semlink.codecs._learned.shipped import DOMAINS, WEIGHTS, is_small, local, not_shipped, planes_shipped
from semlink.codecs._learned.trained import card_of, meant_for, range_of, set_range
from semlink.codecs._learned.weights import read_weights, rebuilt
from semlink.simulator.errors import SemlinkError
from semlink.simulator.files import is_here, reading
from semlink.simulator.reprs import ShownSettings
from semlink.simulator.tiles import in_tiles
from semlink.simulator.values import Reception, Session, Stream, Transmission, TxInfo

PIXELS_AT_ONCE = 1 << 21  # bounds the memory of inference


class LatentCodec(ShownSettings):
    """A learned codec with one analog stream, `latent`.

    name: for messages and weight files. rho: channel uses per source dimension, one that the network can have.
    weights: a safetensors file of your own; None takes the shipped ones for the picture's size.
    Networks implement `encode(pictures, snr_db [batch]) -> latent` and `decode(z, a) -> pictures`,
    z real `[batch, 2 m, h, w]` (x_hat), a `[batch, m, h, w]`; `settings` rebuilds them. Those of `RangedNetwork` keep
    conditions within the SNRs of their training, which the card beside the weights tells. Large pictures are cut for
    networks that say how far encoder and decoder see, `reach` in px, and perhaps at multiples of which `unit`; what
    their decoders pool over a picture is `told(a)`, `[batch, ...]`, a third argument of `decode`.
    """

    name = ""
    encodes_on = "nothing"
    cell = 4
    beside = True  # what is shown at places that send nothing, see `budget.kept`

    def __init__(self, rho: float, weights: str | Path | None, build: Callable[..., nn.Module], variant: str) -> None:
        self.rho = rho
        self.planes = planes_for(rho, self.cell, self.rates(f"{self.name}-*.safetensors"))
        self.weights = weights
        self._build = build
        self._variant = variant
        self._networks: dict[str, nn.Module] = {}

    def uses(self, height: int, width: int) -> int:
        """Channel uses per picture of that size, at most floor(rho 3 H W)."""
        return min(self.planes * -(-height // self.cell) * -(-width // self.cell), budget(self.rho, height, width))

    def kept(self, height: int, width: int) -> Kept:
        """The symbols that are sent of a picture of that size."""
        return kept(height, width, self.cell, self.planes, self.uses(height, width), self.beside)

    def network(self, height: int, width: int) -> Any:
        """The network for pictures of that size, loaded on first use. SemlinkError when its weights do not fit."""
        path = self.weight_file(height, width)
        key = "own" if self.weights else path.name
        if key not in self._networks:
            with meant_for(self.name, path):
                self._networks[key] = self.load(path)
        return self._networks[key]

    def weight_file(self, height: int, width: int) -> Path:
        """The weights for pictures of that size: its own, or those shipped."""
        return Path(self.weights).expanduser() if self.weights else self.shipped(DOMAINS[is_small(height, width)])

    def check(self, height: int, width: int) -> None:
        """SemlinkError when the weights for pictures of that size are not here, with what is shipped.

        Loads own ones, which may be of anything.
        """
        path = self.weight_file(height, width)
        if self.weights:
            self.network(height, width)
        if self.weights or is_here(path):
            return
        alike = re.sub(r"-m\d+", "-m*", path.name)
        raise SemlinkError(not_shipped(self.name, path, fraction(self.rho), [fraction(r) for r in self.rates(alike)]))

    def save_pretrained(self, folder: str | Path, height: int = 256, width: int = 256) -> None:
        """Write the network for pictures of that size, settings and model card to a folder, see `hub`."""
        hub.save(self, self.weight_file(height, width), Path(folder).expanduser())

    @classmethod
    def from_pretrained(cls, name: str | Path) -> Self:
        """The codec with the network of a folder of `save_pretrained`, or of a repository of the hub."""
        return hub.load(cls, name)

    def push_to_hub(self, repository: str, private: bool = False, height: int = 256, width: int = 256) -> str:
        """Upload what `save_pretrained` writes to a repository of the hub; its address."""
        return hub.push(self, self.weight_file(height, width), repository, private)

    def rates(self, pattern: str) -> tuple[float, ...]:
        """The rates of shipped weights of that pattern, rising."""
        return tuple(self.rate_of(planes) for planes in planes_shipped(pattern))

    def rate_of(self, planes: int) -> float:
        """The codec's rate with so many planes."""
        return planes / (3 * self.cell**2)

    def shipped(self, domain: str) -> Path:
        """File of the shipped weights for `domain`, "small" or "natural"."""
        return WEIGHTS / f"{self.name}-{domain}-m{self.planes}{self._variant}.safetensors"

    def files(self) -> tuple[Path, ...]:
        """What its pictures depend on: its own weights, or those shipped at its rate for every size; with cards."""
        weights = local(*((self.weights,) if self.weights else map(self.shipped, DOMAINS)))
        return local(*weights, *map(card_of, weights))

    def load(self, path: Path) -> nn.Module:
        """A network in evaluation mode from a safetensors file. SemlinkError when it is not one or does not fit."""
        state, settings = self.read(path)
        with reading(path, "its settings are not those of this codec's network; train it again"):
            settings = self.fits(settings, path)
        network = rebuilt(self._build, settings, state, path)
        set_range(network, range_of(path))
        return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it

    def read(self, path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors and settings of a weight file."""
        return read_weights(path)

    def fits(self, settings: dict[str, Any], path: Path) -> dict[str, Any]:
        """Settings to rebuild the network of that file; SemlinkError when it was trained for another rate."""
        if settings.get("planes", self.planes) != self.planes:
            trained = settings["planes"] / (3 * self.cell**2)
            raise SemlinkError(f"{path}: trained for rho {trained:.4f}, not {self.rho:.4f}")
        return {**settings, "planes": self.planes}

    def new_network(self) -> nn.Module:
        """A network of this codec's rate with random weights, for training."""
        return self._build(planes=self.planes)

    def use(self, network: nn.Module) -> None:
        """Use this network for pictures of every size, e.g. one in training."""
        self.weights = self.weights or "network in memory"
        self._networks["own"] = network

    def encode(self, images: Tensor, tx: TxInfo | None = None) -> Transmission:
        """Pictures `[batch, 3, H, W]` in [0, 1] to one analog stream, mean power 1 per image."""
        height, width = images.shape[-2:]
        network = self.network(height, width)
        snr_db = snr_per_image(tx, len(images)).to(images.device)
        padded = pad_to_cells(images, self.cell)
        encode = self.tiled(network, self.encoder(network), 0, (1, None), self.cell)
        latent = in_parts(network.training, encode, padded, snr_db, pixels=padded[0, 0].numel())
        symbols = to_symbols(latent, self.kept(height, width))
        return Transmission((Stream("latent", "analog", symbols),), Session(height, width))

    def decode(self, reception: Reception) -> Tensor:
        """Pictures `[batch, 3, H, W]`; clipped to [0, 1] unless the network is in training."""
        height, width = reception.session.height, reception.session.width
        network = self.network(height, width)
        stream = reception.stream("latent")
        rows, columns = -(-height // self.cell), -(-width // self.cell)
        z, a = self.planes_of(*sound_symbols(stream), height, width)
        pictures = self.decoded(network, z, a, pixels=rows * columns * self.cell**2)[..., :height, :width]
        return pictures if network.training else pictures.clamp_(0, 1)

    def decoded(self, network: Any, z: Tensor, a: Tensor, pixels: int) -> Tensor:
        """What the network makes of planes, in parts and tiles; pixels: of a padded picture."""
        told = [network.told(a)] if hasattr(network, "told") else []
        decode = self.tiled(network, network.decode, 1, (self.cell, self.cell, *(None for _ in told)), 1)
        return in_parts(network.training, decode, z, a, *told, pixels=pixels)

    def tiled(
        self, network: Any, function: Callable[..., Tensor], end: int, takes: tuple[int | None, ...], gives: int
    ) -> Callable[..., Tensor]:
        """A network's function in tiles (see `in_tiles`) if it says how far it sees. end: 0 encodes, 1 decodes."""
        if not hasattr(network, "reach"):
            return function
        return in_tiles(function, network.reach[end], getattr(network, "unit", self.cell), takes, gives)

    def encoder(self, network: Any) -> Callable[[Tensor, Tensor], Tensor]:
        """What maps padded pictures and SNRs to the latent that is sent."""
        encode: Callable[[Tensor, Tensor], Tensor] = network.encode
        return encode

    def planes_of(self, x_hat: Tensor, a: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
        """Symbols `[batch, k]` and their `a` as the planes that the network decodes for a picture of that size."""
        shape, places = (self.planes, -(-height // self.cell), -(-width // self.cell)), self.kept(height, width)
        return from_symbols(places.spread(x_hat), *shape), places.spread(a).reshape(-1, *shape)


def planes_for(rho: float, cell: int, shipped: Sequence[float] = ()) -> int:
    """Complex latent planes m of that rate; SemlinkError when rho is not near m / (3 cell^2).

    shipped: rates that there are weights for, which the error lists.
    """
    exact = rho * 3 * cell**2
    planes = round(exact)
    if planes < 1 or abs(planes - exact) > 0.02 * exact:
        known = f"shipped: {', '.join(map(fraction, shipped))}"
        remedy = known if shipped else f"try {max(1, planes) / (3 * cell**2):.4f}"
        raise SemlinkError(f"rho {rho:g} is not a multiple of 1/{3 * cell**2} within 2 %; {remedy}")
    return planes


def fraction(rho: float) -> str:
    """A rate as people say it: 1/12."""
    return f"1/{1 / rho:.3g}"


def to_symbols(latent: Tensor, places: Kept = ALL) -> Tensor:
    """Real latent `[batch, 2 m, h, w]` to the complex64 symbols that are sent, `[batch, m h w]` or less of mean power 1
    per image.
    """
    real, imaginary = latent.float().flatten(2).chunk(2, dim=1)
    symbols = places.pick(torch.complex(real.contiguous(), imaginary.contiguous()).flatten(1))
    power = symbols.abs().square().mean(1, keepdim=True)
    return symbols / power.clamp_min(1e-12).sqrt()


def from_symbols(symbols: Tensor, planes: int, rows: int, columns: int) -> Tensor:
    """Inverse of `to_symbols` but for the power: complex `[batch, m h w]` to real `[batch, 2 m, h, w]`."""
    grid = symbols.reshape(-1, planes, rows, columns)
    return torch.cat([grid.real, grid.imag], dim=1)


def pad_to_cells(images: Tensor, cell: int) -> Tensor:
    """Replicate the last row and column until both sides are multiples of `cell`."""
    missing = [-side % cell for side in images.shape[-2:]]
    return F.pad(images, (0, missing[1], 0, missing[0]), mode="replicate") if any(missing) else images


def snr_per_image(tx: TxInfo | None, batch: int, default: float = 10.0) -> Tensor:
    """The transmitter's SNR in dB as float32 `[batch]`; `default` when it knows none."""
    known = default if tx is None or tx.snr_db is None else tx.snr_db
    return torch.as_tensor(known, dtype=torch.float32).expand(batch)


def in_parts(training: bool, function: Callable[..., Tensor], *tensors: Tensor, pixels: int) -> Tensor:
    """Apply in parts of bounded memory without gradients; in one part and with gradients while training."""
    if training:
        return function(*tensors)
    with torch.no_grad():
        found = [function(*part) for part in _parts(tensors, max(1, PIXELS_AT_ONCE // pixels))]
        return found[0] if len(found) == 1 else torch.cat(found)


def _parts(tensors: Sequence[Tensor], size: int) -> Iterator[tuple[Tensor, ...]]:
    yield from zip(*(t.split(size) for t in tensors), strict=True)
