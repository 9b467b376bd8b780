"""SPIC over a link: a class map without loss and a coarse picture, each in code blocks of its own, then diffusion.

Pezone, Musa, Caire and Barbarossa, "Semantic-preserving image coding based on conditional diffusion models", arXiv
2310.15737, which has no channel. What the receiver shows follows from what arrived: both, the coarse picture alone (the
network's branch without a map), the map alone (a picture made from noise), or grey.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, cast

import torch
from torch import Tensor

from semlink.codecs._diffusion import loading
from semlink.codecs._learned.budget import budget
from semlink.codecs._learned.received import payloads_of
from semlink.codecs._learned.shipped import WEIGHTS, local
from semlink.codecs._learned.trained import card_of
from semlink.codecs._learned.weights import no_weights
from semlink.codecs._regions.cells import find_importance, importance_files
from semlink.codecs._sources.coders import coder as source_coder
from semlink.codecs.spic import coarse, receiver, upscalers
from semlink.codecs.spic.coarse import Coarse
from semlink.codecs.spic.map_coders import map_coder
from semlink.codecs.spic.map_stream import AUTO, Groups, MapFormat, map_format
from semlink.codecs.spic.pipeline import GUIDANCE, STEPS
from semlink.codecs.spic.sharing import AIMS, QUALITY, Allowed, Sharing, shared
from semlink.simulator.bits.framing import HEADER_SYMBOLS, blocks_for
from semlink.simulator.bits.mcs import PROTECTION, TABLE, get
from semlink.simulator.bits.success import BLER
from semlink.simulator.errors import SemlinkError
from semlink.simulator.files import is_here
from semlink.simulator.reprs import ShownSettings
from semlink.simulator.values import Reception, Session, Stream, Transmission, TxInfo

SHIPPED = WEIGHTS / "spic-street.safetensors"
PROTECTED = {"map": "robust", "coarse": "normal"}  # of the paper's mode, where no scheme is given


class Spic(ShownSettings):
    """A map and a coarse picture in exactly floor(rho n) channel uses, or, in the paper's mode, of a fixed kind.

    coder: of the coarse picture, such as "hevc", "avif", "webp" or "jpeg". map_coder: "jpegxl", "webp", "png", or
    "flif" where that program is on the PATH. factor: by which the sides of the coarse picture are smaller, 2, 3, 4, 6,
    8 or 12; None: what fits best. quality: of its coder; with that and a factor the streams take what they need, up to
    floor(rho n). cell: side in px of the map's cells, 1, 2, 4 or 8; None: the finest that fits. merged: "auto" merges
    classes of a street where they do not fit, "none" never, and "car/bicyclist;road/pavement" always.
    send_map: whether a map is sent at all. map_mcs, coarse_mcs: always these schemes instead of those that the link's
    statistics advise. aim: what the sharing is chosen for, "both", "miou" or "lpips". segmenter: word of what makes the
    map, with semicolons within. steps: of the diffusion, 0 for none.
    upscaler: of the coarse picture without diffusion, "bicubic", or "realesrgan" where its packages are.
    scale: of the guidance by the map. weights: a file of experiments/train_spic.py or a folder of the pipeline.
    scheduler: "ddim", "dpm" or "lcm". device: of the diffusion.
    """

    name = "spic"
    encodes_on = "link"
    capabilities = {"steps": STEPS}

    def __init__(
        self,
        rho: float = 1 / 48,
        coder: str = "hevc",
        map_coder: Literal["jpegxl", "webp", "png", "flif"] = "jpegxl",
        factor: int | None = None,
        quality: int | None = None,
        cell: int | None = None,
        merged: str | None = AUTO,
        send_map: bool = True,
        map_mcs: str | None = None,
        coarse_mcs: str | None = None,
        aim: Literal["both", "miou", "lpips"] = "both",
        segmenter: str = "segmentation",
        steps: int = STEPS,
        scale: float = GUIDANCE,
        weights: str | Path | None = None,
        scheduler: Literal["ddim", "dpm", "lcm"] | None = None,
        device: str = "cpu",
        upscaler: Literal["bicubic", "realesrgan"] = "bicubic",
    ) -> None:
        check(rho, factor, quality, steps, scale, aim)
        loading.check_settings(scheduler, "float32", device, None)
        self.rho, self.steps, self.scale, self.scheduler, self.device = rho, steps, scale, scheduler, device
        self.upscaler = upscaler
        upscalers.upscaler(upscaler)
        self.coder, self.factor, self.quality = source_coder(coder), factor, quality
        self._coders = {"map": map_coder, "coarse": coder}
        self._map_settings = merged or "none", cell
        self.send_map, self.aim = send_map, aim
        self.mcs = {"map": map_mcs, "coarse": coarse_mcs}
        only = {name: (get(own),) if own else TABLE for name, own in self.mcs.items()}
        drawn = steps > 0 and factor is None  # nothing else shows a map, and a factor asks for a coarse picture
        self.allowed = Allowed(send_map, only["map"], only["coarse"], aim, map_alone=drawn)
        self.segmenter = find_segmenter(segmenter)
        self.weights = Path(weights or SHIPPED).expanduser()
        self._format()

    @property
    def coders(self) -> dict[str, str]:
        """Name of the coder of each stream."""
        return {name: own for name, own in self._coders.items() if name != "map" or self.send_map}

    @property
    def fixed(self) -> bool:
        """Whether this is the paper's mode."""
        return self.factor is not None and self.quality is not None

    def uses(self, height: int, width: int) -> int:
        """Channel uses per picture, at most so many in the paper's mode."""
        return budget(self.rho, height, width)

    def files(self) -> tuple[Path, ...]:
        """What its pictures depend on: the network and its card, the segmenter, and what the sharing is chosen by."""
        tables = () if self.fixed else (QUALITY, BLER)
        return (*local(self.weights, card_of(self.weights), *tables), *importance_files(self.segmenter))

    def check(self, height: int, width: int) -> None:
        """SemlinkError when there are no weights; loads nothing."""
        if not is_here(self.weights):
            raise SemlinkError(no_weights(self.weights).replace("train.py", "train_spic.py"))

    @property
    def pipeline(self) -> Any:
        """The receiver. SemlinkError when its network knows another number of classes than the segmenter."""
        made = receiver.pipeline_of(str(self.weights), self.scheduler, self.device)
        if made.unet.config.classes != len(self.segmenter.names):
            own, named = made.unet.config.classes, len(self.segmenter.names)
            raise SemlinkError(f"{self.weights}: trained for {own} classes, the segmenter names {named}; train another")
        return made

    def encode(self, images: Tensor, tx: TxInfo | None = None) -> Transmission:
        """Pictures `[batch, 3, H, W]` in [0, 1] to the streams `map` and `coarse`, or one of them alone."""
        height, width = images.shape[-2:]
        session = Session(height, width)
        if self.fixed:
            return Transmission(self._of_fixed_kind(images), session)
        sharing = shared(tx, self.uses(height, width), height * width, self.allowed)
        return Transmission(self._filling(images, sharing), session)

    def _filling(self, images: Tensor, sharing: Sharing) -> tuple[Stream, ...]:
        map_room, coarse_room = sharing.rooms
        streams = []
        if sharing.map_uses:
            maps = [self._format().encode(labels, map_room) for labels in self.labels(images)]
            streams.append(Stream("map", "bits", maps, mcs=sharing.map_mcs.name, uses=sharing.map_uses))
        if sharing.coarse_uses:
            pictures = [coarse.fitted(self.coder, image, coarse_room, self.factor) for image in images]
            streams.append(Stream("coarse", "bits", pictures, mcs=sharing.coarse_mcs.name, uses=sharing.coarse_uses))
        return tuple(streams)

    def _of_fixed_kind(self, images: Tensor) -> tuple[Stream, ...]:
        """The streams of the paper's mode. SemlinkError for one that needs more than floor(rho n)."""
        factor, quality = cast(int, self.factor), cast(int, self.quality)
        payloads = {"coarse": [coarse.coded(self.coder, image, factor, quality) for image in images]}
        if self.send_map:
            room = budget(1, *images.shape[-2:])
            payloads = {"map": [self._format().encode(labels, room) for labels in self.labels(images)], **payloads}
        schemes = {name: self.mcs[name] or PROTECTION[PROTECTED[name]] for name in payloads}
        most = self.uses(*images.shape[-2:])
        for parts in zip(*payloads.values(), strict=True):
            sizes = dict(zip(payloads, map(len, parts), strict=True))
            needed = sum(HEADER_SYMBOLS + sum(blocks_for(sizes[name], get(schemes[name]))) for name in sizes)
            if needed > most:
                raise SemlinkError(
                    f"spic: factor {factor} at quality {quality} takes {needed} channel uses, rho gives {most}; "
                    "raise rho, or leave one of them to what fits"
                )
        return tuple(Stream(name, "bits", own, mcs=schemes[name]) for name, own in payloads.items())

    def maps_of(self, picture: Tensor, rooms: Sequence[int]) -> list[bytes]:
        """The map of a picture `[3, H, W]` as a payload of at most so many bytes, for each of them."""
        labels = self.labels(picture[None])[0]
        return [self._format().encode(labels, room) for room in rooms]

    def labels(self, images: Tensor) -> Tensor:
        """What the segmenter names, uint8 `[batch, H, W]`."""
        return cast(Tensor, self.segmenter.labels(images)).to(torch.uint8).cpu()

    def _format(self) -> MapFormat:
        merged, cell = self._map_settings
        return map_format(self.segmenter.names, merged, cell, map_coder(self._coders["map"]))

    def decode(self, reception: Reception) -> Tensor:
        """Pictures float32 `[batch, 3, H, W]` in [0, 1], of what there is of each; grey where there is nothing."""
        return self.decode_marked(reception)[0]

    def decode_marked(self, reception: Reception) -> tuple[Tensor, tuple[bool, ...]]:
        """Also of which pictures a map or a coarse picture arrived that is none, or came empty and nothing else did."""
        size = reception.session.height, reception.session.width
        shown, marks = [], []
        for data in zip(*(payloads_of(reception, name) for name in ("map", "coarse")), strict=True):
            known, picture = self.read_map(data[0], size), self.read_coarse(data[1], size)
            shown.append(self._shown(known, picture, size, reception.public_seed))
            marks.append(is_undecoded(data, (known, picture)))
        return torch.stack(shown), tuple(marks)

    def _shown(
        self, known: tuple[Tensor, Groups] | None, picture: Coarse | None, size: tuple[int, int], seed: int
    ) -> Tensor:
        if not self.steps:
            grow = upscalers.upscaler(self.upscaler)
            return grow(picture.picture, *size) if picture else torch.full((3, *size), receiver.GREY)
        pipeline = self.pipeline if known or picture else None
        return receiver.shown(pipeline, known, picture, size, self.steps, self.scale, seed)

    def views(self, reception: Reception) -> dict[str, Tensor]:
        """What arrived of the first picture: `map`, first class of each group `[H, W]`, and `coarse picture`, grown,
        `[3, H, W]`."""
        size = reception.session.height, reception.session.width
        known = self.read_map(payloads_of(reception, "map")[0], size)
        picture = self.read_coarse(payloads_of(reception, "coarse")[0], size)
        found = {}
        if known:
            firsts = torch.tensor([*(group[0] for group in known[1]), len(self.segmenter.names)])
            found["map"] = firsts[known[0].long()]
        return found | ({"coarse picture": coarse.grow(picture.picture, *size)} if picture else {})

    def read_map(self, data: bytes | None, size: tuple[int, int]) -> tuple[Tensor, Groups] | None:
        """Group numbers `[H, W]` and groups; None where the map is lost, or bytes that the CRC let through are none."""
        try:
            return self._format().decode(data, *size) if data else None
        except SemlinkError:
            return None

    def read_coarse(self, data: bytes | None, size: tuple[int, int]) -> Coarse | None:
        """The coarse picture; likewise."""
        try:
            return coarse.read(self.coder, data, *size) if data else None
        except SemlinkError:
            return None


