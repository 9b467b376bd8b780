"""What the parts of a measurement are to each other: data, codec, link, and the description of a number."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from semlink.simulator.values import LinkResult, Reception, Transmission, TxInfo
    from semlink.simulator.video import Clip, Shown, VideoInfo


class Dataset(Protocol):
    """Pictures in a fixed order."""

    @property
    def ids(self) -> Sequence[str]: ...
    def sizes(self) -> Sequence[tuple[int, int]]: ...
    def batch(self, indices: Sequence[int]) -> Tensor: ...


class Codec(Protocol):
    """encodes_on: what encode reads of `tx`: "nothing", "snr" or "link".

    `files() -> tuple[Path, ...]`, which our own have and others should: the files and folders that results depend on.
    `check(height, width)`, where a codec has it: SemlinkError, before anything is measured, when it cannot meet
    pictures of that size, as without weights.
    `coders`, where a codec has it: name of the coder of each bits stream, which rows hold beside its exact bytes.
    `decode_marked(reception) -> tuple[Tensor, Sequence[bool]]`, where a codec has it: what `decode` gives, and of which
    pictures a payload arrived that is none, or was sent empty; they count as lost.
    """

    encodes_on: str

    def uses(self, height: int, width: int) -> int: ...
    def encode(self, images: Tensor, tx: TxInfo | None = None) -> Transmission: ...
    def decode(self, reception: Reception) -> Tensor: ...


def decoded(codec: Codec, reception: Reception) -> tuple[Tensor, tuple[bool, ...]]:
    """What a codec decodes, and which of the pictures are none though something arrived, as far as it tells."""
    marked = getattr(codec, "decode_marked", None)
    pictures, marks = marked(reception) if marked else (codec.decode(reception), None)
    return pictures, (False,) * len(pictures) if marks is None else tuple(map(bool, marks))


class Sender(Protocol):
    """The transmitter's end of a video codec; it has state and pickles."""

    def send(self, frames: Tensor, tx: VideoInfo) -> Transmission: ...


class Receiver(Protocol):
    """The receiver's end of a video codec; it has state, pickles, and shows a group for every reception.

    Its state is bounded, and what it shows follows from the receptions alone: one that goes on in another process shows
    the same. Receptions may be of anything: lost, repeated, in another order, with wrong bytes.
    """

    def receive(self, reception: Reception) -> Shown: ...


class VideoCodec(Protocol):
    """rho: channel uses per source dimension, all counted. group: frames that a call takes, which is its delay.

    encodes_on: what `send` reads of `tx`, as of a `Codec`. feedback: whether it reads reports of the receiver. `check`
    and `files` are those of a `Codec`. `deadline_s`, where a codec has it: seconds from a frame's capture to its
    showing that it keeps to.
    """

    rho: float
    group: int
    encodes_on: str
    feedback: bool

    def sender(self, clip: Clip) -> Sender: ...
    def receiver(self, clip: Clip) -> Receiver: ...


def period_of(codec: VideoCodec) -> int:
    """Frames after which a video codec begins anew, where seams may be: its `period`, else its group."""
    return int(getattr(codec, "period", codec.group))


class AnyLink(Protocol):
    """A `semlink.simulator.Link`, or what behaves like one."""

    @property
    def csi(self) -> str | None: ...
    def tx_info(self, snr_db: float, uses: int | None = None, seed: int = 0, statistics: bool = False) -> TxInfo: ...
    def run(self, transmission: Transmission, snr_db: float, seed: int = 0, first_image: int = 0) -> LinkResult: ...


@dataclass(frozen=True)
class Variable:
    """One measured number: unit, name for people, and which way is better ("higher", "lower" or "").

    home: `module:function`, (original, received) -> `[batch]`, of what is measured on pairs of pictures; else empty.
    least, most: what no value is beyond, so that no interval is drawn there.
    """

    units: str = "1"
    label: str = ""
    better: str = ""
    home: str = ""
    least: float = -math.inf
    most: float = math.inf

    def load(self) -> Callable[[Tensor, Tensor], Tensor]:
        """The function; its module is imported now."""
        module, _, function = self.home.partition(":")
        return getattr(import_module(module), function)
