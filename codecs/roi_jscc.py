"""One network that spends symbols and power where an importance map says: more planes inside the region, fewer outside.

After ROI-JSCC (Choi et al., arXiv 2506.01269): importance map as input at both ends, three-level channel mask, loss
MSE(all) + 2 MSE(ROI) + 0.25 MSE(ROP). The network is `adjscc`'s, steered by the map as well as by the SNR. Ours: the
mask travels as a protected stream inside the budget, and every place keeps a base that is of use without it.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semlink.codecs._learned.codec import LatentCodec, in_parts, pad_to_cells, snr_per_image
from semlink.codecs._learned.modulated import CONDITION, PIXELS, steering
from semlink.codecs._learned.received import payloads_of, sound_symbols, undecoded
from semlink.codecs._learned.trained import RangedNetwork
from semlink.codecs._regions import mask_code, unet
from semlink.codecs._regions.cells import (
    CELL,
    PLACE,
    Budget,
    Importance,
    cell_grid,
    cells_of,
    find_importance,
    gather,
    importance_files,
    levels_of,
    mask_stream,
    place_grid,
    received_cells,
    scatter,
    spread,
)
from semlink.codecs._regions.shapes import Shapes
from semlink.simulator import forms
from semlink.simulator.errors import SemlinkError
from semlink.simulator.values import Reception, Session, Stream, Transmission, TxInfo

WEIGHTS = (1.0, 2.0, 0.25)  # of the mean squared error of all, of the ROI, of the ROP (1, 1, 0.5 in ROI-JSCC)
DOMAINS = ("natural", "street")
MEANING = 1.0  # weight in the training of "street" of what a segmenter no longer sees


class RoiJscc(LatentCodec):
    """ROI coding in exactly rho n uses per picture, mask included; rho = m / 48 (shipped: 1/12).

    importance: a word such as "box:x0=0.25" (`semlink.codecs.importance`), an object with `maps`, or "none": uniform,
    without a mask. share: a 16x16 px cell is of interest when more than this share of its pixels is (0: any pixel).
    Streams: `latent`, with the importance of each symbol, and `mask`, of the same number of uses in every picture.
    A mask that is too ragged for its uses grows by closing until it fits. Where it is lost, the base planes are decoded
    as if there were no region. While the network trains, regions are random shapes.
    bandwidth: False leaves every place the mean rate and tells the network of no region; the mask still tells the link
    the importance of each symbol, for its power and placement.
    contrast: importance of a symbol in the region over that of one outside, for the link's power and placement.
    domain: the shipped weights; "natural" for photographs, or "street", tuned on one drive of CamVid so that the U-Net
    of `importance.segmentation` sees in the received frame what it saw in the sent one.
    """

    name = "roi_jscc"
    capabilities = {"importance": "box", "bandwidth": True}
    encodes_on = "snr"
    cell = PLACE

    def __init__(
        self,
        rho: float = 1 / 12,
        importance: str | Importance = "box",
        weights: str | Path | None = None,
        share: float = 0.0,
        domain: Literal["natural", "street"] = "natural",
        bandwidth: bool = True,
        contrast: float = 2.0,
    ) -> None:
        super().__init__(rho, weights, RoiNetwork, variant="")
        if domain not in DOMAINS:
            raise SemlinkError(f"unknown domain {domain!r}; known: {', '.join(DOMAINS)}")
        self.importance = find_importance(importance)
        self.share = share
        self.domain = domain
        self.bandwidth = bandwidth
        if contrast < 1:
            raise SemlinkError(f"contrast is {contrast:g}; the region must count at least as much as the rest, 1")
        self.contrast = contrast

    def shipped(self, domain: str) -> Path:
        """One file for all picture sizes."""
        return super().shipped(self.domain)

    def files(self) -> tuple[Path, ...]:
        """What its pictures depend on: the weights, and what the importance map reads."""
        return (*super().files(), *importance_files(self.importance))

    def uses(self, height: int, width: int) -> int:
        """Symbols of the latent; with `mask_uses` they are rho n."""
        return super().uses(height, width) - self.mask_uses(height, width)

    def mask_uses(self, height: int, width: int) -> int:
        """Channel uses of the mask, the same in every picture; 0 without importance."""
        return 0 if self.importance is None else mask_code.reserved(super().uses(height, width))

    def budget(self, height: int, width: int) -> Budget:
        """How the latent's symbols are shared between places."""
        symbols, (rows, columns) = self.uses(height, width), place_grid(height, width)
        return Budget(symbols, min(base_planes(self.planes), symbols // (rows * columns)), 2 * self.planes)

    def cells(self, images: Tensor) -> Tensor:
        """The mask that is sent, bool `[batch, rows, columns]` of cells; nothing is of interest without importance."""
        height, width = images.shape[-2:]
        if self.importance is None:
            return torch.zeros(len(images), *cell_grid(height, width), dtype=torch.bool)
        training = self.network(height, width).training
        importance = Shapes(others=self._trained_for()) if training else self.importance
        room = mask_code.room(self.mask_uses(height, width))
        cells = cells_of(importance.maps(images), self.share).cpu()
        return torch.stack([mask_code.fitted(mask, room) for mask in cells])

    def encode(self, images: Tensor, tx: TxInfo | None = None) -> Transmission:
        """Pictures `[batch, 3, H, W]` in [0, 1] to `latent`, mean power 1 per image, and `mask`."""
        height, width = images.shape[-2:]
        network, budget = self.network(height, width), self.budget(height, width)
        padded = pad_to_cells(images, self.cell)
        cells = self.cells(images)
        levels = spread(levels_of(cells), *place_grid(height, width), CELL // PLACE).to(images.device)
        told = levels if self.bandwidth else torch.zeros_like(levels)
        counts = budget.counts(told)
        order = budget.order(counts)
        snr_db = snr_per_image(tx, len(images)).to(images.device)
        inputs = padded, snr_db, map_planes(told, counts, budget.most)
        encode = self.tiled(network, network.encode, 0, (1, None, PLACE), PLACE)
        latent = in_parts(network.training, encode, *inputs, pixels=padded[0, 0].numel())
        symbols = Stream("latent", "analog", gather(latent, order))
        if self.importance is None:
            return Transmission((symbols,), Session(height, width))
        symbols = replace(
            symbols, importance=symbol_importance(levels, order, self.contrast), importance_told_by="mask"
        )
        return Transmission((symbols, mask_stream(cells, self.mask_uses(height, width))), Session(height, width))

    def decode(self, reception: Reception) -> Tensor:
        """Pictures `[batch, 3, H, W]`; clipped to [0, 1] unless the network is in training."""
        return self.decode_marked(reception)[0]

    def decode_marked(self, reception: Reception) -> tuple[Tensor, tuple[bool, ...]]:
        """Also of which pictures a mask arrived that is none; they are decoded as if it were lost."""
        height, width = reception.session.height, reception.session.width
        network, budget = self.network(height, width), self.budget(height, width)
        rows, columns = place_grid(height, width)
        stream = reception.stream("latent")
        x_hat, a = sound_symbols(stream)
        found, arrived = self.received_cells(reception)
        wrong = undecoded(payloads_of(reception, "mask"), arrived.tolist())
        cells, known = self.told(found.to(a.device), arrived.to(a.device))
        levels = spread(levels_of(cells), rows, columns, CELL // PLACE)
        counts = budget.counts(levels)
        order = budget.order(counts)
        used = known[:, None] | (torch.arange(budget.symbols, device=a.device) < budget.base * rows * columns)
        counts = torch.where(known[:, None, None], counts, budget.base)
        parts = [scatter(part * used, order, budget.most, rows, columns) for part in (x_hat.real, x_hat.imag, a)]
        quality = (a * used).sum(1) / used.sum(1).clamp_min(1)
        inputs = torch.cat(parts, 1), quality, map_planes(levels, counts, budget.most)
        decode = self.tiled(network, network.decode, 1, (PLACE, None, PLACE), 1)
        pictures = in_parts(network.training, decode, *inputs, pixels=rows * columns * PLACE**2)
        pictures = pictures[..., :height, :width]
        return (pictures if network.training else pictures.clamp(0, 1)), wrong

    def received_cells(self, reception: Reception) -> tuple[Tensor, Tensor]:
        """The masks that arrived, bool `[batch, rows, columns]` (none of interest where lost), and which did."""
        if self.importance is not None:
            return received_cells(reception)
        batch = len(cast(Tensor, reception.stream("latent").a))
        empty = torch.zeros(cell_grid(reception.session.height, reception.session.width), dtype=torch.bool)
        return empty.expand(batch, -1, -1), torch.ones(batch, dtype=torch.bool)

    def told(self, cells: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """What the network makes of masks and of which are known: nothing, and that of all, unless they steer it."""
        return (cells, known) if self.bandwidth else (torch.zeros_like(cells), torch.ones_like(known))

    def loss(self, received: Tensor, images: Tensor) -> Tensor:
        """Mean over images of log(MSE(all) + 2 MSE(ROI) + 0.25 MSE(ROP) + 1e-4), each MSE over its own region.

        For "street" plus what the segmenter no longer sees, `_regions.unet.misread`.
        """
        levels = spread(levels_of(self.cells(images)), images.shape[-2], images.shape[-1], CELL).to(images.device)
        error = (received - images).square().mean(1)
        regions = [torch.ones_like(levels), (levels == 1).float(), (levels == 0.5).float()]
        means = [(error * r).sum((1, 2)) / r.sum((1, 2)).clamp_min(1) for r in regions]
        loss = (sum(weight * mean for weight, mean in zip(WEIGHTS, means, strict=True)) + 1e-4).log().mean()
        return loss + MEANING * unet.misread(received, images) if self.domain == "street" else loss

    def _trained_for(self) -> Importance | None:
        """Regions that training meets besides random shapes."""
        return self.importance if self.domain == "street" else None


def base_planes(planes: int) -> int:
    """Planes that every place keeps: three quarters of the mean rate (eta = 1/4)."""
    return planes * 3 // 4


def map_planes(levels: Tensor, counts: Tensor, most: int) -> Tensor:
    """What the network is told at each place: level and share of the planes sent, float32 `[batch, 2, h, w]`."""
    return torch.stack([levels, counts / most], 1)


def symbol_importance(levels: Tensor, order: Tensor, contrast: float) -> Tensor:
    """Importance of each symbol, float32 `[batch, k]`: 1, sqrt(contrast) or contrast by the level of its place."""
    return contrast ** levels.flatten(1).gather(1, order % levels[0].numel())


class RoiNetwork(RangedNetwork):
    """Encoder and decoder. planes: mean complex symbols per place (at most twice as many); others as in `adjscc`."""

    def __init__(self, planes: int = 4, width: int = 96, blocks: tuple[int, int] = (3, 4)) -> None:
        super().__init__()
        self.settings: dict[str, Any] = {"planes": planes, "width": width, "blocks": list(blocks)}
        self.most = 2 * planes
        self.encoder = MappedStack(PIXELS, 2 * self.most, width, blocks[0])
        self.decoder = MappedStack(3 * self.most, PIXELS, width, blocks[1])
        self.gain = _zero(nn.Conv2d(4, 1, 1))
        self.reach = PLACE * (2 * blocks[0] + 2), PLACE * (2 * blocks[1] + 2)

    def encode(self, images: Tensor, snr_db: Tensor, maps: Tensor) -> Tensor:
        """Pictures `[batch, 3, H, W]`, SNR in dB `[batch]`, maps `[batch, 2, h, w]` to `[batch, 2 most, h, w]`."""
        snr_db = self.snrs.told(snr_db)
        latent = self.encoder(F.pixel_unshuffle(2 * images - 1, PLACE), snr_db, maps)
        return latent * self.amplitude(maps, snr_db)

    def decode(self, received: Tensor, quality: Tensor, maps: Tensor) -> Tensor:
        """Real parts, imaginary parts and `a`, `[batch, 3 most, h, w]`, and the mean `a` per image, to pictures."""
        snr_db, received = self.snrs.heard(forms.snr_db(quality, least=1e-4), received)
        z, a = received.split([2 * self.most, self.most], 1)
        z = z / self.amplitude(maps, snr_db)
        return F.pixel_shuffle(self.decoder(torch.cat([z, a], 1), snr_db, maps), PLACE) / 2 + 0.5

    def amplitude(self, maps: Tensor, snr_db: Tensor) -> Tensor:
        """What the map multiplies the latent by at each place, `[batch, 1, h, w]`, by the SNR."""
        return self.gain(torch.cat([maps, maps * steering(snr_db)[:, :, None, None]], 1)).exp()

    @torch.no_grad()
    def adopt(self, state: dict[str, Tensor]) -> None:
        """Start from weights of this network, of any rate, or of an `adjscc`, whose planes come first."""
        own = self.state_dict()
        for key, value in state.items():
            if own[key].shape == value.shape:
                own[key].copy_(value)
                continue
            axis, parts = (0, 2) if key.startswith("encoder") else (1, 3)
            theirs = value.shape[axis] // parts
            first = torch.arange(min(theirs, self.most))
            to, out_of = (torch.cat([first + part * size for part in range(parts)]) for size in (self.most, theirs))
            own[key].mul_(0.3).index_copy_(axis, to, value.to(own[key]).index_select(axis, out_of))


class MappedStack(nn.Module):
    """`adjscc`'s modulated stack with the importance map as a second condition; without a map it is the same."""

    def __init__(self, inputs: int, outputs: int, width: int, blocks: int) -> None:
        super().__init__()
        self.condition = nn.Sequential(nn.Linear(1, CONDITION), nn.SiLU(), nn.Linear(CONDITION, CONDITION), nn.SiLU())
        self.first = nn.Conv2d(inputs, width, 3, padding=1)
        self.linear = nn.Conv2d(inputs, outputs, 1)
        self.blocks = nn.ModuleList(MappedBlock(width) for _ in range(blocks))
        self.last = nn.Conv2d(width, outputs, 3, padding=1)
        self.embed = _zero(nn.Conv2d(2, width, 3, padding=1))

    def forward(self, x: Tensor, snr_db: Tensor, maps: Tensor) -> Tensor:
        condition = self.condition(steering(snr_db))
        h = self.first(x) + self.embed(maps)
        for block in self.blocks:
            h = block(h, condition, maps)
        return self.last(h) + self.linear(x)


class MappedBlock(nn.Module):
    """x + conv(silu(scale * conv(x) + shift)); scale and shift come from the SNR and from the map at each place."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.modulation = _zero(nn.Linear(CONDITION, 2 * width))
        self.map = _zero(nn.Conv2d(2, 2 * width, 1))
        self.last = _zero(nn.Conv2d(width, width, 3, padding=1))

    def forward(self, x: Tensor, condition: Tensor, maps: Tensor) -> Tensor:
        scale, shift = (self.modulation(condition)[:, :, None, None] + self.map(maps)).chunk(2, 1)
        return x + self.last(F.silu(self.first(x) * (1 + scale) + shift))


def _zero(layer: nn.Module) -> nn.Module:
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


PLUGIN = RoiJscc
