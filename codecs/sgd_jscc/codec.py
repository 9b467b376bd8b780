"""Diffusion as channel denoiser, guided by an edge map and a tag (SGD-JSCC, Zhang et al. 2025, arXiv 2501.01138).

The equalised latent in variance-preserving form is a diffusion state at the step of its own noise level 1 - a; a
denoiser takes it to a clean one, symbol by symbol where levels differ ("water filling" over steps), and a decoder that
was trained for LPIPS shows it. Edges and tag are streams of their own, charged, and may be lost.

Training, in this order (make_tags.py finds the centres of the tags beforehand):

    python experiments/train.py --codec sgd_jscc:steps=0,guidance=none --rho 1/24 --crop 64 --batch 16 --lr 2e-3 \\
        --data imagenet-256-train bsds500-train tiny-imagenet-64-train --snr 7 20 --channels surrogate-awgn
    python experiments/train_diffusion.py --codec sgd_jscc:weights=results/train/weights.safetensors --crop 128 \\
        --data imagenet-256-train bsds500-train --widths 64 96 --lr 1.5e-3 --emphasis 2
    python experiments/train_level.py --codec sgd_jscc:weights=results/train/weights.safetensors --minutes 5
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semlink.codecs._diffusion import guides
from semlink.codecs._diffusion.states import Denoiser, check_steps, denoise_each, received_states, shown
from semlink.codecs._diffusion.training import Examples
from semlink.codecs._learned.budget import budget
from semlink.codecs._learned.codec import LatentCodec, in_parts, pad_to_cells, planes_for, to_symbols
from semlink.codecs._learned.received import any_of, payloads_of, undecoded
from semlink.codecs._learned.shipped import WEIGHTS, local
from semlink.codecs._regions import mask_code
from semlink.codecs.sgd_jscc.blind import alpha_of, blind_states, level_network
from semlink.codecs.sgd_jscc.guidance import GUIDES, check_guidance, uses_of
from semlink.codecs.sgd_jscc.latent import CELL, LatentNetwork, unit
from semlink.simulator.bits import framing
from semlink.simulator.bits.mcs import get
from semlink.simulator.errors import SemlinkError
from semlink.simulator.values import Reception, Session, Stream, Transmission, TxInfo

PERCEPTUAL = 2.0  # weight of LPIPS beside log(MSE) in training
DROPPED = 0.15  # share of edge maps and tags that training loses
DENOISER = WEIGHTS / "sgd_jscc-denoiser"
ESTIMATOR = WEIGHTS / "sgd_jscc-level.safetensors"
TAGS = WEIGHTS / "sgd_jscc-tags.safetensors"


class SgdJscc(LatentCodec):
    """Latent JSCC with a diffusion denoiser; rho = p / 192, of which one plane in eight (at least one) is for guides.

    Streams: `latent`; `edges` and `tag` where they fit, else they are left out and not charged. guidance: "edges/tag",
    one of them, or "none"; a guide has its uses whatever the other does. mcs: their scheme; the default arrives over
    AWGN of -3 dB, half of the time at -5 dB, and needs 256 px for edges and 96 px for a tag; "qpsk-0.25" arrives at
    0 dB, carries twice the bytes and needs 128 px and 64 px.
    steps: "budget" (as many as the noise level needs, 4 to 50), a number at most (50 in the paper), or 0: no denoising.
    level: where the chain starts; "told" (by the equaliser, symbol by symbol), "blind" (one SNR per picture that
    `estimator`, a file of experiments/train_level.py, finds in the symbols), or an SNR in dB that the receiver believes
    for all symbols that arrived. scale: of classifier-free guidance, 1 asks the network once a step. weights: of the
    autoencoder; denoiser: folder of a `ChannelDenoisingPipeline`; scheduler, dtype, device, memory: see `Denoiser`.
    A picture of which no symbol arrived is grey. SemlinkError for
    unknown settings, and for weights, denoiser or estimator of another rate.
    """

    name = "sgd_jscc"
    capabilities = {"steps": "budget", "guidance": "edges/tag"}
    encodes_on = "nothing"
    cell = CELL

    def __init__(
        self,
        rho: float = 1 / 24,
        guidance: Literal["none", "edges", "tag", "edges/tag", "tag/edges"] | None = "edges/tag",
        steps: int | str = "budget",
        level: Literal["told", "blind"] | float = "told",
        mcs: str = "qpsk-0.25x2",
        scale: float = 1.0,
        weights: str | Path | None = None,
        denoiser: str | Path | None = None,
        estimator: str | Path | None = None,
        scheduler: Literal["ddim", "dpm", "lcm"] | None = None,
        dtype: Literal["float32", "bfloat16", "float16"] = "float32",
        device: str | None = None,
        memory: str | None = None,
    ) -> None:
        whole = planes_for(rho, CELL, self.rates(f"{self.name}-*.safetensors"))
        if whole < 2:
            raise SemlinkError(f"rho {rho:g} leaves nothing for guides; the least is {2 / (3 * CELL**2):.4f}")
        super().__init__(rho, weights, LatentNetwork, variant="")
        self.whole, self.planes = whole, whole - _of_guides(whole)
        self.guidance, self.mcs = check_guidance(guidance), get(mcs)
        self.steps, self.level, self.scale = check_steps(steps), check_level(level), scale
        self.denoiser = Denoiser(Path(denoiser or DENOISER), scheduler, dtype, device, memory)
        self.estimator = Path(estimator or ESTIMATOR)

    def shipped(self, domain: str) -> Path:
        """One file for all picture sizes."""
        return super().shipped("natural")

    def rate_of(self, planes: int) -> float:
        """With the planes that guides take."""
        return next(w for w in range(planes, 2 * planes + 2) if w - _of_guides(w) == planes) / (3 * CELL**2)

    def files(self) -> tuple[Path, ...]:
        """What its pictures depend on: the weights, and of denoiser, estimator and tags what is used."""
        denoiser = self.denoiser.folder if self.steps != 0 else None
        estimator = self.estimator if self.level == "blind" else None
        return (*super().files(), *local(denoiser, estimator, TAGS if "tag" in self.guidance else None))

    def uses(self, height: int, width: int) -> int:
        """Symbols of the latent; with `guide_uses` they are at most floor(rho 3 H W)."""
        left = budget(self.rho, height, width) - sum(self.guide_uses(height, width).values())
        return min(super().uses(height, width), left)

    def guide_uses(self, height: int, width: int) -> dict[str, int]:
        """Channel uses of each guide that is sent with a picture of that size."""
        rows, columns = grid(height, width)
        return uses_of(self.guidance, (self.whole - self.planes) * rows * columns, self.mcs)

    def encode(self, images: Tensor, tx: TxInfo | None = None) -> Transmission:
        """Pictures `[batch, 3, H, W]` in [0, 1] to `latent`, mean power 1 per image, and the guides."""
        height, width = images.shape[-2:]
        network = self.network(height, width)
        padded = pad_to_cells(images, CELL)
        encode = self.tiled(network, network.features, 0, (1,), CELL)
        latent = unit(in_parts(network.training, encode, padded, pixels=padded[0, 0].numel()))
        streams = [Stream("latent", "analog", to_symbols(latent, self.kept(height, width)))]
        for name, uses in ({} if network.training else self.guide_uses(height, width)).items():
            payload = self._payload(name, images.cpu(), uses)
            streams.append(Stream(name, "bits", payload, mcs=self.mcs.name, uses=uses))
        return Transmission(tuple(streams), Session(height, width))

    def _payload(self, name: str, images: Tensor, uses: int) -> list[bytes]:
        if name == "tag":
            return [bytes([tag]) for tag in guides.tags(images, guides.centres(TAGS)).tolist()]
        found = guides.edges(images, framing.room(uses, self.mcs))
        return [mask_code.pack(mask) for mask in found]

    def decode(self, reception: Reception) -> Tensor:
        """Pictures `[batch, 3, H, W]`; clipped to [0, 1] unless the network is in training, which denoises nothing."""
        return self.decode_marked(reception)[0]

    def decode_marked(self, reception: Reception) -> tuple[Tensor, tuple[bool, ...]]:
        """Also of which pictures a guide arrived that is none; they are decoded without it."""
        height, width = reception.session.height, reception.session.width
        network = self.network(height, width)
        states, alpha = self.received(reception)
        given = self.hints(reception), self.labels(reception)
        if not network.training and self.steps != 0:
            states = self.denoised(states, alpha, given, reception.public_seed)
        decode = self.tiled(network, network.decode, 1, (CELL,), 1)
        pictures = in_parts(network.training, decode, states, pixels=states[0, 0].numel() * CELL**2)
        pictures = pictures[..., :height, :width]
        known = zip(GUIDES, ((given[0][:, 1, 0, 0] > 0).tolist(), (given[1] < guides.TAGS).tolist()), strict=True)
        wrong = any_of(*(undecoded(payloads_of(reception, name), found) for name, found in known))
        return (pictures if network.training else shown(pictures, alpha)), wrong

    def received(self, reception: Reception) -> tuple[Tensor, Tensor]:
        """The latent as diffusion states and the alpha that the receiver believes, `[batch, 2 planes, h, w]` each."""
        size = reception.session.height, reception.session.width
        stream, shape = self.kept(*size).whole(reception.stream("latent")), (self.planes, *grid(*size))
        if self.level == "blind":
            return blind_states(stream, *shape, level_network(self.estimator, 2 * self.planes))
        states, alpha = received_states(stream, *shape)
        if self.level != "told":
            alpha = torch.where(alpha > 0, alpha_of(torch.tensor(float(self.level))), 0.0)
        return states, alpha

    def denoised(self, states: Tensor, alpha: Tensor, given: tuple[Tensor, Tensor], public_seed: int) -> Tensor:
        """Clean states of noisy ones, with the guides that arrived, `hints` and `labels`."""
        pipeline = self.denoiser.pipeline(states.device)
        return denoise_each(pipeline, states, alpha, public_seed, self.steps, *given, self.scale)

    def hints(self, reception: Reception) -> Tensor:
        """Two planes `[batch, 2, h, w]`: the edge map that arrived, and 1 where there is one; 0 where it is lost."""
        rows, columns = grid(reception.session.height, reception.session.width)
        found = [mask_code.unpack(payload, rows, columns) for payload in payloads_of(reception, "edges")]
        lost = torch.zeros(2, rows, columns)
        return torch.stack([lost if m is None else torch.stack([m.float(), torch.ones_like(lost[0])]) for m in found])

    def labels(self, reception: Reception) -> Tensor:
        """The tag that arrived, int64 `[batch]`; the null label where there is none."""
        found = payloads_of(reception, "tag")
        return torch.tensor([p[0] if p is not None and len(p) == 1 else guides.TAGS for p in found])

    def loss(self, received: Tensor, images: Tensor) -> Tensor:
        """Mean over images of log(MSE + 1e-4) + 2 LPIPS (AlexNet)."""
        from semlink.simulator.metrics.lpips import lpips_loss

        error = F.mse_loss(received, images, reduction="none").mean((1, 2, 3))
        return ((error + 1e-4).log() + PERCEPTUAL * lpips_loss(received, images, "alex")).mean()

    @torch.no_grad()
    def states_of(self, images: Tensor) -> Tensor:
        """Clean states of pictures whose sides are multiples of 8, unit variance per image."""
        network = self.network(*images.shape[-2:])
        return in_parts(False, network.encode, images, pixels=images[0, 0].numel())

    @torch.no_grad()
    def examples(self, images: Tensor, generator: torch.Generator) -> Examples:
        """What the denoiser is trained on: clean states, edge maps of random density and tags, some of them lost."""
        draws = torch.rand(3, len(images), generator=generator, device=generator.device).cpu()
        edges = guides.densest(guides.edge_strength(images).cpu(), guides.DENSEST * draws[0].square())
        known = (draws[1] >= DROPPED).float()[:, None, None]
        hints = torch.stack([edges.float() * known, known.expand(edges.shape)], 1)
        tags = guides.tags(images.cpu(), guides.centres(TAGS))
        return Examples(self.states_of(images), hints, torch.where(draws[2] >= DROPPED, tags, guides.TAGS))

    def new_network(self) -> nn.Module:
        """An autoencoder of this codec's rate with random weights, for training."""
        return LatentNetwork(self.planes)


def check_level(level: str | float) -> str | float:
    """The level as given. SemlinkError unless it is "told", "blind" or a finite number of dB."""
    number = isinstance(level, (int, float)) and not isinstance(level, bool) and math.isfinite(level)
    if not number and level not in ("told", "blind"):
        raise SemlinkError(f"level is {level!r}; give told, blind or an SNR in dB")
    return level


def grid(height: int, width: int) -> tuple[int, int]:
    """Rows and columns of the latent of a picture of that size."""
    return -(-height // CELL), -(-width // CELL)


def _of_guides(whole: int) -> int:
    """Planes of all that are left to guides."""
    return max(1, whole // 8)
