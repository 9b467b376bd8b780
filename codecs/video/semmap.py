"""A map of every frame, a key frame at times, and a network that draws the frames from them in one pass.

In the style of Eteke et al., "Real-time semantic video communication of general scenes" (ICIP 2024), whose method text
was not available: the role, a semantic map stream and a generator, not a reproduction. Maps of 8 classes, of a street
by our segmenter or of 8 colours elsewhere, are coded without loss with what is known of older ones; the key frame is a
picture of HEVC, protected on its own; between key frames go motion and maps alone. What is lost of a frame is made up
from what is there: the last frame, the key frame's own map moved, or the colours of the map alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from semlink.codecs._learned.shipped import WEIGHTS, local
from semlink.codecs._learned.weights import read_weights, rebuilt
from semlink.codecs._regions import unet
from semlink.codecs._sources import ladder
from semlink.codecs._sources.coders import coder as source_coder
from semlink.codecs.video import _class_maps as maps
from semlink.codecs.video import _map_code as map_code
from semlink.codecs.video._generator import Generator, about, told_of
from semlink.codecs.video._map_packet import ALONE, NUMBERS, WITH_KEY, WITH_LAST, Note, unpack
from semlink.codecs.video._map_plan import Asked
from semlink.codecs.video._motion import CELL, padded
from semlink.codecs.video._packets import received
from semlink.codecs.video._scene import Map, Scene, flow_of, rounded
from semlink.codecs.video._scene_sending import KEY, SemmapSender
from semlink.codecs.video._state import Shower
from semlink.simulator.bits.mcs import get
from semlink.simulator.errors import SemlinkError
from semlink.simulator.values import Reception
from semlink.simulator.video import Budget, Clip, Feedback, Shown

SHIPPED = WEIGHTS / "semmap.safetensors"
KINDS = ("auto", "street", "colour")
AGAIN = 6  # frames after which a loss that is not mended is told again
LEAST_USES = 96  # of a frame


class Semmap:
    """maps: "street", "colour", or "auto", which looks at every key frame. gop: frames between key frames, about.

    share: of a frame's channel uses, for motion and map. coder: of key frames, as of the separated baseline. mcs,
    key_mcs: of maps and of key frames, always, instead of what the link's statistics advise. nack: a key frame that is
    lost is told back, which is charged. weights: file of the network.
    """

    group = 1
    encodes_on = "link"

    def __init__(
        self,
        rho: float = 1 / 128,
        maps: str = "auto",
        gop: int = 8,
        share: float = 0.3,
        coder: str = "hevc",
        mcs: str | None = None,
        key_mcs: str | None = None,
        nack: bool = True,
        weights: str | Path | None = None,
    ) -> None:
        if not 0 < rho <= 1 or not 0 < share < 1 or gop < 1 or maps not in KINDS:
            raise SemlinkError(
                f"rho={rho:g}, share={share:g}, gop={gop}, maps={maps!r}: give 0 < rho <= 1, 0 < share < 1, gop from "
                f"1 on, and one of {', '.join(KINDS)}"
            )
        self.rho, self.maps, self.gop, self.share, self.feedback = rho, maps, gop, share, nack
        self.coder = source_coder(coder)
        self.mcs, self.key_mcs = (get(word) if word else None for word in (mcs, key_mcs))
        self.weights = Path(weights) if weights else SHIPPED

    def files(self) -> tuple[Path, ...]:
        """The network's and the segmenter's."""
        return local(self.weights, unet.CAMVID)

    def check(self, height: int, width: int) -> None:
        """SemlinkError without weights, or where a frame has no room for a map."""
        if not self.weights.exists():
            raise SemlinkError(
                f"semmap: no {self.weights.name}; train with experiments/train_video.py --network semmap, give "
                "weights=FILE"
            )
        per_frame = Budget.of(self.rho, Clip(height, width)).per_frame
        if per_frame < LEAST_USES:
            raise SemlinkError(
                f"semmap: {per_frame:g} channel uses for a frame of {height}x{width} px at rho {self.rho:g}; it needs "
                f"{LEAST_USES}, give a higher rate"
            )

    @cached_property
    def network(self) -> Generator:
        """With its weights."""
        self.check(1 << 10, 1 << 10)
        state, settings = read_weights(self.weights)
        made = rebuilt(Generator, settings, state, self.weights)
        return made.requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def sender(self, clip: Clip) -> SemmapSender:
        """What was last sent."""
        asked = Asked(self.rho, self.maps, self.gop, self.share, self.coder, self.mcs, self.key_mcs)
        return SemmapSender(asked, clip)

    def receiver(self, clip: Clip) -> SemmapReceiver:
        """What has arrived."""
        return SemmapReceiver(self, clip)


@dataclass(frozen=True)
class Drawn:
    """What a frame is drawn from. now: its map, or None for the scene's own, moved. flow: px `[1, 2, rows, columns]`.

    age: frames since the key frame.
    """

    scene: Scene
    now: Map | None
    flow: Tensor
    age: int


class SemmapReceiver:
    """scene: the last one that began. last: the last map, whatever its scene. told: when a loss was last told back."""

    def __init__(self, codec: Semmap, clip: Clip) -> None:
        self.codec, self.clip = codec, clip
        self.height, self.width = (-(-n // CELL) * CELL for n in (clip.height, clip.width))
        self.shower = Shower(clip)
        self.scene: Scene | None = None
        self.last: Map | None = None
        self.told = -AGAIN

    def receive(self, reception: Reception) -> Shown:
        """The frame `[1, 3, H, W]`; the last one where nothing of it arrived, or it is of a scene that did not."""
        sent = received(reception)
        note = unpack(sent) if sent else None
        if note is None:
            return self.shower.again()
        if note.palette:
            self.scene = self._begun(note, reception)
        scene = self.scene
        if scene is None or scene.number != note.scene:
            return self.shower.again(self._report(note.scene, anew=True))
        flow = flow_of(note, self.height, self.width)
        now = self._map(note, scene, flow)
        self.last = now or self.last
        shown = self._drawn(Drawn(scene, now, flow, self.shower.count - scene.begun))
        report = self._report(note.scene) if scene.lost else None
        return self.shower.show(shown, report, concealed=scene.lost or now is None)

    def _begun(self, note: Note, reception: Reception) -> Scene:
        """The scene that begins with a note. In place of a key frame that is lost stands the last frame, unless that is
        of another scene."""
        alone = replace(note, origin=ALONE) if note.origin in (WITH_KEY, WITH_LAST) else note
        key = self._map(alone, None, None) or Map(np.zeros((1, 1), np.uint8), 1 << 20, 0)
        data = next((s.payload[0] for s in reception.streams if s.name == KEY and s.payload), None)
        picture, bpp = self._read(data), 8 * len(data or b"") / (self.clip.height * self.clip.width)
        lost = picture is None and note.step > 0
        if lost and not note.cut and self.shower.last is not None:
            picture, bpp = padded(self.shower.held()), self.scene.bpp if self.scene else 0.0
        palette = maps.unpack_palette(note.palette)
        return Scene(note.scene, note.street, palette, key, picture, bpp, self.shower.count, lost)

    def _read(self, data: bytes | None) -> Tensor | None:
        """A key frame, padded; None for one that is lost or none."""
        try:
            picture = ladder.read(self.codec.coder, data, self.clip.height, self.clip.width) if data else None
        except SemlinkError:
            return None
        return None if picture is None else padded(torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255)

    def _map(self, note: Note, scene: Scene | None, flow: Tensor | None) -> Map | None:
        """The map of a note; None where there is none, or what it is told from is not there."""
        size = self.height, self.width
        before = None
        if note.origin == WITH_KEY and scene is not None and flow is not None:
            before = scene.key.moved(rounded(flow), note.cell, *size)
        elif note.origin == WITH_LAST and self.last is not None and (note.number - self.last.number) % NUMBERS == 1:
            before = self.last.at(note.cell, *size)
        elif note.origin != ALONE:
            return None
        rows, columns = (-(-n // note.cell) for n in size)
        return Map(map_code.unpack(note.labels, rows, columns, before), note.cell, note.number)

    def _drawn(self, drawn: Drawn) -> Tensor:
        """The frame `[1, 3, H, W]` that the network makes."""
        scene = drawn.scene
        there = scene.picture is not None
        flow = drawn.flow if there else torch.zeros(1, 2, 1, 1)
        now = drawn.now or replace(scene.key, labels=scene.key.moved(rounded(flow), 4, self.height, self.width), cell=4)
        told = told_of(
            scene.picture if scene.picture is not None else torch.zeros(1, 3, self.height, self.width),
            flow,
            (_batch(scene.key), _batch(now)),
            (scene.key.cell, now.cell),
            torch.from_numpy(scene.palette),
            [about(there, scene.street, now.cell, drawn.age, scene.bpp)],
        )
        with torch.no_grad():
            shown = self.codec.network(told)
        return shown[:, :, : self.clip.height, : self.clip.width].clamp(0, 1)

    def _report(self, number: int, anew: bool = False) -> Feedback | None:
        """That the key frame of that scene is not there, or nothing of it (anew); not again too soon."""
        now = self.shower.count
        if not self.codec.feedback or now - self.told < AGAIN:
            return None
        self.told = now
        return Feedback(now, lost=True, anew=anew, anchor=number)


def _batch(labels: Map) -> Tensor:
    return torch.from_numpy(labels.labels)[None]


PLUGIN = Semmap