def check(rho: float, factor: int | None, quality: int | None, steps: int, scale: float, aim: str) -> None:
    """SemlinkError for settings that make no sense."""
    if not 0 < rho <= 1:
        raise SemlinkError(f"rho must be within 0 and 1, got {rho:g}")
    if factor is not None and factor not in coarse.FACTORS:
        raise SemlinkError(f"factor {factor}: known are {', '.join(map(str, coarse.FACTORS))}")
    if quality is not None and factor is None:
        raise SemlinkError(f"quality {quality} goes with a factor; give factor too")
    if steps < 0 or scale < 0:
        raise SemlinkError(f"steps {steps}, scale {scale:g}: neither may be negative")
    if aim not in AIMS:
        raise SemlinkError(f"unknown aim {aim!r}; known: {', '.join(AIMS)}")


def find_segmenter(segmenter: Any) -> Any:
    """The plug-in of a word, with `labels` and `names`, or the object itself. SemlinkError for one without."""
    found = find_importance(segmenter)
    if not hasattr(found, "labels") or not hasattr(found, "names"):
        raise SemlinkError(f"segmenter {segmenter!r} names no classes; give one such as segmentation")
    return found


def is_undecoded(arrived: Sequence[bytes | None], found: Sequence[object]) -> bool:
    """Whether a payload arrived that was read as nothing, or there is nothing though one came, empty."""
    wrong = any(data and part is None for data, part in zip(arrived, found, strict=True))
    return wrong or (all(part is None for part in found) and any(data is not None for data in arrived))


PLUGIN = Spic
