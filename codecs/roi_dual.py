"""Two codecs, one for the region of interest at a high rate and one for the rest at a low rate, after Wu et al. 2024.

Wu et al., "Semantic segmentation-based semantic communication system for image transmission", Digital Communications
and Networks 10 (2024). SC2 encodes m x, SC1 encodes (1 - m) x, black elsewhere; only latent vectors of cells within
their own region are sent, a COO list whose order the mask implies; the receiver fills the others with a learned vector
and shows m SC2 + (1 - m) SC1. Ours: both codecs are `adjscc` networks trained with noise, and the budget is fixed.
For comparison the mode "threshold" sends what differs from the response to black, wherever it is (`threshold`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semlink.codecs._learned.codec import PIXELS_AT_ONCE, LatentCodec, in_parts, pad_to_cells, snr_per_image
from semlink.codecs._learned.modulated import AdaptiveNetwork
from semlink.codecs._learned.received import any_of, payloads_of, sound_symbols, undecoded
from semlink.codecs._learned.shipped import WEIGHTS
from semlink.codecs._learned.trained import range_of, set_range
from semlink.codecs._learned.weights import read_weights, rebuilt
from semlink.codecs._regions import mask_code, threshold
from semlink.codecs._regions.cells import (
    CELL,
    PLACE,
    Importance,
    cells_of,
    find_importance,
    gather_with_power,
    importance_files,
    mask_stream,
    place_grid,
    received_cells,
    spread,
)
from semlink.codecs._regions.shapes import Shapes
from semlink.simulator import forms
from semlink.simulator.errors import SemlinkError
from semlink.simulator.values import Reception, Session, Stream, Transmission, TxInfo

THETA = 0.8  # weight of the region's error in training, as in theta-PSNR
SELECT = ("cells", "threshold")


class RoiDual(LatentCodec):
    """Region at 1/6, rest at 1/24 (the shipped weights), in exactly rho n uses per picture, mask included.

    importance: a word such as "box:x0=0.25" (`semlink.codecs.importance`) or an object with `maps`. share: a 16x16 px
    cell is of interest when more than this share of its pixels is (0: any pixel).
    Streams: `latent`, vectors of the region and then of the rest, each in raster order, and `mask`. Symbols that are
    left over send the list again from its start, and the receiver adds what it gets twice. A region too large for the
    budget shrinks to its inner cells. Where the mask is lost nothing has a place: all cells are filled. While the
    network trains, regions are random shapes.
    select: "cells", or "threshold": single elements of both latents, whose positions are a third stream, `positions`,
    of the same number of uses in every picture. The others get the response to black, as if it had arrived as well as
    what was sent; where positions are lost, all are filled as above.
    """

    name = "roi_dual"
    capabilities = {"importance": "box"}
    encodes_on = "snr"
    cell = PLACE

    def __init__(
        self,
        rho: float = 1 / 12,
        importance: str | Importance = "box",
        weights: str | Path | None = None,
        share: float = 0.0,
        select: Literal["cells", "threshold"] = "cells",
    ) -> None:
        super().__init__(rho, weights, DualNetwork, variant="")
        if select not in SELECT:
            raise SemlinkError(f"unknown select {select!r}; known: {', '.join(SELECT)}")
        self.importance = find_importance(importance)
        if self.importance is None:
            raise SemlinkError("roi_dual needs a region; without one use adjscc")
        self.share = share
        self.select = select

    def shipped(self, domain: str) -> Path:
        """One file for all picture sizes and budgets."""
        return WEIGHTS / "roi_dual-natural.safetensors"

    def files(self) -> tuple[Path, ...]:
        """What its pictures depend on: the weights, and what the importance map reads."""
        return (*super().files(), *importance_files(self.importance))

    def load(self, path: Path) -> nn.Module:
        """As for all codecs; the networks' own rates are theirs, whatever the budget."""
        state, settings = read_weights(path)
        network = rebuilt(self._build, settings, state, path)
        set_range(network, range_of(path))
        return network

    def new_network(self) -> nn.Module:
        """A network with random weights, for training."""
        return self._build()

    def uses(self, height: int, width: int) -> int:
        """Symbols of the latent; with `mask_uses` and `position_uses` they are rho n."""
        return super().uses(height, width) - self.mask_uses(height, width) - self.position_uses(height, width)

    def mask_uses(self, height: int, width: int) -> int:
        """Channel uses of the mask, the same in every picture."""
        return mask_code.reserved(super().uses(height, width))

    def position_uses(self, height: int, width: int) -> int:
        """Channel uses of the positions, the same in every picture; 0 where the mask implies them."""
        return threshold.reserved(super().uses(height, width)) if self.select == "threshold" else 0

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
            side = self.mask_uses(height, width) + self.position_uses(height, width)
            raise SemlinkError(
                f"rho {self.rho:g} less {side} uses for mask and positions is below what the low rate needs "
                f"in a picture of {width}x{height}; choose a higher rho"
            )
        return spare // ((high - low) * (CELL // PLACE) ** 2)

    def encode(self, images: Tensor, tx: TxInfo | None = None) -> Transmission:
        """Pictures `[batch, 3, H, W]` in [0, 1] to `latent`, mean power 1 per image, `mask` and perhaps `positions`."""
        height, width = images.shape[-2:]
        network = self.network(height, width)
        padded = pad_to_cells(images, self.cell)
        cells = self.cells(images)
        region = spread(cells, *place_grid(height, width), CELL // PLACE).to(images.device)
        snr_db = snr_per_image(tx, len(images)).to(images.device)
        by_value = self.select == "threshold"
        pixels = PIXELS_AT_ONCE if by_value else padded[0, 0].numel()  # alone, or others would change the last digits
        encode = self.tiled(network, network.encode, 0, (1, None, PLACE), PLACE)
        latent = in_parts(network.training, encode, padded, snr_db, region, pixels=pixels)
        uses, position_uses = self.uses(height, width), self.position_uses(height, width)
        if by_value:
            sent = threshold.kept(latent, network.black(snr_db), network.rates, uses, position_uses)
        else:
            sent = in_cells(region, network.rates)
        order = sent_order(sent, network.rates, uses)
        symbols, power = gather_with_power(latent, order)
        importance = torch.where(order < network.rates[0] * region[0].numel(), 4.0, 1.0)
        told_by = "mask" if self.select == "cells" else ""
        main = Stream("latent", "analog", symbols, importance, importance_told_by=told_by)
        streams = [main, mask_stream(cells, self.mask_uses(height, width))]
        if by_value:
            streams.append(threshold.positions_stream(sent, snr_db, power, position_uses))
        return Transmission(tuple(streams), Session(height, width))

    def decode(self, reception: Reception) -> Tensor:
        """Pictures `[batch, 3, H, W]`; clipped to [0, 1] unless the network is in training."""
        return self.decode_marked(reception)[0]

    def decode_marked(self, reception: Reception) -> tuple[Tensor, tuple[bool, ...]]:
        """Also of which pictures a mask or positions arrived that are none; they are decoded as if these were lost."""
        height, width = reception.session.height, reception.session.width
        network = self.network(height, width)
        inputs, wrong = self._received(reception, network)
        told = network.told(inputs[0], inputs[2])
        decode = self.tiled(network, network.decode, 1, (PLACE, PLACE, PLACE, None), 1)
        pictures = in_parts(network.training, decode, *inputs, told, pixels=height * width)[..., :height, :width]
        return (pictures if network.training else pictures.clamp(0, 1)), wrong

    def _received(
        self, reception: Reception, network: DualNetwork
    ) -> tuple[tuple[Tensor, Tensor, Tensor], tuple[bool, ...]]:
        """What the network decodes: latents, region, and the places with vectors of each codec. And what was wrong."""
        height, width = reception.session.height, reception.session.width
        rows, columns = place_grid(height, width)
        stream = reception.stream("latent")
        x_hat, a = sound_symbols(stream)
        cells, known = (part.to(a.device) for part in received_cells(reception))
        wrong = undecoded(payloads_of(reception, "mask"), known.tolist())
        region = spread(cells, rows, columns, CELL // PLACE)
        sent, whole = in_cells(region, network.rates), torch.stack([region, ~region], 1)
        if self.select == "threshold":
            sent, snr_db, power, listed = (
                part.to(a.device) for part in threshold.received_positions(reception, sent.shape[1])
            )
            wrong = any_of(wrong, undecoded(payloads_of(reception, "positions"), listed.tolist()))
            known, whole = known & listed, torch.ones_like(whole)
        order, a = sent_order(sent, network.rates, self.uses(height, width)), a * known[:, None]
        received = combined(x_hat, a, order, sent.shape[1]).reshape(len(a), -1, rows, columns)
        if self.select == "threshold":
            received = threshold.filled(received, order, network.black(snr_db) / power.sqrt()[:, None, None, None], a)
        return (received, region, whole), wrong

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


def in_cells(region: Tensor, rates: tuple[int, int]) -> Tensor:
    """Elements of both codecs within their own regions, bool `[batch, elements]`; region: bool `[batch, h, w]`."""
    return torch.cat(
        [part.flatten(1).repeat_interleave(r, 1) for part, r in zip((region, ~region), rates, strict=True)], 1
    )


def sent_order(sent: Tensor, rates: tuple[int, int], symbols: int) -> Tensor:
    """What is sent, int64 `[batch, symbols]`: places in the latent planes of both codecs, flattened, high rate first.

    sent: bool `[batch, elements]`, the region's vectors place by place in raster order, then the rest's; some in each
    picture. They are sent in this order, then from the start again; what is too much for `symbols` is left out.
    """
    index = threshold.listed(torch.arange(sent.shape[1], device=sent.device).reshape(sum(rates), -1), rates)
    turns = torch.arange(symbols, device=sent.device)
    return torch.stack([index[chosen][turns % int(chosen.sum())] for chosen in sent])


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
        self.settings: dict[str, Any] = {"rates": list(rates), "width": width, "blocks": list(blocks)}
        self.rates = rates[0], rates[1]
        self.region, self.rest = (AdaptiveNetwork(rate, width, blocks) for rate in rates)
        self.reach = self.region.reach
        self.fill = nn.ParameterList(nn.Parameter(torch.zeros(2 * rate, 1, 1)) for rate in rates)

    def encode(self, images: Tensor, snr_db: Tensor, region: Tensor) -> Tensor:
        """Pictures, SNR in dB `[batch]`, region bool `[batch, h, w]` to a latent `[batch, 2 (r0 + r1), h, w]`."""
        inside = F.interpolate(region[:, None].float(), scale_factor=PLACE)
        high = self.region.encode(images * inside, snr_db)
        low = self.rest.encode(images * (1 - inside), snr_db)
        return torch.cat([part for pair in zip(high.chunk(2, 1), low.chunk(2, 1), strict=True) for part in pair], 1)

    @torch.no_grad()
    def black(self, snr_db: Tensor) -> Tensor:
        """The latent of black far from any border at each SNR in dB `[batch]`, `[batch, 2 (r0 + r1), 1, 1]`."""
        reach = 2 * self.settings["blocks"][0] + 2  # of the encoders' 3x3 convolutions
        picture = snr_db.new_zeros(1, 3, *[PLACE * (2 * reach + 1)] * 2)
        region = F.avg_pool2d(picture[:, 0], PLACE) > 0
        levels, which = snr_db.unique(return_inverse=True)
        latents = torch.cat([self.encode(picture, level[None], region) for level in levels])
        return latents[which, :, reach : reach + 1, reach : reach + 1]

    def told(self, received: Tensor, whole: Tensor) -> Tensor:
        """Mean `a` of the places of each of the two codecs, `[batch, 2]`."""
        parts = received.split([*self.rates] * 3, 1)[4:]
        chosen = whole.split(1, 1)
        return torch.stack([mean_reliability(a, own) for a, own in zip(parts, chosen, strict=True)], 1)

    def decode(self, received: Tensor, region: Tensor, whole: Tensor, told: Tensor) -> Tensor:
        """Pictures from real parts, imaginary parts and `a`, `[batch, 3 (r0 + r1), h, w]`, and the region.

        whole: bool `[batch, 2, h, w]`, the places where each of the two codecs has a vector. told: of all of them.
        """
        inside = F.interpolate(region[:, None].float(), scale_factor=PLACE)
        parts = received.split([*self.rates] * 3, 1)
        high, low = (
            shown(network, self.fill[i], torch.cat(parts[i:4:2], 1), parts[4 + i], whole[:, i : i + 1], told[:, i])
            for i, network in enumerate((self.region, self.rest))
        )
        return inside * high + (1 - inside) * low


def mean_reliability(a: Tensor, chosen: Tensor) -> Tensor:
    """Mean of `a` `[batch, planes, h, w]` over chosen places, bool `[batch, 1, h, w]`; 0 where there are none."""
    return (a * chosen).sum((1, 2, 3)) / (a.shape[1] * chosen.sum((1, 2, 3))).clamp_min(1)


def shown(network: AdaptiveNetwork, fill: Tensor, z: Tensor, a: Tensor, chosen: Tensor, mean: Tensor) -> Tensor:
    """A network's picture from what its own places, bool `[batch, 1, h, w]`, received; the others are filled."""
    arrived = chosen & (a > 0).any(1, keepdim=True)
    snr_db, z, a = network.snrs.heard(forms.snr_db(mean, least=1e-4), z, a)
    latent = torch.cat([torch.where(arrived, z, fill), a * arrived], 1)
    return F.pixel_shuffle(network.decoder(latent, snr_db), PLACE) / 2 + 0.5


PLUGIN = RoiDual
