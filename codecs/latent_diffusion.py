"""Latents of a pre-trained autoencoder over the air; a pre-trained diffusion model takes the channel's noise off.

The training-free variant of SGD-JSCC (Zhang et al. 2025, arXiv 2501.01138): the equalised latent is a state of the
model at the step of its own noise level, where a Stable Diffusion, guided by a caption and an edge map, takes over.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from semlink.codecs._diffusion import captions, guides, latents
from semlink.codecs._diffusion.captions import Captions, write_captions
from semlink.codecs._diffusion.guided import Hint, each, finite
from semlink.codecs._diffusion.inner import files_of
from semlink.codecs._diffusion.pretrained import MODEL, Pretrained, path
from semlink.codecs._diffusion.states import beyond, check_steps, received_states
from semlink.codecs._learned.budget import Kept, budget, kept
from semlink.codecs._learned.codec import pad_to_cells, to_symbols
from semlink.codecs._learned.received import any_of, payloads_of, undecoded
from semlink.codecs._regions import mask_code
from semlink.simulator.bits import framing
from semlink.simulator.bits.mcs import PROTECTION, get
from semlink.simulator.errors import SemlinkError
from semlink.simulator.reprs import ShownSettings
from semlink.simulator.values import Reception, Session, Stream, Transmission, TxInfo

__all__ = ["LatentDiffusion", "write_captions"]

log = logging.getLogger(__name__)

ROBUST = get(PROTECTION["robust"])
SMALLEST = 128  # uses of an edge map


class LatentDiffusion(ShownSettings):
    """Streams: `latent`, `scale`, and where they are wanted `caption` and `edges`; any picture size.

    rho: of the latent alone, as no part of it can be left out; what the other streams take comes on top, and is in the
    rho_total of rows. C channels at 1/8 of the size take C / 384 (4: 1/96, 16: 1/24), and whole multiples send the
    latent as many times, combined at the receiver. model: folder or hub id of a Stable Diffusion; vae: another
    `AutoencoderKL` or `AutoencoderTiny` (TAESD) for the same latents; controlnet: a `ControlNetModel` for edge maps of
    8 px cells, such as one for scribbles. caption: a JSON file of `write_captions`, a captioner by folder or hub id, or
    a callable of pictures that pickles. steps: "budget" (as many as the noise level needs), a number, or 0: no
    denoising, the autoencoder alone over the air. guidance: of classifier-free guidance by the caption; control: weight
    of the ControlNet; edge_share: uses of the edge map over those of the latent, at least 128 uses. scheduler, dtype,
    device, memory: see `Pretrained`.
    """

    name = "latent_diffusion"
    capabilities = {"steps": 4, "guidance": 1.0}
    encodes_on = "nothing"
    beyond_rho = ("scale", "caption", "edges")

    def __init__(
        self,
        rho: float = 1 / 96,
        model: str | Path = MODEL,
        vae: str | Path | None = None,
        controlnet: str | Path | None = None,
        caption: str | Path | Captions | None = None,
        steps: int | str = 4,
        guidance: float = 1.0,
        control: float = 1.0,
        edge_share: float = 1 / 8,
        scheduler: str | None = None,
        dtype: str = "float32",
        device: str | None = None,
        memory: str | None = None,
    ) -> None:
        self.pretrained = Pretrained(str(model), path(vae), path(controlnet), scheduler, dtype, device, memory)
        if rho <= 0 or edge_share <= 0:
            raise SemlinkError(f"rho {rho:g}, edge_share {edge_share:g}: both must be above 0")
        self.rho, self.edge_share = rho, edge_share
        self.captions = captions.find_captions(caption)
        self.steps, self.guidance, self.control = check_steps(steps), guidance, control

    def files(self) -> tuple[Path, ...]:
        """What its pictures depend on: folders of models and the file or the model of captions, not ids of the hub."""
        return (*self.pretrained.files(), *files_of(self.captions))

    def check(self, height: int, width: int) -> None:
        """SemlinkError when a model is not there and the hub is out of reach; loads nothing."""
        self.pretrained.check()

    def vae(self, device: torch.device | None = None) -> Any:
        """The autoencoder, loaded on first use."""
        return self.pretrained.autoencoder(device or torch.device("cpu"))

    def layout(self, vae: Any, height: int, width: int) -> tuple[int, int, int, int]:
        """Complex planes, rows and columns of the latent of a picture of that size, and how many times it is sent."""
        cell, channels = latents.cell_of(vae), vae.config.latent_channels
        if channels % 2:
            raise SemlinkError(
                f"an autoencoder of {channels} latent channels fills no complex symbols; take an even one"
            )
        return channels // 2, -(-height // cell), -(-width // cell), copies_for(self.rho, channels / (6 * cell**2))

    def uses(self, height: int, width: int) -> int:
        """Channel uses of the latent per picture of that size."""
        planes, rows, columns, copies = self.layout(self.vae(), height, width)
        return copies * min(planes * rows * columns, budget(self.rho, height, width) // copies)

    def kept(self, vae: Any, height: int, width: int) -> Kept:
        """The symbols that are sent of a picture of that size."""
        planes, *_, copies = self.layout(vae, height, width)
        return kept(height, width, latents.cell_of(vae), planes, self.uses(height, width) // copies, True)

    def edge_uses(self, latent_uses: int) -> int:
        """Channel uses of the edge map, the same in every picture."""
        return sum(framing.blocks_in(max(SMALLEST, int(self.edge_share * latent_uses)), ROBUST))

    def encode(self, images: Tensor, tx: TxInfo | None = None) -> Transmission:
        """Pictures `[batch, 3, H, W]` in [0, 1] to `latent`, mean power 1 per image, and what goes with it."""
        height, width = images.shape[-2:]
        vae = self.vae(images.device)
        *_, copies = self.layout(vae, height, width)
        z = latents.to_latents(vae, pad_to_cells(images, latents.cell_of(vae)))
        channels, scale = z.shape[1], latents.scale_bytes(z)
        mean, spread, _ = latents.scales(scale, channels)
        places = self.kept(vae, height, width)
        symbols = to_symbols((z - mean.to(z)) / spread.to(z), places).repeat(1, copies)
        streams = [
            Stream("latent", "analog", symbols),
            Stream("scale", "bits", scale, protection="robust", uses=uses_for(2 * channels)),
        ]
        if self.captions is not None:
            payload = [captions.pack(text) for text in captions.captions_of(self.captions, images)]
            streams.append(Stream("caption", "bits", payload, protection="robust"))
        if self.pretrained.controlnet:
            uses = self.edge_uses(symbols.shape[1])
            payload = [mask_code.pack(mask) for mask in guides.edges(images, framing.room(uses, ROBUST))]
            streams.append(Stream("edges", "bits", payload, protection="robust", uses=uses))
        return Transmission(tuple(streams), Session(height, width))

    def decode(self, reception: Reception) -> Tensor:
        """Pictures `[batch, 3, H, W]` in [0, 1]; those of whose latent nothing arrived show its mean, not denoised."""
        return self.decode_marked(reception)[0]

    def decode_marked(self, reception: Reception) -> tuple[Tensor, tuple[bool, ...]]:
        """Also of which pictures a scale, a caption or an edge map arrived that is none; it is taken for lost."""
        height, width = reception.session.height, reception.session.width
        unit, a, mean, spread = self.received(reception)
        texts, maps = self.guides(reception)
        clean = latents.least_square(unit, a, mean, spread)
        arrived = a.flatten(1).amax(1) > 0
        if not arrived.all():
            log.warning("%s: nothing arrived of %d of %d latents", self.name, (~arrived).sum(), len(a))
        if self.steps != 0 and arrived.any():
            states, alpha = latents.to_model(unit, a, mean, spread)
            hints = [hint_of(texts[i], maps[i]) for i in arrived.nonzero()[:, 0].tolist()]
            found = self.denoised(states[arrived], alpha[arrived], hints, reception.public_seed)
            clean[arrived] = torch.where(finite(found, self.name), found, clean[arrived])
        sizes = (payload and len(payload) == 2 * a.shape[1] for payload in payloads_of(reception, "scale"))
        found_in: dict[str, Iterable[object]] = {"scale": map(bool, sizes), "caption": texts, "edges": maps}
        wrong = any_of(*(undecoded(payloads_of(reception, name), own) for name, own in found_in.items()))
        return latents.to_pictures(self.vae(a.device), clean)[..., :height, :width], wrong

    def received(self, reception: Reception) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """sqrt(a) u + sqrt(1 - a) n and a, `[batch, channels, h, w]`, and the mean and spread that make u a latent."""
        vae = self.vae(cast(Tensor, reception.stream("latent").a).device)
        size = reception.session.height, reception.session.width
        planes, rows, columns, copies = self.layout(vae, *size)
        stream = self.kept(vae, *size).whole(latents.combined(reception.stream("latent"), copies))
        unit, a = received_states(stream, planes, rows, columns)
        mean, spread, lost = latents.scales(payloads_of(reception, "scale"), 2 * planes)
        if lost:
            log.warning("%s: scales of %d of %d latents lost; mean 0 and spread 1 taken", self.name, lost, len(a))
        return unit, a, mean.to(a), spread.to(a)

    def guides(self, reception: Reception) -> tuple[list[str | None], list[Tensor | None]]:
        """Caption and edge map, bool `[rows, columns]`, of each picture; None for what was lost or not sent."""
        texts = [captions.unpack(payload) for payload in payloads_of(reception, "caption")]
        rows, columns = (-(-side // guides.CELL) for side in (reception.session.height, reception.session.width))
        maps = [mask_code.unpack(payload, rows, columns) for payload in payloads_of(reception, "edges")]
        for name, found, sent in (
            ("captions", texts, self.captions is not None),
            ("edge maps", maps, bool(self.pretrained.controlnet)),
        ):
            lost = sum(one is None for one in found) if sent else 0
            if lost:
                log.warning("%s: %d of %d %s lost; those pictures go without", self.name, lost, len(found), name)
        return texts, maps

    def denoised(self, states: Tensor, alpha: Tensor, hints: list[Hint], public_seed: int) -> Tensor:
        """Clean latents; each picture starts at the level of its own worst symbol, with noise of the same seed."""
        pipeline = self.pretrained.receiver(states.device)
        if out := beyond(pipeline, alpha):
            log.warning("%s: SNR of %d of %d latents beyond the schedule; its ends hold", self.name, out, len(alpha))
        settings = {"num_inference_steps": self.steps, "guidance_scale": self.guidance, "control_scale": self.control}
        return each(pipeline, states, alpha, hints, public_seed, settings).to(states.device)


def copies_for(rho: float, once: float) -> int:
    """How many times a latent of rate `once` is sent at rate rho; SemlinkError when that is no whole number."""
    copies = round(rho / once)
    if copies < 1 or abs(rho / once - copies) > 0.02 * copies:
        possible = ", ".join(f"1/{1 / (n * once):g}" for n in (1, 2, 3, 4))
        raise SemlinkError(f"rho {rho:g}: this autoencoder's latents take {possible} and further multiples")
    return copies


def uses_for(size: int) -> int:
    """The fewest channel uses, in steps of the smallest block, that carry so many bytes."""
    step = ROBUST.block_sizes()[-1]
    return next(uses for uses in range(step, 1 << 20, step) if framing.room(uses, ROBUST) >= size)


def drawn(edges: Tensor) -> Tensor:
    """A map of cells, bool `[rows, columns]`, as a picture `[1, 3, 8 rows, 8 columns]`, white on black."""
    wide = edges.float().repeat_interleave(guides.CELL, 0).repeat_interleave(guides.CELL, 1)
    return wide.expand(1, 3, -1, -1)


def hint_of(text: str | None, edges: Tensor | None) -> Hint:
    """Prompt and edge picture `[1, 3, H, W]` of what arrived of them."""
    return text or "", None if edges is None else drawn(edges)


PLUGIN = LatentDiffusion
