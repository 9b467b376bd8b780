"""Any picture codec as a video codec: every frame by itself, the last one again where nothing of a frame arrives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from semlink.codecs.video._nested import frame_of, picture_codec
from semlink.codecs.video._state import Shower
from semlink.simulator.values import Reception, Transmission
from semlink.simulator.video import Clip, Shown, VideoInfo


class Intra:
    """The codec of a word of the registry of picture codecs, at the clip's rate.

    codec: its word; settings are separated by semicolons, as in intra:codec=roi_jscc:importance=none;share=0.5.
    """

    group = 1
    feedback = False

    def __init__(self, rho: float = 1 / 48, codec: str = "semlink") -> None:
        self.rho = rho
        self.codec = picture_codec(codec, rho)

    @property
    def encodes_on(self) -> str:
        """As the picture codec."""
        return self.codec.encodes_on

    def files(self) -> tuple[Path, ...]:
        """What the picture codec depends on."""
        return tuple(getattr(self.codec, "files", tuple)())

    def check(self, height: int, width: int) -> None:
        """SemlinkError for pictures that the picture codec cannot meet, as without weights."""
        getattr(self.codec, "check", lambda height, width: None)(height, width)

    def sender(self, clip: Clip) -> IntraSender:
        """The encoder, which remembers nothing."""
        return IntraSender(self.codec)

    def receiver(self, clip: Clip) -> IntraReceiver:
        """The decoder and the last frame."""
        return IntraReceiver(self.codec, Shower(clip))


class IntraSender:
    """Encodes each frame by itself."""

    def __init__(self, codec: Any) -> None:
        self.codec = codec

    def send(self, frames: Tensor, tx: VideoInfo) -> Transmission:
        """A frame `[1, 3, H, W]`."""
        return self.codec.encode(frames, tx)


class IntraReceiver:
    """Decodes each frame by itself, and holds the last one."""

    def __init__(self, codec: Any, shower: Shower) -> None:
        self.codec, self.shower = codec, shower

    def receive(self, reception: Reception) -> Shown:
        """The frame `[1, 3, H, W]`; the last one again where nothing of it arrived, or what did is no picture."""
        frame = frame_of(self.codec, reception)
        return self.shower.again() if frame is None else self.shower.show(frame)


PLUGIN = Intra
