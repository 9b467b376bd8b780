"""Two codecs, one for the region of interest at a high rate and one for the rest at a low rate, after Wu et al. 2024.

Wu et al., "Semantic segmentation-based semantic communication system for image transmission", Digital Communications
and Networks 10 (2024). SC2 encodes m x, SC1 encodes (1 - m) x, black elsewhere; only latent vectors of cells within
their own region are sent, a COO list whose order the mask implies; the receiver fills the others with a learned vector
and shows m SC2 + (1 - m) SC1. Ours: both codecs are `adjscc` networks trained with noise, and the budget is fixed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semlink.codecs import _mask_code as mask_code
from semlink.codecs._neural import LatentCodec, _in_parts, fit_weights, pad_to_cells, read_weights, snr_per_image
from semlink.codecs._roi import (
    CELL,
    PLACE,
    Importance,
    cell_grid,
    cells_of,
    find_importance,
    gather,
    place_grid,
    spread,
)
from semlink.codecs._shapes import Shapes
from semlink.codecs.adjscc import AdaptiveNetwork
from semlink.simulator.errors import SemlinkError
from semlink.simulator.values import Reception, Session, Stream, Transmission, TxInfo

THETA = 0.8  # weight of the region's error in training, as in theta-PSNR


class RoiDual(LatentCodec):
    """Region at 1/6, rest at 1/24 (the shipped weights), in exactly rho n uses per picture, mask included.

    importance: a word such as "box:x0=0.25" (`semlink.codecs.importance`) or an object with `maps`. share: a 16x16 px
    cell is of interest when more than this share of its pixels is (0: any pixel).
    Streams: `latent`, vectors of the region and then of the rest, each in raster order, and `mask`. Symbols that are
    left over send the list again from its start, and the receiver adds what it gets twice. A region too large for the
    budget shrinks to its inner cells. Where the mask is lost nothing has a place: all cells are filled. While the
    network trains, regions are random shapes.
    """

    name = "roi_dual"
    encodes_on = "snr"
    cell = PLACE

    def __init__(
        self,
        rho: float = 1 / 12,
        importance: str | Importance = "box",
        weights: str | Path | None = None,
        share: float = 0.0,
    ) -> None:
        super().__init__(rho, weights, DualNetwork, variant="")
        self.importance = find_importance(importance)
        if self.importance is None:
            raise SemlinkError("roi_dual needs a region; without one use adjscc")
        self.share = share

    def shipped(self, domain: str) -> Path:
        """One file for all picture sizes and budgets."""
        return Path(__file__).parent / "weights" / "roi_dual-natural.safetensors"

    def load(self, path: Path) -> nn.Module:
        """As for all codecs; the networks' own rates are theirs, whatever the budget."""
        state, settings = read_weights(path)
        network = self._build(**settings)
        fit_weights(network, state, path)
        return network.eval()

    def new_network(self) -> nn.Module:
        """A network with random weights, for training."""
        return self._build()

    def uses(self, height: int, width: int) -> int:
        """Symbols of the latent; with `mask_uses` they are rho n."""
        return super().uses(height, width) - self.mask_uses(height, width)

    def mask_uses(self, height: int, width: int) -> int:
        """Channel uses of the mask, the same in every picture."""
        return mask_code.reserved(super().uses(height, width))

    def cells(self, images: Tensor) -> Tensor:
        """The mask that is sent, bool `[batch, rows, columns]` of cells."""
        height, width = images.shape[-2:]
        network = self.network(height, width)
        importance = Shapes() if network.training else cast(Importance, self.importance)
        most = self.largest_region(height, width)
        room = mask_code.room(self.mask_uses(height, width))
        cells = cells_of(importance.maps(images), self.share).cpu()
        return torch.stack([shrunk(mask, most, room) for mask in cells])

    def largest_region(self, height: int, width: int) -> int:
        """Cells of the region that the budget admits. SemlinkError when not even the low rate fits."""
        rows, columns = place_grid(height, width)
        high, low = self.network(height, width).rates
        spare = self.uses(height, width) - low * rows * columns
        if spare < 0:
            raise SemlinkError(
                f"rho {self.rho:g} with a mask of {self.mask_uses(height, width)} uses is less than the low rate needs "
                f"in a picture of {width}x{height}; choose a higher rho"
            )
        return spare // ((high - low) * (CELL // PLACE) ** 2)

    def encode(self, images: Tensor, tx: TxInfo | None = None) -> Transmission:
        """Pictures `[batch, 3, H, W]` in [0, 1] to `latent`, mean power 1 per image, and `mask`."""
        height, width = images.shape[-2:]
        network = self.network(height, width)
        padded = pad_to_cells(images, self.cell)
        cells = self.cells(images)
        region = spread(cells, *place_grid(height, width), CELL // PLACE).to(images.device)
        snr_db = snr_per_image(tx, len(images)).to(images.device)
        latent = _in_parts(network.training, network.encode, padded, snr_db, region, pixels=padded[0, 0].numel())
        order = sent_order(region, network.rates, self.uses(height, width))
        importance = torch.where(order < network.rates[0] * region[0].numel(), 4.0, 1.0)
        symbols = Stream("latent", "analog", gather(latent, order), importance)
        payload = [mask_code.pack(mask) for mask in cells]
        mask = Stream("mask", "bits", payload, protection="robust", uses=self.mask_uses(height, width))
        return Transmission((symbols, mask), Session(height, width))

    def decode(self, reception: Reception) -> Tensor:
        """Pictures `[batch, 3, H, W]`; clipped to [0, 1] unless the network is in training."""
        height, width = reception.session.height, reception.session.width
        network = self.network(height, width)
        rows, columns = place_grid(height, width)
        stream = reception.stream("latent")
        x_hat, a = cast(Tensor, stream.x_hat), cast(Tensor, stream.a)
        masks = [mask_code.unpack(p, *cell_grid(height, width)) for p in cast(Any, reception.stream("mask").payload)]
        known = torch.tensor([mask is not None for mask in masks], device=a.device)
        empty = torch.zeros(cell_grid(height, width), dtype=torch.bool)
        cells = torch.stack([empty if mask is None else mask for mask in masks]).to(a.device)
        region = spread(cells, rows, columns, CELL // PLACE)
        order = sent_order(region, network.rates, self.uses(height, width))
        received = combined(x_hat, a * known[:, None], order, sum(network.rates) * rows * columns)
        inputs = received.reshape(len(a), -1, rows, columns), region
        pictures = _in_parts(network.training, network.decode, *inputs, pixels=rows * columns * PLACE**2)
        pictures = pictures[..., :height, :width]
        return pictures if network.training else pictures.clamp(0, 1)

    def loss(self, received: Tensor, images: Tensor) -> Tensor:
        """Mean over images of log(theta MSE(region) + (1 - theta) MSE(rest) + 1e-4), without empty ones."""
        region = spread(self.cells(images), images.shape[-2], images.shape[-1], CELL).to(images.device).float()
        error = (received - images).square().mean(1)
        parts = torch.stack([region, 1 - region])
        weight = torch.tensor([THETA, 1 - THETA], device=error.device)[:, None] * (parts.sum((2, 3)) > 0)
        means = (error * parts).sum((2, 3)) / parts.sum((2, 3)).clamp_min(1)
        return ((weight * means).sum(0) / weight.sum(0) + 1e-4).log().mean()


def shrunk(mask: Tensor, most: int, room: int) -> Tensor:
    """The mask, or its inner cells: at most `most` of them, packed into at most `room` bytes."""
    wanted = min(most, int(mask.sum()))
    depth = mask[None].double()
    for _ in range(max(mask.shape)):
        depth = F.avg_pool2d(depth, 3, 1, 1)
    inner = torch.where(mask, depth[0], -1.0).flatten().argsort(descending=True, stable=True)
    while True:
        chosen = torch.zeros(mask.numel(), dtype=torch.bool)
        chosen[inner[:wanted]] = True
        fitted = mask_code.fitted(chosen.reshape(mask.shape), room)
        if int(fitted.sum()) <= most:
            return fitted
        wanted = wanted * 3 // 4


def sent_order(region: Tensor, rates: tuple[int, int], symbols: int) -> Tensor:
    """What is sent, int64 `[batch, symbols]`: places in the latent planes of both codecs, flattened, high rate first.

    region: bool `[batch, h, w]`. Vectors of the region, then of the rest, each in raster order; then from the start
    again; what is too much for `symbols` is left out.
    """
    places = region[0].numel()
    index = torch.arange(sum(rates) * places, device=region.device).reshape(-1, places).T
    orders = []
    for inside in region.flatten(1):
        listed = torch.cat([index[inside, : rates[0]].flatten(), index[~inside, rates[0] :].flatten()])
        orders.append(listed[torch.arange(symbols, device=region.device) % len(listed)])
    return torch.stack(orders)


def combined(x_hat: Tensor, a: Tensor, order: Tensor, places: int) -> Tensor:
    """Real and imaginary parts and `a` of each place, `[batch, 3 places]`: copies add up by SINR; 0 where none."""
    sinr = a / (1 - a).clamp_min(1e-6)
    weighted = x_hat / (1 - a).clamp_min(1e-6)  # sinr x_hat / a
    sums = [a.new_zeros(len(a), places).scatter_add(1, order, part) for part in (weighted.real, weighted.imag, sinr)]
    total = 1 / (1 + sums[2])
    return torch.cat([part * total for part in sums], 1)


class DualNetwork(nn.Module):
    """Two `adjscc` networks and the vectors that fill what neither sent. rates: symbols per place, region and rest."""

    def __init__(self, rates: tuple[int, int] = (8, 2), width: int = 96, blocks: tuple[int, int] = (3, 4)) -> None:
        super().__init__()
        self.settings = {"rates": list(rates), "width": width, "blocks": list(blocks)}
        self.rates = rates[0], rates[1]
        self.region, self.rest = (AdaptiveNetwork(rate, width, blocks) for rate in rates)
        self.fill = nn.ParameterList(nn.Parameter(torch.zeros(2 * rate, 1, 1)) for rate in rates)

    def encode(self, images: Tensor, snr_db: Tensor, region: Tensor) -> Tensor:
        """Pictures, SNR in dB `[batch]`, region bool `[batch, h, w]` to a latent `[batch, 2 (r0 + r1), h, w]`."""
        inside = F.interpolate(region[:, None].float(), scale_factor=PLACE)
        high = self.region.encode(images * inside, snr_db)
        low = self.rest.encode(images * (1 - inside), snr_db)
        return torch.cat([part for pair in zip(high.chunk(2, 1), low.chunk(2, 1), strict=True) for part in pair], 1)

    def decode(self, received: Tensor, region: Tensor) -> Tensor:
        """Real parts, imaginary parts and `a`, `[batch, 3 (r0 + r1), h, w]`, and the region to pictures."""
        inside = F.interpolate(region[:, None].float(), scale_factor=PLACE)
        parts = received.split([*self.rates] * 3, 1)
        high, low = (
            shown(network, fill, torch.cat(parts[i:4:2], 1), parts[4 + i], chosen[:, None])
            for i, (network, fill, chosen) in enumerate(
                [(self.region, self.fill[0], region), (self.rest, self.fill[1], ~region)]
            )
        )
        return inside * high + (1 - inside) * low


def shown(network: AdaptiveNetwork, fill: Tensor, z: Tensor, a: Tensor, chosen: Tensor) -> Tensor:
    """A network's picture from what its own places, bool `[batch, 1, h, w]`, received; the others are filled."""
    arrived = chosen & (a > 0).any(1, keepdim=True)
    mean = (a * arrived).sum((1, 2, 3)) / (a.shape[1] * chosen.sum((1, 2, 3))).clamp_min(1)
    mean = mean.clamp(1e-4, 1 - 1e-4)
    snr_db = 10 * torch.log10(mean / (1 - mean))
    latent = torch.cat([torch.where(arrived, z, fill), a * arrived], 1)
    return F.pixel_shuffle(network.decoder(latent, snr_db), PLACE) / 2 + 0.5


PLUGIN = RoiDual
