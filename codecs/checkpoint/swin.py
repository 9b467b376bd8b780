"""Networks of SwinJSCC and WITT: Swin transformers in cells of 16x16 px, or of 4x4 px for CIFAR-10.

What their channel hands over free of charge is told here in the stream `told`: a byte for the root mean square of the
latent, and where the network chose its channels a bit for each of them.
"""

from __future__ import annotations

import inspect
import io
from contextlib import redirect_stdout
from functools import partial
from math import isqrt, log2, sqrt
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from semlink.codecs._learned.budget import Kept
from semlink.codecs._learned.clone import TOLD, Staying, clone_module, published_tensors
from semlink.codecs._learned.codec import LatentCodec, pad_to_cells, snr_per_image, to_symbols
from semlink.codecs._learned.received import payloads_of, sound_symbols, undecoded
from semlink.codecs._learned.shipped import local
from semlink.codecs._learned.weights import fit_weights
from semlink.simulator.bits import framing
from semlink.simulator.bits.mcs import PROTECTION, get
from semlink.simulator.errors import SemlinkError
from semlink.simulator.files import reading
from semlink.simulator.forms import snr_db as snr_of
from semlink.simulator.forms import zero_forcing
from semlink.simulator.values import Reception, Session, Stream, Transmission, TxInfo

FILES = ("net/encoder.py", "net/decoder.py")
SNRS_DB = (1.0, 13.0)  # of the training of those that adapt
STEPS = 16  # of the scale's byte, to a factor of two: within 2.2 %
MODELS = {  # whether it adapts to SNR and rate, by the repository's own names
    "WITT": (True, False),
    "WITT_W/O": (False, False),
    "SwinJSCC_w/o_SAandRA": (False, False),
    "SwinJSCC_w/_SA": (True, False),
    "SwinJSCC_w/_RA": (False, True),
    "SwinJSCC_w/_SAandRA": (True, True),
}


def is_swin(repo: str) -> bool:
    """Whether that folder is a clone of this layout."""
    return bool(repo) and all((Path(repo).expanduser() / file).is_file() for file in FILES)


class Stages(NamedTuple):
    """One end of a network, as its tensors tell: for each stage its width, blocks and heads; the window's side."""

    widths: tuple[int, ...]
    blocks: tuple[int, ...]
    heads: tuple[int, ...]
    window: int


class Layout(NamedTuple):
    """channels: of the latent, None where the rate is chosen. second: whether there are two modulators."""

    encoder: Stages
    decoder: Stages
    channels: int | None
    second: bool

    @property
    def cell(self) -> int:
        """Side of what a place of the latent stands for, in px."""
        return 2 ** len(self.encoder.widths)

    @property
    def unit(self) -> int:
        """Pictures are padded to multiples of this, so that windows divide every stage."""
        return self.cell * self.encoder.window


class SwinClone(LatentCodec):
    """A network of SwinJSCC or WITT, see `Checkpoint`. Streams: `latent`, and `told`, of fixed uses."""

    name = "checkpoint"

    def __init__(self, rho: float = 1 / 16, repo: str = "", weights: str | Path | None = None, model: str = "") -> None:
        if not weights:
            raise SemlinkError(TOLD)
        path = Path(weights).expanduser()
        self.repo, self.layout = repo, layout_of(published_tensors(path), path)
        self.cell = self.layout.cell
        self.model = model_of(model, self.layout, path)
        adapts, self.chooses = MODELS[self.model]
        self.encodes_on = "snr" if adapts else "nothing"
        super().__init__(rho, weights, partial(published, repo, self.layout, self.model), variant="")
        most = self.layout.channels or self.layout.encoder.widths[-1]
        if 2 * self.planes > most or (not self.chooses and 2 * self.planes != most):
            raise SemlinkError(f"{path}: trained for rho {self.rate_of(1) * most / 2:.4f}, not {rho:.4f}")

    def check(self, height: int, width: int) -> None:
        """SemlinkError when clone and weights do not fit each other, or a picture is too small for what is told."""
        self.uses(height, width)
        self.network(height, width)

    def files(self) -> tuple[Path, ...]:
        """The weights and the modules of the clone."""
        return local(self.weights, *sorted(Path(self.repo).expanduser().glob("net/*.py")))

    @property
    def told_uses(self) -> int:
        """Channel uses of `told`: as few as hold it."""
        size, scheme = 1 + (-(-self.layout.encoder.widths[-1] // 8) if self.chooses else 0), get(PROTECTION["robust"])
        return next(uses for uses in range(32, 1 << 16, 32) if framing.room(uses, scheme) >= size)

    def uses(self, height: int, width: int) -> int:
        """Symbols of the latent. SemlinkError for a picture that has fewer of them than of `told`."""
        whole, told = super().uses(height, width), self.told_uses
        if whole < 2 * told:
            what = f"{height}x{width} px are {whole} channel uses at rho {self.rho:.4f}"
            raise SemlinkError(f"{what}, of which {told} would tell the latent's scale; take larger pictures")
        return whole - told

    def load(self, path: Path) -> nn.Module:
        """The network in evaluation mode. SemlinkError when clone and weights do not fit each other."""
        state = {name: value for name, value in published_tensors(path).items() if _is_learnt(name)}
        with reading(path, "does not fit its clone; pull the clone"):
            network = self.new_network()
        masks = {name: value for name, value in network.state_dict().items() if not _is_learnt(name)}
        fit_weights(network, {**state, **masks}, path)
        return network.eval()

    def new_network(self) -> nn.Module:
        """The clone's network with random weights."""
        return self._build()

    def encode(self, images: Tensor, tx: TxInfo | None = None) -> Transmission:
        """Pictures `[batch, 3, H, W]` in [0, 1] to `latent`, mean power 1 per image, and `told`."""
        height, width = images.shape[-2:]
        network, places = self.network(height, width), self.kept(height, width)
        padded = pad_to_cells(images, self.layout.unit)
        snrs_db = map(_within, snr_per_image(tx, len(images)))
        made = [network.encode(own[None], snr_db, 2 * self.planes) for own, snr_db in zip(padded, snrs_db, strict=True)]
        rows, columns = -(-height // self.cell), -(-width // self.cell)
        latent = torch.cat([own[..., :rows, :columns] for own, _ in made])
        scales = root_mean_square(latent, places).tolist()
        told = [scale_byte(scale) + flags(chosen) for scale, (_, chosen) in zip(scales, made, strict=True)]
        symbols = Stream("latent", "analog", to_symbols(latent, places))
        beside = Stream("told", "bits", told, protection="robust", uses=self.told_uses)
        return Transmission((symbols, beside), Session(height, width))

    def decode(self, reception: Reception) -> Tensor:
        """Pictures `[batch, 3, H, W]` in [0, 1]; grey where what is told was lost."""
        return self.decode_marked(reception)[0]

    def decode_marked(self, reception: Reception) -> tuple[Tensor, tuple[bool, ...]]:
        """Also of which pictures what is told arrived and cannot be; these are grey."""
        height, width = reception.session.height, reception.session.width
        network = self.network(height, width)
        x_hat, a = sound_symbols(reception.stream("latent"))
        z, reliability = self.planes_of(x_hat, a, height, width)
        latent, snrs_db = zero_forcing(z, reliability.repeat(1, 2, 1, 1)), snr_of(a.mean(1), least=1e-4)
        payloads = payloads_of(reception, "told")
        told = [payload if payload and self._is_told(payload) else None for payload in payloads]
        pictures = [self._decoded(network, *one) for one in zip(latent, snrs_db, told, strict=True)]
        return torch.cat(pictures)[..., :height, :width].clamp(0, 1), undecoded(payloads, told)

    def _is_told(self, told: bytes) -> bool:
        """Whether these bytes are a scale and, where channels are chosen, as many as this rate has."""
        if not self.chooses:
            return len(told) == 1
        own = read_flags(told[1:], self.layout.encoder.widths[-1])
        return own is not None and int(own.sum()) == 2 * self.planes

    def _decoded(self, network: Any, latent: Tensor, snr_db: Tensor, told: bytes | None) -> Tensor:
        """One picture, of whole units, from a latent `[2 m, h, w]` of power 1 per symbol."""
        latent = pad_to_cells(latent[None], self.layout.encoder.window)
        if told is None:
            return torch.full((1, 3, *(side * self.cell for side in latent.shape[-2:])), 0.5, device=latent.device)
        own = read_flags(told[1:], self.layout.encoder.widths[-1]) if self.chooses else None
        return network.decode(latent * sqrt(2) * scale_of(told), _within(snr_db), own)

    def __getstate__(self) -> dict[str, Any]:
        """Without networks: their class is the clone's, which another process imports again."""
        return {**self.__dict__, "_networks": {}}


class PublishedSwin(nn.Module):
    """Encoder and decoder of the clone, with the names of their tensors; one picture at a time, on any device."""

    def __init__(self, encoder: Any, decoder: Any, cell: int, model: str) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self._cell, self._model = cell, model
        self._rate = "rate" in inspect.signature(encoder.forward).parameters

    @torch.no_grad()
    def encode(self, image: Tensor, snr_db: float, channels: int) -> tuple[Tensor, Tensor | None]:
        """A picture `[1, 3, H, W]` to the latent that is sent, `[1, channels, h, w]`, and which channels of all those
        are, bool `[width]`, None where all are.
        """
        height, width = image.shape[-2:]
        with Staying(image.device):
            self.encoder.update_resolution(height, width)
            found = self.encoder(image, snr_db, *([channels] if self._rate else []), self._model)
        tokens, mask = found if isinstance(found, tuple) else (found, None)
        chosen = None if mask is None else mask[0, 0] > 0
        latent = tokens.transpose(1, 2).unflatten(2, (height // self._cell, width // self._cell))
        return (latent if chosen is None else latent[:, chosen]), chosen

    @torch.no_grad()
    def decode(self, latent: Tensor, snr_db: float, chosen: Tensor | None) -> Tensor:
        """The picture `[1, 3, H, W]` of what was received of a latent; channels that were not sent are 0."""
        if chosen is not None:
            whole = latent.new_zeros(1, len(chosen), *latent.shape[-2:])
            whole[:, chosen] = latent
            latent = whole
        with Staying(latent.device):
            self.decoder.update_resolution(*latent.shape[-2:])
            return self.decoder(latent.flatten(2).transpose(1, 2), snr_db, self._model)


def published(repo: str, layout: Layout, model: str) -> PublishedSwin:
    """The network of a clone with random weights. SemlinkError where it has none of this layout."""
    home = Path(repo).expanduser()
    encoder, decoder = clone_module(home, "net.encoder"), clone_module(home, "net.decoder")
    with redirect_stdout(io.StringIO()), Staying(torch.device("cpu")):  # they print their layers
        first = _made(_only_class(encoder, "Encoder", home), layout.encoder, layout, model)
        last = _made(_only_class(decoder, "Decoder", home), layout.decoder, layout, model)
    network = PublishedSwin(first, last, layout.cell, model)
    if MODELS[model][0] and _deaf(network, layout):
        raise SemlinkError(
            f"{home}: its encoder does not use the SNR as {model}; pull the clone or name another model="
        )
    return network


def _only_class(module: ModuleType, end: str, home: Path) -> type:
    """The class of that module whose name ends so. SemlinkError where there is not exactly one."""
    found = [kind for name, kind in vars(module).items() if name.endswith(end) and isinstance(kind, type)]
    own = [kind for kind in found if kind.__module__ == module.__name__]
    if len(own) != 1:
        raise SemlinkError(f"{home}: {len(own)} classes ...{end} in {module.__name__}, so no clone of SwinJSCC or WITT")
    return own[0]


def _made(kind: type, stages: Stages, layout: Layout, model: str) -> Any:
    """Encoder or decoder, with what its constructor takes of the settings that the repositories give."""
    side = 2 * layout.unit  # more than a window in every stage
    settings = {
        "model": model,
        "img_size": (side, side),
        "patch_size": 2,
        "in_chans": 3,
        "embed_dims": list(stages.widths),
        "depths": list(stages.blocks),
        "num_heads": list(stages.heads),
        "C": layout.channels,
        "window_size": stages.window,
        "mlp_ratio": 4.0,
        "qkv_bias": True,
        "qk_scale": None,
        "norm_layer": nn.LayerNorm,
        "patch_norm": True,
    }
    taken = inspect.signature(kind).parameters
    return kind(**{name: value for name, value in settings.items() if name in taken})


def _deaf(network: PublishedSwin, layout: Layout) -> bool:
    """Whether the encoder makes the same of a picture at every SNR."""
    ramp = torch.linspace(0, 1, layout.unit).expand(1, 3, layout.unit, -1)
    low, high = (network.eval().encode(ramp, snr_db, 2)[0] for snr_db in SNRS_DB)
    return torch.equal(low, high)


def layout_of(state: dict[str, Tensor], path: Path) -> Layout:
    """What a state dict is of. SemlinkError for one of another kind of network."""
    with reading(path, "no network of SwinJSCC or WITT"):
        head = state.get("encoder.head_list.weight")
        ends = _stages(state, "encoder"), _stages(state, "decoder")
        return Layout(*ends, None if head is None else len(head), "encoder.sm_list1.0.weight" in state)


def _stages(state: dict[str, Tensor], end: str) -> Stages:
    """One end of a state dict; StopIteration, ValueError or KeyError where it has none."""
    places = [name.split(".")[2:5:2] for name in state if name.startswith(f"{end}.layers.") and ".blocks." in name]
    blocks = [len({block for own, block in places if own == stage}) for stage in sorted({own for own, _ in places})]
    firsts = [f"{end}.layers.{stage}.blocks.0" for stage in range(len(blocks))]
    biases = [state[f"{first}.attn.relative_position_bias_table"] for first in firsts]
    widths = [len(state[f"{first}.norm1.weight"]) for first in firsts]
    window = (isqrt(len(biases[0])) + 1) // 2
    return Stages(tuple(widths), tuple(blocks), tuple(bias.shape[1] for bias in biases), window)


def model_of(model: str, layout: Layout, path: Path) -> str:
    """The kind of network: what was named, or the only one with these tensors. SemlinkError for one without."""
    fitting = [
        name
        for name, (adapts, chooses) in MODELS.items()
        if chooses == (layout.channels is None) and (layout.second == (adapts and chooses))
    ]
    if model and model not in MODELS:
        raise SemlinkError(f"unknown model {model!r}; known: {', '.join(MODELS)}")
    if (model or len(fitting) != 1) and model not in fitting:
        raise SemlinkError(f"{path}: its tensors are of {' or '.join(fitting)}; give model= as it was trained")
    return model or fitting[0]


def root_mean_square(latent: Tensor, places: Kept) -> Tensor:
    """Of the real numbers that are sent of each latent `[batch, 2 m, h, w]`, `[batch]`."""
    real, imaginary = latent.flatten(2).chunk(2, 1)
    return (places.pick(torch.complex(real, imaginary).flatten(1)).abs().square().mean(1) / 2).sqrt()


def scale_byte(rms: float) -> bytes:
    """A root mean square as a byte, 2^-8 to 2^8."""
    return bytes([min(255, max(0, round(STEPS * log2(max(rms, 1e-9))) + 128))])


def scale_of(told: bytes) -> float:
    """What the first byte says."""
    return 2 ** ((told[0] - 128) / STEPS)


def flags(chosen: Tensor | None) -> bytes:
    """Bool `[n]` as bits, the first the lowest of the first byte; nothing for None."""
    if chosen is None:
        return b""
    bits = chosen.tolist()
    return bytes(sum(bit << place for place, bit in enumerate(bits[i : i + 8])) for i in range(0, len(bits), 8))


def read_flags(data: bytes, count: int) -> Tensor | None:
    """Inverse of `flags`; None for another number of bytes."""
    if len(data) != -(-count // 8):
        return None
    return torch.tensor([bool(byte >> place & 1) for byte in data for place in range(8)][:count])


def _within(snr_db: Tensor) -> float:
    """The nearest SNR of their training."""
    return min(SNRS_DB[1], max(SNRS_DB[0], float(snr_db)))


def _is_learnt(name: str) -> bool:
    """Whether a tensor is of encoder or decoder, and no mask, which follows from the picture's size."""
    return name.startswith(("encoder.", "decoder.")) and not name.endswith("attn_mask")
